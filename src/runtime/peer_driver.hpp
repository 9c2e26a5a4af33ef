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

#include "runtime/peer_engine.hpp"
#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/links.hpp"
#include "transport/listener.hpp"
#include "transport/name_lookup.hpp"

namespace hawser {

/// Where a thread of the application waits for the I/O thread's answer.
class Completion {
 public:
  Completion() = default;
  /// `at_end` is called by complete(), before anybody who waits goes on.
  explicit Completion(std::function<void(const CallDone&)> at_end) : at_end_(std::move(at_end)) {}

  void complete(CallDone done);
  /// Waits for the answer for so long; null if it did not come. The answer stays.
  const CallDone* wait_for(std::chrono::milliseconds bound);
  bool is_done() const;

 private:
  std::function<void(const CallDone&)> at_end_;
  mutable std::mutex mutex_;
  std::condition_variable done_cv_;
  std::optional<CallDone> done_;
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
class PeerDriver final : private transport::FrameTraffic {
 public:
  PeerDriver(asio::io_context& io, DriverConfig config, std::shared_ptr<transport::Listener> listener);
  ~PeerDriver() override;
  PeerDriver(const PeerDriver&) = delete;
  PeerDriver& operator=(const PeerDriver&) = delete;

  void start();
  /// Hands a call to the engine; `completion` gets its CallDone.
  void call(EngineEvent event, CallId id, std::shared_ptr<Completion> completion);
  /// Joins as a newcomer with a fresh id.
  void connect(CallId id, std::shared_ptr<PrefetchTarget> prefetch, std::vector<Term> terms,
               std::shared_ptr<Completion> completion);
  /// Leaves the run, ends all calls with Closed, and calls `gone` once the master has been told, or after
  /// half a second.
  void leave(std::function<void()> gone);
  /// Closes all sockets without a word and ends all calls: what the others would see if the process died.
  void vanish();
  /// After an exception: closes everything and ends all calls, those to come included, with this error.
  void fail(const Error& error);
  /// For tests: breaks the TCP connections of all links.
  void shut_down_links();

  /// From any thread.
  std::shared_ptr<const EngineInfo> info() const;
  bool master_is_up() const { return master_up_; }
  /// Of all frames that have begun to come in.
  std::uint64_t payload_bytes_received() const { return payload_bytes_received_; }

 private:
  // transport::FrameTraffic
  std::byte* frame_begins(transport::ConnectionName connection, const FrameHeader& header) override;
  void frame_moved(transport::ConnectionName connection) override;
  void frame_ends(transport::ConnectionName connection, bool intact) override;
  std::optional<transport::FrameToSend> next_frame(transport::ConnectionName connection) override;
  void link_up(transport::ConnectionName connection, const transport::Standing& standing) override;
  void link_down(transport::ConnectionName connection, std::string reason) override;
  void link_refused(PeerId peer) override;
  void link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) override;
  void settle() override;
  void log(LogEvent event) override;

  void step(const EngineEvent& event);
  void perform(EngineActions& actions);
  void perform_one(DialMaster& action);
  void perform_one(CloseMaster& action);
  void perform_one(SendMaster& action);
  void perform_one(OpenLink& action);
  void perform_one(CloseLink& action);
  void perform_one(WakeLink& action);
  void perform_one(WidenLink& action);
  void perform_one(ReleaseSend& action);
  void perform_one(ReleaseReceive& action);
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
  void close_everything();
  void end_calls(const Error& error);
  void publish();
  void arm_timer();
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

  std::map<CallId, std::shared_ptr<Completion>> calls_;
  std::deque<EngineEvent> events_;  ///< Found while an action was performed or a frame handled.
  std::vector<PeerId> wakes_;
  std::vector<EngineActions> spare_actions_;
  bool settling_ = false;
  std::optional<Error> over_;  ///< The engine is not asked any more; calls get this.

  mutable std::mutex info_mutex_;
  std::shared_ptr<const EngineInfo> info_;
  std::atomic<bool> master_up_{false};
  std::atomic<std::uint64_t> payload_bytes_received_{0};
};

}  // namespace hawser
