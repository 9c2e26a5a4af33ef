#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/thrown.hpp"
#include "runtime/completion.hpp"
#include "runtime/device_copies.hpp"
#include "runtime/lanes.hpp"
#include "engine/peer_engine.hpp"
#include "links/descriptor_need.hpp"
#include "runtime/run_access.hpp"
#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/links.hpp"
#include "transport/listener.hpp"
#include "transport/name_lookup.hpp"

namespace hawser {

/// What a call that waits long says of the run. Handles of calls hold it, which may outlive the communicator.
struct WaitLog {
  std::string name;    ///< Of the communicator.
  std::string master;  ///< Its address.
  std::atomic<bool> master_up{false};

  void tell(const std::string& what, Duration lasted) const noexcept;
};

struct DriverConfig {
  EngineConfig engine;
  Address master;
  std::vector<Address> other_masters{};  ///< That may serve the run in its place, in the order in which they are dialled.
  std::string advertise_host;  ///< Empty: as the master sees this peer.
  std::uint16_t advertise_port = 0;  ///< 0: that it listens on.
  std::uint32_t connections_per_link = 0;
  TcpOptions tcp;
  bool check_same_host = false;
  RunAccess access{};
  bool tls_same_host = false;  ///< Links between peers of one machine stay encrypted.
  std::shared_ptr<DeviceCopies> devices{};  ///< Null: all memory is the host's.
  unsigned lanes = 0;  ///< Threads that carry connections and run works; 0: the io_context's thread does all of it.
  std::uint64_t seed = 0;
};

/// Drives a PeerEngine over TCP: turns what comes from sockets, timers and the application into its events,
/// and performs its actions. Everything runs on the io_context's thread unless it says otherwise.
///
/// Where there are lanes, frames come and go on their threads, which ask the engine under its lock and run the works
/// that this leads to. Of the actions that follow, a lane performs those at once that take memory out of a connection's
/// hands: under the lock, so that no later frame is hit. Then come the works and the wakes of links. All others wait,
/// in their order, for the io_context's thread.
///
/// After an exception nothing is certain but this: no call is left waiting, and no input is left changed. So the
/// way there (fail) takes no memory and cannot fail itself.
class PeerDriver final : private transport::FrameTraffic {
 public:
  PeerDriver(asio::io_context& io, DriverConfig config, std::shared_ptr<transport::Listener> listener);
  ~PeerDriver() override;
  PeerDriver(const PeerDriver&) = delete;
  PeerDriver& operator=(const PeerDriver&) = delete;

  /// Error: system, if there is no thread for a lane.
  Result<void> start();
  /// In a child of fork(), where no thread of it is.
  void leave_behind() noexcept;
  /// Hands a call to the engine; `answer` gets its CallDone.
  void call(const EngineEvent& event, CallId id, OwedAnswer answer);
  /// As CancelCall. Nothing, once everything has ended.
  void cancel(CallId id);
  /// As call(): a call to join, as a newcomer with a fresh id.
  void connect(CallId id, std::shared_ptr<PrefetchTarget> prefetch, OwedAnswer answer);
  /// Leaves the run, ends all calls with Closed, and calls `gone` once the master has been told, or after
  /// half a second.
  void leave(std::function<void()> gone) noexcept;
  /// Closes all sockets without a word, puts all inputs back and ends all calls, those to come included, with
  /// closed: what the others would see if the process died.
  void vanish() noexcept;
  /// The same after an exception, with that as the error.
  void fail(const Thrown& thrown) noexcept;
  /// A device that holds tensors of this peer has failed: ends everything with that. From any thread.
  void device_failed(const Error& error) noexcept { lane_failed(thrown_of(error)); }
  /// For tests: breaks the TCP connections of all links.
  void shut_down_links();
  /// For tests without lanes: `what` is called once, by whoever takes the frames, when so many more payload bytes have
  /// begun to come in. Nothing goes on here before it returns.
  void interrupt_after(std::uint64_t payload_bytes, std::function<void()> what);

  /// Whether calls are under way.
  bool has_calls() const { return !calls_.empty(); }
  /// From any thread.
  std::shared_ptr<const EngineInfo> info() const;
  const std::shared_ptr<const WaitLog>& wait_log() const { return shown_wait_log_; }
  /// Of all frames that have begun to come in.
  std::uint64_t payload_bytes_received() const { return payload_bytes_received_; }

 private:
  // transport::FrameTraffic
  void frame_begins(transport::DataConnection& connection, const FrameHeader& header) override;
  void frame_moved(transport::DataConnection& connection) override;
  void frame_ends(transport::DataConnection& connection, bool intact) override;
  bool next_frame(transport::DataConnection& connection) override;
  void link_up(transport::ConnectionName connection, const transport::EstablishedConnection& established) override;
  void link_down(transport::ConnectionName connection, std::uint64_t incarnation, std::string reason) override;
  void link_refused(PeerId peer) override;
  void link_unreached(PeerId peer, std::string why) override;
  void straight_failed(PeerId peer, std::string why) override;
  void link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) override;
  void settle() override;
  void log(LogEvent event) override;

