#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/signature.hpp"
#include "base/tcp_options.hpp"
#include "runtime/completion.hpp"
#include "runtime/io_turns.hpp"
#include "engine/link_probing.hpp"
#include "runtime/peer_driver.hpp"
#include "engine/peer_engine.hpp"
#include "shared_state/prefetch.hpp"
#include "collective/residual.hpp"

namespace hawser {

struct CommunicatorConfig {
  Address master;
  std::vector<Address> other_masters{};  ///< That may serve the run in its place.
  EngineConfig engine;
  std::string advertise_host;  ///< Literal or name; empty: as the master sees this peer.
  std::uint16_t advertise_port = 0;  ///< 0: the port that it listens on.
  std::string listen_host;     ///< Literal or name; empty: all interfaces.
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  std::uint32_t connections_per_link = 0;  ///< 0: by where the other peer is.
  TcpOptions tcp;
  /// Threads beside the one that runs sockets and timers (runtime/lanes.hpp); without a value: by the number of cores.
  std::optional<unsigned> lanes{};
  bool check_same_host = false;  ///< Payloads between peers on one host carry a checksum too.
  AccessChoice access{};
  bool tls_same_host = false;  ///< Links between peers of one machine stay encrypted.
  bool attest = false;         ///< What this member gives to each collective is signed and kept at the master.
};

struct CollectiveArguments {
  CollectiveCall call;  ///< Without rank and seed.
  std::uint64_t tag = 0;
  std::uintptr_t stream = 0;  ///< Of device buffers: what is on it now comes first. 0: their device's default stream.
  bool compress = false;
  Epoch epoch;  ///< The view that ranks and sizes were taken from; 0: that in force.
  std::shared_ptr<Residual> residual;  ///< Error feedback, or null.
  std::shared_ptr<TransferCall> transfer;  ///< Of a transfer, else null.
  std::shared_ptr<ProbeCall> probing;      ///< Of an optimize-topology, else null.
  bool begins_again = true;                ///< As CollectiveStart::begins_again.
  std::optional<std::chrono::milliseconds> bound{};  ///< As CollectiveStart::bound.
};

/// To or from one other member. Errors, bounds and memory: hawser.h.
struct MessageArguments {
  bool receives = false;
  bool any = false;              ///< From whoever has sent one first.
  std::optional<PeerId> peer{};  ///< Instead of the rank.
  std::uint32_t rank = 0;
  Epoch epoch{};                 ///< The view that the rank was taken from; 0: that in force.
  std::uint64_t tag = 0;
  std::span<const std::byte> data{};
  std::span<std::byte> into{};
  std::chrono::milliseconds bound{600'000};
};

/// What an optimize-topology came to, at this member.
struct OptimizeInfo {
  CollectiveInfo collective;
  std::uint32_t pairs = 0;         ///< Other members with whom it probed, in either direction.
  std::uint32_t measured = 0;      ///< Links from this member to another that it probed.
  std::uint32_t lower_bounds = 0;  ///< Of these, the ones that carry more than could be shown in time.
  std::uint32_t silent = 0;        ///< Probed in vain: nothing came through in time.
  Duration total{};                ///< From the call to its end.
};

/// Not copied: after a success nothing may fail any more.
using SharedInfo = std::shared_ptr<const CollectiveInfo>;

class Communicator;

/// Whoever has to tell a communicator something at any time holds this: the communicator, while there is one.
struct CommunicatorSlot {
  std::mutex mutex;
  Communicator* communicator = nullptr;
};

/// A collective that has been called. Its buffers belong to the library until it has ended. May outlive its
/// communicator, which ends it.
class AsyncCollective {
 public:
  /// Whether it has ended.
  bool test() const { return completion_->is_done(); }
  /// Waits for its end for so long, as Completion::wait_for. Error timeout: it goes on; any other: what it came to.
  Result<SharedInfo> wait(std::chrono::milliseconds bound) const;
  /// Waits for its end.
  Result<SharedInfo> wait() const;
  /// The same, where nothing may throw.
  const CallDone& wait_for_end() const noexcept;
  /// What is put on that stream of the caller from now on waits for its end, and no thread does. 0: the default stream.
  /// Errors: invalid_argument (no buffer lies on a device; no such stream there), system.
  Result<void> stream_wait(std::uintptr_t stream) const;
  /// It is not wanted any more, and ends soon: as CancelCall. Does not wait for that. After its end, or that of its
  /// communicator, nothing happens.
  void cancel() const;

