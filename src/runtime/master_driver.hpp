#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/token_bucket.hpp"
#include "membership/master_machine.hpp"
#include "runtime/master_lease.hpp"
#include "runtime/master_looks.hpp"
#include "runtime/run_access.hpp"
#include "transport/control_connection.hpp"
#include "transport/listener.hpp"

namespace hawser {

/// Drives a MasterMachine over TCP. Everything runs on the io_context's thread.
///
/// Members are read when there is something to read. All others wait in a line: a few are read between two looks at the
/// members, 16 KiB each, and whoever says more than its kind needs is not read for a while, so that its own buffers
/// fill. A message that cannot be dealt with costs the connection that it came over.
class MasterDriver {
 public:
  struct Setup {
    MasterConfig bounds;
    std::uint32_t connections_max = 4096;
    std::uint64_t seed = 0;
    std::string name;  ///< For the log.
    RunAccess access{};
    std::optional<AdmissionRules> rules{};  ///< None: there is no file of them yet.
    std::vector<Address> others{};  ///< Masters that may serve the run in its place.
    std::optional<lease::EtcdSetup> lease{};  ///< None: enough of its members decide who serves the run.
    std::string rules_file{};  ///< Empty: changed rules last as long as the driver.
  };
  MasterDriver(asio::io_context& io, Setup setup, std::shared_ptr<transport::Listener> listener);
  ~MasterDriver();
  MasterDriver(const MasterDriver&) = delete;
  MasterDriver& operator=(const MasterDriver&) = delete;

  void start();
  /// Closes everything; nothing happens any more.
  void close();

 private:
  struct Client {
    std::shared_ptr<transport::ControlConnection> connection;
    std::string remote_host;
    bool leaving = false;
    bool in_line = false;  ///< To be read.
    ConnectionRole role = ConnectionRole::stranger;
    bool is_authenticated = false;  ///< The machine knows what it has proven.
    TokenBucket allowance;
  };

  void accepted(transport::Stream stream, const std::string& remote_host);
  void said(ConnectionId id, const std::string& message);
  void broke(ConnectionId id, std::string reason);
  void cut(ConnectionId id, const std::string& reason);
  void wait_in_line(ConnectionId id);
  void read_line();
  void settle();
  void step(const MasterEvent& event);
  void perform(MasterActions& actions);
  void perform_one(SendToPeer& action);
  void perform_one(SendToPeers& action);
  void send_framed(ConnectionId id, const std::string& framed);
  void perform_one(SetConnectionRole& action);
  void perform_one(CloseConnection& action);
  void perform_one(KeepRules& action);
  void perform_one(GiveLeaseUp& action);
  void perform_one(LogEvent& action);
  void arm_timer();
  void look_for_others();
  void lease_says(const LeaseAction& action);
  void log(LogLevel level, const char* what, std::string text);

  asio::io_context& io_;
  Setup setup_;
  std::string rules_not_kept_;  ///< For the answer to the command that changed them; empty: they were kept.
  MasterMachine machine_;
  std::shared_ptr<transport::Listener> listener_;
  asio::steady_timer timer_;
  std::unique_ptr<MasterLooks> looks_;  ///< Null where there are no others.
  std::unique_ptr<MasterLease> lease_;  ///< Null where none is configured.
  asio::steady_timer look_timer_;
  bool look_is_due_ = false;            ///< The timer waits for that.
  std::optional<Instant> armed_;
  std::map<ConnectionId, Client> clients_;
  std::deque<ConnectionId> line_;  ///< Of those that are no members, to be read.
  bool line_moves_ = false;
  std::uint64_t next_id_ = 1;
  std::deque<MasterEvent> events_;
  bool settling_ = false;
  bool closed_ = false;
};

}  // namespace hawser