  template <class Ask>
  void ask(const Ask& ask);
  EngineSeat& seat();
  void take_from_connections(EngineActions& actions);
  void hand_over(EngineActions& actions);
  void perform_late();
  void step(const EngineEvent& event);
  void perform_one(DialMaster& action);
  void perform_one(CloseMaster& action);
  void perform_one(SendMaster& action);
  void perform_one(OpenLink& action);
  void perform_one(DialPeer& action);
  void perform_one(CloseLink& action);
  void perform_one(WakeLink& action);
  void perform_one(WidenLink& action);
  void perform_one(ReleaseSend& action);
  void perform_one(ReleaseReceive& action);
  void perform_one(RunWork& action);
  void perform_one(DropConnection& action);
  void perform_one(CallDone& action);
  void perform_one(LogEvent& action);

  const Address& master_address() const {
    return master_at_ == 0 ? config_.master : config_.other_masters.at(master_at_ - 1);
  }
  void master_dialled(Result<transport::Stream> result);
  bool reaches_others() const;
  Ways ways_over(const transport::Stream& master) const;
  void master_said(const std::string& message);
  void master_broke(std::string reason);
  void master_is_missed(const std::string& why);
  void is_no_master(const std::string& why);
  void no_trust(const std::string& why);
  void forget_master();
  void send_to_master();
  void tell_end(CallDone done) noexcept;
  void end(const std::shared_ptr<const CallDone>& why) noexcept;
  bool is_stale(const EngineEvent& event) const;
  void publish();
  void look_at_descriptors(const EngineInfo& info);
  void arm_timer_later();
  void arm_timer();
  std::optional<Instant> next_deadline();
  std::function<asio::io_context&()> next_lane();
  std::function<bool(asio::io_context&)> is_own_thread();
  void run_works(EngineSeat& seat);
  void work_in_turns(RunWork work);
  void work_on_device(RunWork work);
  void device_ended(WorkToken token, const Result<void>& outcome) noexcept;
  void arrange_turn(EngineSeat& seat, asio::io_context& io);
  bool begin_work() noexcept;
  void end_work() noexcept;
  void stop_works() noexcept;
  void settle_lane(EngineSeat& seat);
  void lane_failed(const Thrown& thrown) noexcept;
  EngineActions take_actions(EngineSeat& seat);
  static void give_actions(EngineSeat& seat, EngineActions actions);

  asio::io_context& io_;
  DriverConfig config_;
  std::mutex engine_mutex_;
  PeerEngine engine_;      ///< With its mutex.
  EngineActions late_;     ///< Of lanes, for the io_context's thread; likewise.
  bool late_posted_ = false;
  EngineSeat seat_;
  std::unique_ptr<Lanes> lanes_;
  transport::NameLookup names_;
  std::shared_ptr<transport::Listener> listener_;
  transport::Links links_;
  asio::steady_timer timer_;
  std::optional<Instant> armed_;
  DescriptorShortage descriptors_;
  ViewId view_looked_at_;

  std::size_t master_at_ = 0;  ///< Of all masters: the one that is dialled.
  std::shared_ptr<transport::Dial> master_dial_;
  std::shared_ptr<transport::ControlConnection> master_;
  std::uint64_t master_generation_ = 0;  ///< A handler of an older connection has nothing to say.
  std::optional<Instant> master_missed_since_;
  Instant master_missed_tell_{};

  std::map<CallId, OwedAnswer> calls_;
  bool arming_posted_ = false;
  std::deque<EngineEvent> events_;  ///< Found while an action was performed or a frame handled.
  std::vector<std::string> to_master_;  ///< Messages that go when the links have been served.
  RecentChecksums recent_checksums_;    ///< Where there are no lanes.
  bool settling_ = false;
  std::shared_ptr<const CallDone> over_;  ///< Unless null: the engine is not asked any more; calls get this.
  std::atomic<bool> is_over_{false};      ///< The same, for lanes.
  std::mutex works_mutex_;
  std::condition_variable works_ended_;
  unsigned works_running_ = 0;  ///< On lanes.
  bool no_more_works_ = false;
  std::mutex lane_failure_mutex_;
  std::optional<Thrown> lane_failure_;

  // Made beforehand: how everything may end.
  std::shared_ptr<const CallDone> closed_;
  std::shared_ptr<CallDone> failed_;     ///< Its sentence has room for any.
  std::shared_ptr<EngineInfo> lost_info_;  ///< Likewise.

  mutable std::mutex info_mutex_;
  std::shared_ptr<const EngineInfo> info_;
  std::shared_ptr<WaitLog> wait_log_;
  std::shared_ptr<const WaitLog> shown_wait_log_;
  std::atomic<std::uint64_t> payload_bytes_received_{0};
  std::uint64_t interrupted_at_ = 0;
  std::function<void()> interruption_;
};

}  // namespace hawser
