/// Hawser, C++20 face: RAII and spans over the C interface in hawser.h, which has the contract of every
/// call: what it does, how long it blocks, which threads may call it, every result, the state afterwards.
///
///     auto comm = hawser::Communicator::create({.master = "10.0.0.1:48500"});
///     if (!comm || !comm->connect()) return 1;
///     auto reduced = comm->all_reduce(gradients);   // in place, sum
///     if (!reduced) std::cerr << reduced.error().sentence << '\n';
#pragma once

#include <hawser.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hawser {
/// Inline, so that the symbols of this face are apart from those inside the library.
inline namespace v0 {

/// Why a call did not succeed: a code to act on and a sentence for a person.
struct Failure {
  hawserResult_t code = hawserErrorInternal;
  std::string sentence;

  const char* name() const { return hawserGetResultName(code); }
  /// The same call may be made again at once: the run goes on, inputs are intact.
  bool can_retry() const {
    return code == hawserErrorPeerLost || code == hawserErrorMismatch || code == hawserErrorTimeout ||
           code == hawserErrorMasterRestarted;
  }
  /// This peer is out of the run; connect() joins it again as a newcomer.
  bool must_reconnect() const { return code == hawserErrorExpelled || code == hawserErrorMasterUnreachable; }
};

/// A value or a Failure. Asking for the one that is not there is undefined, as with std::optional.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : held_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() { return *std::get_if<0>(&held_); }
  const T& operator*() const { return *std::get_if<0>(&held_); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Failure& error() const { return *std::get_if<1>(&held_); }
  hawserResult_t code() const { return *this ? hawserSuccess : error().code; }

 private:
  std::variant<T, Failure> held_;
};

/// Success without a value, or a Failure.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)) {}

  explicit operator bool() const { return !failure_.has_value(); }
  const Failure& error() const { return *failure_; }
  hawserResult_t code() const { return failure_ ? failure_->code : hawserSuccess; }

 private:
  std::optional<Failure> failure_;
};

