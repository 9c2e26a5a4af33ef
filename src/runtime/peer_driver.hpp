#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
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
#include "engine/ending_calls.hpp"
#include "engine/peer_engine.hpp"
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
  std::string advertise_host;  ///< Empty: as the master sees this peer.
  std::uint32_t connections_per_link = 0;
  TcpOptions tcp;
  bool check_same_host = false;
  std::uint64_t seed = 0;
};

/// Drives a PeerEngine over TCP: turns what comes from sockets, timers and the application into its events,
/// and performs its actions. Everything runs on the io_context's thread unless it says otherwise.
///
/// After an exception nothing is certain but this: no call is left waiting, and no input is left changed. So the
/// way there (fail) takes no memory and cannot fail itself.
class PeerDriver final : private transport::FrameTraffic {
 public:
  PeerDriver(asio::io_context& io, DriverConfig config, std::shared_ptr<transport::Listener> listener);
  ~PeerDriver() override;
  PeerDriver(const PeerDriver&) = delete;
  PeerDriver& operator=(const PeerDriver&) = delete;

  void start();
  /// Hands a call to the engine; `answer` gets its CallDone.
  void call(const EngineEvent& event, CallId id, OwedAnswer answer);
  /// Joins as a newcomer with a fresh id.
  void connect(CallId id, std::shared_ptr<PrefetchTarget> prefetch, std::vector<Term> terms, OwedAnswer answer);
  /// Leaves the run, ends all calls with Closed, and calls `gone` once the master has been told, or after
  /// half a second.
  void leave(std::function<void()> gone) noexcept;
  /// Closes all sockets without a word, puts all inputs back and ends all calls, those to come included, with
  /// closed: what the others would see if the process died.
  void vanish() noexcept;
  /// The same after an exception, with that as the error.
  void fail(const Thrown& thrown) noexcept;
  /// For tests: breaks the TCP connections of all links.
  void shut_down_links();

  /// From any thread.
  std::shared_ptr<const EngineInfo> info() const;
  const std::shared_ptr<const WaitLog>& wait_log() const { return shown_wait_log_; }
  /// Of all frames that have begun to come in.
  std::uint64_t payload_bytes_received() const { return payload_bytes_received_; }

 private:
  // transport::FrameTraffic
  std::byte* frame_begins(transport::ConnectionName connection, const FrameHeader& header) override;
  void frame_moved(transport::ConnectionName connection) override;
  void frame_ends(transport::ConnectionName connection, bool intact) override;
  std::optional<transport::FrameToSend> next_frame(transport::ConnectionName connection) override;
  void link_up(transport::ConnectionName connection, const transport::Standing& standing) override;
  void link_down(transport::ConnectionName connection, std::uint64_t incarnation, std::string reason) override;
  void link_refused(PeerId peer) override;
  void link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) override;
  void settle() override;
  void log(LogEvent event) override;

  template <class Ask>
  void ask(const Ask& ask);
  void step(const EngineEvent& event);
  void perform_one(DialMaster& action);
  void perform_one(CloseMaster& action);
  void perform_one(SendMaster& action);
  void perform_one(OpenLink& action);
  void perform_one(CloseLink& action);
  void perform_one(WakeLink& action);
  void perform_one(WidenLink& action);
  void perform_one(ReleaseSend& action);
  void perform_one(ReleaseReceive& action);
  void perform_one(RunWork& action);
  void perform_one(RestoreInput& action);
  void perform_one(SettleResult& action);
  void perform_one(DropConnection& action);
  void perform_one(CallDone& action);
  void perform_one(LogEvent& action);

  void master_dialled(Result<transport::Tcp::socket> result);
  void master_said(const std::string& message);
  void master_broke(std::string reason);
  void master_is_missed(const std::string& why);
  void is_no_master(const std::string& why);
  void forget_master();
  void tell_end(CallDone done) noexcept;
  void work_on_endings_later();
  void end(const std::shared_ptr<const CallDone>& why) noexcept;
  bool is_stale(const EngineEvent& event) const;
  void publish();
  void arm_timer_later();
  void arm_timer();
  void run_works();
  EngineActions take_actions();
  void give_actions(EngineActions actions);

  asio::io_context& io_;
  DriverConfig config_;
  PeerEngine engine_;
  transport::NameLookup names_;
  std::shared_ptr<transport::Listener> listener_;
  transport::Links links_;
  asio::steady_timer timer_;
  std::optional<Instant> armed_;

  std::shared_ptr<transport::Dial> master_dial_;
  std::shared_ptr<transport::ControlConnection> master_;
  std::uint64_t master_generation_ = 0;  ///< A handler of an older connection has nothing to say.
  std::optional<Instant> master_missed_since_;
  Instant master_missed_tell_{};

  std::map<CallId, OwedAnswer> calls_;
  std::deque<RunWork> works_;
  bool running_works_ = false;
  WorkDesk desk_;
  EndingCalls endings_;
  bool ending_posted_ = false;
  bool arming_posted_ = false;
  std::deque<EngineEvent> events_;  ///< Found while an action was performed or a frame handled.
  std::vector<PeerId> wakes_;
  std::vector<EngineActions> spare_actions_;
  bool settling_ = false;
  std::shared_ptr<const CallDone> over_;  ///< Unless null: the engine is not asked any more; calls get this.

  // Made beforehand: how everything may end.
  std::shared_ptr<const CallDone> closed_;
  std::shared_ptr<CallDone> failed_;     ///< Its sentence has room for any.
  std::shared_ptr<EngineInfo> lost_info_;  ///< Likewise.

  mutable std::mutex info_mutex_;
  std::shared_ptr<const EngineInfo> info_;
  std::shared_ptr<WaitLog> wait_log_;
  std::shared_ptr<const WaitLog> shown_wait_log_;
  std::atomic<std::uint64_t> payload_bytes_received_{0};
};

}  // namespace hawser
