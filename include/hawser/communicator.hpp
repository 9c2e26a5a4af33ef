/// The communicator in C++: part of hawser/hawser.hpp.
#pragma once

#include <hawser.h>
#include <hawser/collectives.hpp>
#include <hawser/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser {
inline namespace v0 {

/// The fields of hawserCommConfig_t, which explains them. Empty strings and zeros mean its defaults (docs/defaults.md).
/// `master` is required.
struct CommunicatorConfig {
  std::string master = {};
  std::string name = {};
  std::uint32_t group = 0;
  std::string advertise_address = {};
  std::string listen_address = {};
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  std::uint32_t connections_per_link = 0;
  std::uint32_t connect_ms = 0;
  std::uint32_t master_redial_ms = 0;
  std::uint32_t silence_ms = 0;
  std::uint32_t stall_ms = 0;
  bool check_same_host = false;
  std::uint32_t prefetch_share_percent = 0;
  std::uint64_t party = 0;
  std::uint32_t party_size = 0;
  std::string congestion_control = {};
  std::uint32_t send_buffer_bytes = 0;
  std::uint32_t receive_buffer_bytes = 0;
  std::uint32_t min_peers = 0;
  std::uint32_t io_threads = 0;
  std::string secret_file = {};
  bool insecure = false;
  bool tls_same_host = false;
  bool attest = false;
  bool relay = false;
  std::uint32_t relay_mbit = 0;
  std::uint32_t relay_memory_mib = 0;
};

struct Member {
  std::uint64_t peer_id = 0;
  std::string name = {};
  std::string address;
};

/// Options of optimize_topology, see hawserOptimizeOptions_t. Zeros mean its defaults.
struct OptimizeOptions {
  bool all_pairs = false;             ///< Probe all links, also those that are measured already.
  std::uint32_t age_ms_max = 0;       ///< Not 0: also probe links whose measurement is older.
  std::uint32_t probe_ms_max = 0;     ///< Longest duration of one probe.
  std::uint32_t total_ms_max = 0;     ///< After so long this member begins no further probe.
  std::uint64_t probe_bytes_max = 0;  ///< Bytes of one probe, the same on all members.
  /// Called in the calling thread each time that this member has probed another one: how many of how many.
  std::function<void(std::uint64_t, std::uint64_t)> progress = {};
};

/// What `Communicator::wait` waits for: the first of these that holds, of those that are set. See hawserWaitOptions_t.
struct WaitOptions {
  bool joiner = false;           ///< A newcomer waits that the next update_topology can admit.
  std::uint32_t group_size = 0;  ///< The group has at least so many members.
  std::uint64_t epoch = 0;       ///< The view has another epoch than this one: somebody joined or left.
  std::uint32_t timeout_ms = 0;  ///< 0: 600000. UINT32_MAX: as long as this peer is a member.
};

/// A member of a run, or a peer that wants to be one. The destructor leaves the run, and blocks for a second at most.
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
    c.check_same_host = config.check_same_host ? 1 : 0;
    c.prefetch_share_percent = config.prefetch_share_percent;
    c.party = config.party;
    c.party_size = config.party_size;
    c.congestion_control = detail::or_null(config.congestion_control);
    c.send_buffer_bytes = config.send_buffer_bytes;
    c.receive_buffer_bytes = config.receive_buffer_bytes;
    c.min_peers = config.min_peers;
    c.io_threads = config.io_threads;
    c.secret_file = detail::or_null(config.secret_file);
    c.insecure = config.insecure ? 1 : 0;
    c.tls_same_host = config.tls_same_host ? 1 : 0;
    c.attest = config.attest ? 1 : 0;
    c.relay = config.relay ? 1 : 0;
    c.relay_mbit = config.relay_mbit;
    c.relay_memory_mib = config.relay_memory_mib;
    hawserComm_t handle = nullptr;
    if (const auto code = hawserCommCreate(&c, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return Communicator(handle);
  }

  /// States a setting that all members of the group must have alike, before `connect`. See hawserCommSetTerm.
  Result<void> set_term(const std::string& name, const std::string& value) {
    return detail::check(hawserCommSetTerm(handle_.get(), name.c_str(), value.c_str()));
  }
  /// Joins the run. See hawserCommConnect, also for what to call next.
  Result<void> connect() { return detail::check(hawserCommConnect(handle_.get())); }
  /// Lets newcomers join. All members of all groups call it. See hawserCommUpdateTopology.
  Result<void> update_topology() { return detail::check(hawserCommUpdateTopology(handle_.get())); }

  /// Blocks until one of the conditions holds; gives HAWSER_MET_ bits. See hawserCommWait.
  Result<std::uint32_t> wait(const WaitOptions& options) {
    hawserWaitOptions_t o = HAWSER_WAIT_OPTIONS_INIT;
    o.joiner = options.joiner ? 1 : 0;
    o.group_size = options.group_size;
    o.epoch = options.epoch;
    o.timeout_ms = options.timeout_ms;
    std::uint32_t met = 0;
    if (const auto code = hawserCommWait(handle_.get(), &o, &met); code != hawserSuccess)
      return detail::last_failure(code);
    return met;
  }

  /// Measures links that no traffic has shown yet. See hawserCommOptimizeTopology.
  Result<hawserOptimizeInfo_t> optimize_topology(const OptimizeOptions& options = {}) {
    hawserOptimizeOptions_t o = HAWSER_OPTIMIZE_OPTIONS_INIT;
    o.all_pairs = options.all_pairs ? 1 : 0;
    o.age_ms_max = options.age_ms_max;
    o.probe_ms_max = options.probe_ms_max;
    o.total_ms_max = options.total_ms_max;
    o.probe_bytes_max = options.probe_bytes_max;
    if (options.progress) {
      o.progress = [](void* user, std::uint64_t done, std::uint64_t total) {
        static_cast<const OptimizeOptions*>(user)->progress(done, total);
      };
      o.progress_user = const_cast<OptimizeOptions*>(&options);
    }
    hawserOptimizeInfo_t info = HAWSER_OPTIMIZE_INFO_INIT;
    if (const auto code = hawserCommOptimizeTopology(handle_.get(), &o, &info); code != hawserSuccess)
      return detail::last_failure(code);
    return info;
  }

  /// The view as this peer knows it. Does not block. See hawserCommGetInfo.
  Result<hawserCommInfo_t> info() const {
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    if (const auto code = hawserCommGetInfo(handle_.get(), &info); code != hawserSuccess)
      return detail::last_failure(code);
    return info;
  }

  /// The members of this group in rank order. Does not block.
  Result<std::vector<Member>> members() const {
    std::vector<hawserMember_t> raw;
    std::uint32_t count = 16;
    do {
      raw.resize(count, hawserMember_t HAWSER_MEMBER_INIT);
      const auto code =
          hawserCommGetMembers(handle_.get(), raw.data(), static_cast<std::uint32_t>(raw.size()), &count);
      if (code != hawserSuccess) return detail::last_failure(code);
    } while (count > raw.size());
    std::vector<Member> members;
    for (std::uint32_t i = 0; i < count; ++i)
      members.push_back({.peer_id = raw[i].peer_id, .name = raw[i].name, .address = raw[i].address});
    return members;
  }

  /// Whether newcomers wait that the next update_topology can admit, as far as this peer knows. Does not block.
  Result<bool> are_peers_pending() const {
    int pending = 0;
    if (const auto code = hawserCommArePeersPending(handle_.get(), &pending); code != hawserSuccess)
      return detail::last_failure(code);
    return pending != 0;
  }

  /// All-reduce out of place: `receive` is as long as `send` and disjoint from it. See hawserAllReduce.
  template <Elements Send, MutableElements Receive>
  Result<Reduced> all_reduce(const Send& send, Receive&& receive, const ReduceOptions& options = {}) {
    static_assert(std::is_same_v<ElementOf<Send>, ElementOf<Receive>>);
    if (std::ranges::size(send) != std::ranges::size(receive))
      return detail::sizes("receive", std::ranges::size(receive), std::ranges::size(send));
    const auto o = options.c_options();
    return with_info([&](hawserReduceInfo_t* info) {
      return hawserAllReduce(handle_.get(), std::ranges::data(send), std::ranges::data(receive),
                             std::ranges::size(send), data_type<ElementOf<Send>>(), &o, info);
    });
  }
  /// All-reduce in place. On any error the values are as they were. See hawserAllReduce.
  template <MutableElements Values>
  Result<Reduced> all_reduce(Values&& values, const ReduceOptions& options = {}) {
    const auto o = options.c_options();
    return with_info([&](hawserReduceInfo_t* info) {
      return hawserAllReduce(handle_.get(), std::ranges::data(values), std::ranges::data(values),
                             std::ranges::size(values), data_type<ElementOf<Values>>(), &o, info);
    });
  }
  /// All-reduce in place and in the background. The values and the residual belong to the library until the operation
  /// has ended. Does not block. See hawserAllReduceAsync.
  template <MutableElements Values>
    requires std::ranges::borrowed_range<Values>
  Result<Operation> all_reduce_async(Values&& values, const ReduceOptions& options = {}) {
    const auto o = options.c_options();
    hawserOp_t op = nullptr;
    if (const auto code = hawserAllReduceAsync(handle_.get(), std::ranges::data(values), std::ranges::data(values),
                                               std::ranges::size(values), data_type<ElementOf<Values>>(), &o, &op);
        code != hawserSuccess)
      return detail::last_failure(code);
    return Operation(op);
  }
  /// Reduces several tensors at once, and calls again after losses until all are done. If `done` is as long as the
  /// list, it says after an error which tensors have their results. See hawserAllReduceMany.
  Result<ReducedMany> all_reduce_many(std::span<const hawserTensor_t> tensors, const ManyOptions& options = {},
                                      std::span<std::uint8_t> done = {}) {
    const auto o = options.c_options();
    hawserManyInfo_t info = HAWSER_MANY_INFO_INIT;
    if (const auto code = hawserAllReduceMany(handle_.get(), tensors.data(), tensors.size(), &o, &info,
                                              done.size() == tensors.size() ? done.data() : nullptr);
        code != hawserSuccess)
      return detail::last_failure(code);
    return ReducedMany{.tensors = info.tensors,
                       .collectives = info.collectives,
                       .attempts = info.attempts,
                       .world_size_least = info.world_size_least,
                       .world_size_most = info.world_size_most,
                       .bytes_sent = info.bytes_sent,
                       .bytes_received = info.bytes_received,
                       .total_us = info.total_us};
  }

  /// `send` holds a share for every rank, `receive` one share. See hawserReduceScatter.
  template <Elements Send, MutableElements Receive>
  Result<Reduced> reduce_scatter(const Send& send, Receive&& receive, const ReduceOptions& options = {}) {
    static_assert(std::is_same_v<ElementOf<Send>, ElementOf<Receive>>);
    const auto view = shares(std::ranges::size(receive), std::ranges::size(send), "send");
    if (!view) return view.error();
    auto o = options.c_options();
    o.epoch = *view;
    return with_info([&](hawserReduceInfo_t* info) {
      return hawserReduceScatter(handle_.get(), std::ranges::data(send), std::ranges::data(receive),
                                 std::ranges::size(receive), data_type<ElementOf<Send>>(), &o, info);
    });
  }
  /// `send` holds this rank's share, `receive` a share of every rank. See hawserAllGather.
  template <Elements Send, MutableElements Receive>
  Result<Reduced> all_gather(const Send& send, Receive&& receive, const CollectiveOptions& options = {}) {
    static_assert(std::is_same_v<ElementOf<Send>, ElementOf<Receive>>);
    const auto view = shares(std::ranges::size(send), std::ranges::size(receive), "receive");
    if (!view) return view.error();
    auto o = options.c_options();
    o.epoch = *view;
    return with_info([&](hawserReduceInfo_t* info) {
      return hawserAllGather(handle_.get(), std::ranges::data(send), std::ranges::data(receive),
                             std::ranges::size(send), data_type<ElementOf<Send>>(), &o, info);
    });
  }
  /// The root's values go to all members. `root` is a rank. See hawserBroadcast.
  template <MutableElements Values>
  Result<Reduced> broadcast(Values&& values, std::uint32_t root, const CollectiveOptions& options = {}) {
    const auto o = options.c_options();
    return with_info([&](hawserReduceInfo_t* info) {
      return hawserBroadcast(handle_.get(), std::ranges::data(values), std::ranges::data(values),
                             std::ranges::size(values), data_type<ElementOf<Values>>(), root, &o, info);
    });
  }
  /// Returns when all members have called. See hawserBarrier.
  Result<Reduced> barrier(const CollectiveOptions& options = {}) {
    const auto o = options.c_options();
    return with_info([&](hawserReduceInfo_t* info) { return hawserBarrier(handle_.get(), &o, info); });
  }

  /// Sends the values to the member with that rank. See hawserSend.
  template <Elements Values>
  Result<Reduced> send(const Values& values, std::uint32_t to, const MessageOptions& options = {}) {
    const auto o = options.c_options();
    return with_room_for(1, [&](hawserReduceInfo_t* info) {
      return hawserSend(handle_.get(), std::ranges::data(values), std::ranges::size(values),
                        data_type<ElementOf<Values>>(), to, &o, info);
    });
  }
  /// Receives values from the member with that rank, or from HAWSER_ANY_RANK. See hawserReceive.
  template <MutableElements Values>
  Result<Reduced> receive(Values&& values, std::uint32_t from, const MessageOptions& options = {}) {
    const auto o = options.c_options();
    return with_room_for(1, [&](hawserReduceInfo_t* info) {
      return hawserReceive(handle_.get(), std::ranges::data(values), std::ranges::size(values),
                           data_type<ElementOf<Values>>(), from, &o, info);
    });
  }

  hawserComm_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserComm_t handle) const { (void)hawserCommDestroy(handle); }
  };
  explicit Communicator(hawserComm_t handle) : handle_(handle) {}

  /// Runs `call(info)` with room for all contributors.
  template <class Call>
  Result<Reduced> with_info(const Call& call) {
    hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
    if (const auto code = hawserCommGetInfo(handle_.get(), &view); code != hawserSuccess)
      return detail::last_failure(code);
    // Views grow only in update-topology, which does not run at the same time as a collective.
    return with_room_for(view.group_size, call);
  }
  template <class Call>
  Result<Reduced> with_room_for(std::uint32_t contributors, const Call& call) {
    detail::InfoRoom room(contributors);
    if (const auto code = call(room.info()); code != hawserSuccess) return detail::last_failure(code);
    return std::move(room).reduced();
  }

  /// The epoch in which `all` elements are one share of `share` for each member.
  Result<std::uint64_t> shares(std::size_t share, std::size_t all, const char* which) const {
    const auto view = info();
    if (!view) return view.error();
    if (all != share * view->group_size) return detail::sizes(which, all, share * view->group_size);
    return view->epoch;
  }

  std::unique_ptr<hawserComm, Destroy> handle_;
};

}  // namespace v0
}  // namespace hawser