namespace detail {

inline Failure last_failure(hawserResult_t code) { return {.code = code, .sentence = hawserGetLastError()}; }

inline Result<void> check(hawserResult_t code) {
  if (code != hawserSuccess) return last_failure(code);
  return {};
}

inline const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace detail

/// Empty strings and zeros mean the defaults of hawser.h.
struct MasterConfig {
  std::string listen;
  std::uint32_t silence_ms = 0;
  std::uint32_t stall_ms = 0;
  std::uint32_t call_wait_ms = 0;
  std::uint32_t recovery_ms = 0;
  std::uint32_t bootstrap_ms = 0;
  std::uint32_t link_open_ms = 0;
  std::uint32_t connections_max = 0;
};

/// The membership authority of a run. Stops and frees itself at the end.
class Master {
 public:
  static Result<Master> create(const MasterConfig& config) {
    hawserMasterConfig_t c = HAWSER_MASTER_CONFIG_INIT;
    c.listen = detail::or_null(config.listen);
    c.silence_ms = config.silence_ms;
    c.stall_ms = config.stall_ms;
    c.call_wait_ms = config.call_wait_ms;
    c.recovery_ms = config.recovery_ms;
    c.bootstrap_ms = config.bootstrap_ms;
    c.link_open_ms = config.link_open_ms;
    c.connections_max = config.connections_max;
    hawserMaster_t handle = nullptr;
    if (const auto code = hawserMasterCreate(&c, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return Master(handle);
  }

  /// With the real port.
  std::string address() const {
    char text[HAWSER_ADDRESS_BYTES] = "";
    (void)hawserMasterGetAddress(handle_.get(), text, sizeof text);
    return text;
  }
  /// Serves in the calling thread until stop().
  Result<void> run() { return detail::check(hawserMasterRun(handle_.get())); }
  /// Serves in a thread of the library.
  Result<void> start() { return detail::check(hawserMasterStart(handle_.get())); }
  Result<void> stop() { return detail::check(hawserMasterStop(handle_.get())); }
  hawserMaster_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserMaster_t handle) const { (void)hawserMasterDestroy(handle); }
  };
  explicit Master(hawserMaster_t handle) : handle_(handle) {}
  std::unique_ptr<hawserMaster, Destroy> handle_;
};

/// Empty strings and zeros mean the defaults of hawser.h. `master` is required.
struct CommunicatorConfig {
  std::string master;
  std::string name;
  std::uint32_t group = 0;
  std::string advertise_address;
  std::string listen_address;
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  std::uint32_t connections_per_link = 0;
  std::uint32_t connect_ms = 0;
  std::uint32_t master_redial_ms = 0;
  std::uint32_t silence_ms = 0;
  std::uint32_t stall_ms = 0;
};

struct ReduceOptions {
  hawserReduceOp_t op = hawserSum;
  std::uint64_t tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
};

/// What a collective was.
struct Reduced {
  std::vector<std::uint64_t> contributors;  ///< Ids in rank order.
  std::uint32_t world_size = 0;             ///< Number of contributors.
  std::uint32_t rank = 0;
  hawserPlan_t plan = hawserPlanAuto;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t transfer_us = 0;
  std::uint64_t commit_us = 0;
};

struct Member {
  std::uint64_t peer_id = 0;
  std::string name;
  std::string address;
};

/// A member of a run, or one that wants to be. Leaves gracefully at the end.
class Communicator {
 public:
  static Result<Communicator> create(const CommunicatorConfig& config) {
    hawserCommConfig_t c = HAWSER_COMM_CONFIG_INIT;
    c.master = detail::or_null(config.master);
    c.name = detail::or_null(config.name);
    c.group = config.group;
    c.advertise_address = detail::or_null(config.advertise_address);
    c.listen_address = detail::or_null(config.listen_address);
    c.port_first = config.port_first;
    c.port_last = config.port_last;
    c.connections_per_link = config.connections_per_link;
    c.connect_ms = config.connect_ms;
    c.master_redial_ms = config.master_redial_ms;
    c.silence_ms = config.silence_ms;
    c.stall_ms = config.stall_ms;
    hawserComm_t handle = nullptr;
    if (const auto code = hawserCommCreate(&c, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return Communicator(handle);
  }

  Result<void> connect() { return detail::check(hawserCommConnect(handle_.get())); }
  Result<void> update_topology() { return detail::check(hawserCommUpdateTopology(handle_.get())); }

  Result<hawserCommInfo_t> info() const {
    hawserCommInfo_t info;
    if (const auto code = hawserCommGetInfo(handle_.get(), &info); code != hawserSuccess)
      return detail::last_failure(code);
    return info;
  }

  /// The members of this group in rank order.
  Result<std::vector<Member>> members() const {
    std::vector<hawserMember_t> raw;
    std::uint32_t count = 16;
    do {
      raw.resize(count);
      const auto code =
          hawserCommGetMembers(handle_.get(), raw.data(), static_cast<std::uint32_t>(raw.size()), &count);
      if (code != hawserSuccess) return detail::last_failure(code);
    } while (count > raw.size());
    std::vector<Member> members;
    for (std::uint32_t i = 0; i < count; ++i)
      members.push_back({.peer_id = raw[i].peer_id, .name = raw[i].name, .address = raw[i].address});
    return members;
  }

  Result<bool> are_peers_pending() const {
    int pending = 0;
    if (const auto code = hawserCommArePeersPending(handle_.get(), &pending); code != hawserSuccess)
      return detail::last_failure(code);
    return pending != 0;
  }

  /// Out of place: `receive` is as long as `send` and disjoint from it.
  Result<Reduced> all_reduce(std::span<const float> send, std::span<float> receive,
                             const ReduceOptions& options = {}) {
    if (send.size() != receive.size())
      return Failure{.code = hawserErrorInvalidArgument,
                     .sentence = "the receive span has " + std::to_string(receive.size()) +
                                 " elements, the send span " + std::to_string(send.size())};
    return reduce(send.data(), receive.data(), send.size(), options);
  }
  /// In place. On any error the values are as they were.
  Result<Reduced> all_reduce(std::span<float> values, const ReduceOptions& options = {}) {
    return reduce(values.data(), values.data(), values.size(), options);
  }

  hawserComm_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserComm_t handle) const { (void)hawserCommDestroy(handle); }
  };
  explicit Communicator(hawserComm_t handle) : handle_(handle) {}

  Result<Reduced> reduce(const float* send, float* receive, std::size_t count, const ReduceOptions& options) {
    hawserAllReduceOptions_t o = HAWSER_ALL_REDUCE_OPTIONS_INIT;
    o.op = options.op;
    o.tag = options.tag;
    o.plan = options.plan;
    hawserCommInfo_t view;
    if (const auto code = hawserCommGetInfo(handle_.get(), &view); code != hawserSuccess)
      return detail::last_failure(code);
    // Views grow in update-topology only, which does not run beside a collective.
    Reduced reduced;
    reduced.contributors.resize(view.group_size);
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    info.contributors = reduced.contributors.data();
    info.contributor_capacity = view.group_size;
    if (const auto code = hawserAllReduce(handle_.get(), send, receive, count, hawserFloat32, &o, &info);
        code != hawserSuccess)
      return detail::last_failure(code);
    reduced.world_size = info.world_size;
    reduced.contributors.resize(std::min(info.world_size, view.group_size));
    reduced.rank = info.rank;
    reduced.plan = info.plan;
    reduced.epoch = info.epoch;
    reduced.sequence = info.sequence;
    reduced.bytes_sent = info.bytes_sent;
    reduced.bytes_received = info.bytes_received;
    reduced.transfer_us = info.transfer_us;
    reduced.commit_us = info.commit_us;
    return reduced;
  }

  std::unique_ptr<hawserComm, Destroy> handle_;
};

}  // namespace v0
}  // namespace hawser