 private:
  friend class Communicator;
  Result<SharedInfo> as_info(const CallDone& done) const;

  std::shared_ptr<Completion> completion_;
  std::shared_ptr<IoTurns> turns_;
  std::string what_;
  std::int32_t device_ = kOnHost;  ///< That of the result, or of what was given.
  std::shared_ptr<DeviceCopies> devices_;  ///< Null where no buffer lies on one.
  std::shared_ptr<const WaitLog> log_;
  CallId call_;
  std::shared_ptr<std::atomic<bool>> cancelled_;  ///< Of a call that waits for streams before it begins.
  std::shared_ptr<CommunicatorSlot> slot_;
};

/// A member of a run, or one that wants to be: the blocking face of a PeerDriver on a thread of its own.
/// hawser.h has the contract of every call: what it does, how long it blocks, every status. Safe from
/// several threads. The engine judges which calls go together; here only those are refused that no engine hears of any
/// more: after a fork, and after the end.
class Communicator {
 public:
  /// Opens the listening port and starts the thread. Errors: invalid_argument, system.
  static Result<std::unique_ptr<Communicator>> create(CommunicatorConfig config);
  /// Leaves the run, ends calls under way with Closed and waits until they have returned. In a process that
  /// was forked off after create(), frees nothing but forgets everything.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// `prefetch`: what to fetch before it joins, or null; the caller's again when the call has ended. `poll`, unless
  /// empty, is called five times a second meanwhile.
  Result<void> connect(const std::shared_ptr<PrefetchTarget>& prefetch = nullptr,
                       const std::function<void()>& poll = {});
  /// As SetTermCall. Name and value are not looked at. Errors: invalid_argument (too many), invalid_usage (connected,
  /// or connecting).
  Result<void> set_term(const std::string& name, const std::optional<std::string>& value);
  /// Waits until something of the wish holds; at once, if it does already. Any number may wait, beside whatever else
  /// goes on. Errors: timeout, and why this peer is a member no more.
  Result<MembershipMet> wait(const MembershipWish& wish, std::optional<std::chrono::milliseconds> bound);
  /// Offers a shared state to guests from now on, in place of any other.
  Result<void> offer(std::shared_ptr<const StateOffer> offer);
  /// Offers it no more; when this returns, nobody reads it. No error if it was not offered.
  Result<void> withdraw(const std::shared_ptr<const StateOffer>& offer);
  std::shared_ptr<CommunicatorSlot> slot() const { return slot_; }
  /// For whoever cannot ask for anything, for want of memory: closes the communicator of this slot, if there is
  /// one. Then nobody reads what was offered.
  static void close(CommunicatorSlot& slot) noexcept;
  /// Leaves the run and ends calls under way, and all later ones, with closed. Again: does nothing.
  Result<void> close();
  Result<void> update_topology();
  /// `progress`, unless empty, is called in this thread when another pair is done: how many of how many.
  Result<OptimizeInfo> optimize_topology(const ProbeBounds& bounds, const ProbeWishes& wishes,
                                         const std::function<void(std::uint32_t, std::uint32_t)>& progress = {});
  /// Whether its arguments fit the view in force.
  Result<void> check(const CollectiveCall& call);
  /// Whether tensors may lie on devices here, now.
  bool has_devices() const { return devices_ != nullptr && devices_->any(); }
  /// As DeviceCopies::copy, where there are devices.
  Result<void> copy(const std::vector<StreamCopy>& copies);
  /// Null: without devices.
  const std::shared_ptr<DeviceCopies>& devices() const { return devices_; }
  /// How long it waits for a device.
  Duration device_patience() const { return config_.engine.stall; }
  /// As PeerDriver::device_failed.
  void device_failed(const Error& error) noexcept { driver_->device_failed(error); }
  /// Begins to send or to receive a message and does not wait for it.
  Result<AsyncCollective> start(const MessageArguments& arguments);
  /// Begins a collective and does not wait for it. Errors are those that are found at once.
  Result<AsyncCollective> start(const CollectiveArguments& arguments);
  /// As AsyncCollective::cancel, which names it.
  void cancel(CallId call);
  /// As start(), and waits.
  Result<SharedInfo> run(const CollectiveArguments& arguments);

