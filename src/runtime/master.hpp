#pragma once

#include <asio/io_context.hpp>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/thrown.hpp"
#include "membership/master_machine.hpp"
#include "runtime/master_lease.hpp"
#include "runtime/run_access.hpp"

namespace hawser {

namespace transport {
class Listener;
}

struct MasterOptions {
  /// An empty host: all interfaces, IPv4 and IPv6.
  Address listen{.host = "", .port = 48500};
  MasterConfig bounds;
  /// Masters that may serve the run in its place; its own address may be among them. With is_standby in `bounds` it
  /// takes runs over, and begins none.
  std::vector<Address> others{};
  /// Whoever of these holds it serves the run, with whichever of its members come. Without a place: enough of these.
  LeaseChoice lease{};
  std::uint32_t connections_max = 4096;
  AccessChoice access{};
  /// Where rules that operators change are kept. Empty: until the master ends.
  std::string rules_file{};
};

/// The membership authority as a service. hawser.h has the contract of every call. Safe from several threads.
class Master {
 public:
  /// Binds and listens; peers may dial from now on. Errors: system; invalid_argument, for a key that no master may
  /// hold, an address that needs one, or a file that is not what it should be.
  static Result<std::unique_ptr<Master>> create(MasterOptions options);
  /// Stops if need be.
  ~Master();
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  /// With the real port. Of all interfaces "0.0.0.0", which peers on this host can dial: "::" is of no use to them
  /// where IPv6 is switched off.
  const Address& address() const { return address_; }

  /// Serves in the calling thread until stop(). Errors: invalid_usage (one run per master), internal.
  Result<void> run();
  /// Serves in a thread of its own. Errors: invalid_usage, system.
  Result<void> start();
  /// Ends the run and waits for that, a second at most. The port is free then.
  void stop();

 private:
  enum class Phase { created, running, ended };

  Master(MasterOptions options, RunAccess access, std::optional<AdmissionRules> rules,
         std::optional<lease::EtcdSetup> lease, std::unique_ptr<asio::io_context> io, std::shared_ptr<transport::Listener> listener);
  Result<void> begin();
  std::optional<Thrown> serve() noexcept;

  MasterOptions options_;
  RunAccess access_;
  std::optional<AdmissionRules> rules_;  ///< None: there is no file of them yet.
  std::optional<lease::EtcdSetup> lease_;
  long process_;
  std::unique_ptr<asio::io_context> io_;
  std::shared_ptr<transport::Listener> listener_;
  Address address_;
  std::mutex mutex_;
  std::condition_variable ended_;
  Phase phase_ = Phase::created;
  std::thread thread_;
};

}  // namespace hawser