  /// The membership as this peer knows it. Does not block. Errors: invalid_usage before connect(), and why
  /// it is a member no more.
  Result<std::shared_ptr<const EngineInfo>> info();

  /// For a call that consists of several collectives: while it lives, the communicator's end waits, and its
  /// collectives end with closed. Error: closed.
  Result<std::shared_ptr<void>> hold();

  /// Where links are accepted.
  const Address& listen_address() const { return listen_address_; }

  /// Blocking calls that have begun and not returned.
  int calls_under_way() const;

  /// Payload bytes of all collectives that have come, or begun to come, from the other members.
  std::uint64_t payload_bytes_received() const { return driver_->payload_bytes_received(); }

  /// For tests: what the others would see if this process died.
  void vanish();
  /// For tests: breaks the TCP connections of all links, as a network would.
  void shut_down_links();
  /// For tests: as PeerDriver::interrupt_after. Blocks until it is set.
  void interrupt_after(std::uint64_t payload_bytes, std::function<void()> what);
  /// For tests: the I/O thread does nothing for so long, as if the process were stopped. Does not wait for
  /// it.
  void freeze(std::chrono::milliseconds duration);

 private:
  /// Calls under way.
  struct Calls {
    mutable std::mutex mutex;
    std::condition_variable ended;
    bool closing = false;
    std::set<std::uint64_t> tags;  ///< Of collectives whose callers have not been told of their end.
    int active = 0;
  };
  class UnderWay;

  /// `io` is to be put into io_ then: until it is made, what it is made of outlives no io_context.
  Communicator(CommunicatorConfig config, RunAccess access, std::shared_ptr<transport::Listener> listener,
               std::shared_ptr<DeviceCopies> devices, asio::io_context& io);
  Result<void> check_process() const;
  /// Error: closed.
  Result<void> let_in(UnderWay& call);
  AsyncCollective begun(CallId call, std::string what) const;
  Result<void> claim(UnderWay& call, const CollectiveStart& start, const EngineInfo& known);
  Result<std::optional<Contribution>> contribution_to(const CollectiveCall& call, const EngineInfo& known,
                                                      std::uintptr_t stream);
  /// A call that waits for streams before it begins.
  struct Later {
    CollectiveStart event;
    OwedAnswer answer;
    std::shared_ptr<const std::atomic<bool>> cancelled;
  };
  Result<void> begin_after(device::StreamWaits::Events first, Later call);
  /// start(). `turn`, unless null, is taken if it is free, and the collective then begins in this thread.
  Result<AsyncCollective> begin(const CollectiveArguments& arguments, IoTurn* turn);
  void close_slot() noexcept;
  template <class Last>
  void stop_thread(const Last& last) noexcept;
  void end_late_calls() noexcept;
  /// Lets work(id, answer) run on the I/O thread; then waits for the end, also when something throws here.
  template <class Work>
  std::shared_ptr<Completion> post(Work work);
  template <class Work>
  Result<void> post_and_wait(const char* what, Work work, const std::function<void()>& poll = {});

  CommunicatorConfig config_;
  Address listen_address_;
  long process_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::shared_ptr<DeviceCopies> devices_;  ///< Null where there is no device.
  std::unique_ptr<PeerDriver> driver_;
  std::shared_ptr<IoTurns> turns_;
  std::thread thread_;
  std::atomic<std::uint64_t> next_call_{1};
  std::shared_ptr<const CallDone> lost_;  ///< What a call is told that no thread came to take in.
  Calls calls_;
  struct {
    std::mutex mutex;
    bool thread_ended = false;
  } late_;
  std::shared_ptr<CommunicatorSlot> slot_ = std::make_shared<CommunicatorSlot>();
};

}  // namespace hawser
