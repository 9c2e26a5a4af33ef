/// Hawser for C++20: RAII and spans over the C interface. hawser.h and hawser_shared_state.h have the contract of every
/// call: what it does, how long it blocks, which threads may call it, every result, and the state afterwards.
///
///     auto comm = hawser::Communicator::create({.master = "10.0.0.1:48500"});
///     if (!comm || !comm->connect()) return 1;
///     auto reduced = comm->all_reduce(gradients);   // in place, sum
///     if (!reduced) std::cerr << reduced.error().sentence << '\n';
#pragma once

#include <hawser.h>
#include <hawser/collectives.hpp>
#include <hawser/communicator.hpp>
#include <hawser/keys.hpp>
#include <hawser/operations.hpp>
#include <hawser/result.hpp>
#include <hawser/shared_state.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace hawser {
inline namespace v0 {

/// Empty strings and zeros mean the defaults of hawserMasterConfig_t (docs/defaults.md).
struct MasterConfig {
  std::string listen = {};
  std::uint32_t silence_ms = 0;
  std::uint32_t stall_ms = 0;
  std::uint32_t call_wait_ms = 0;
  std::uint32_t recovery_ms = 0;
  std::uint32_t bootstrap_ms = 0;
  std::uint32_t link_open_ms = 0;
  std::uint32_t connections_max = 0;
  hawserStragglerPolicy_t straggler_policy = hawserStragglerReport;
  std::uint32_t straggler_ms = 0;
  double straggler_ratio = 0;
  std::string secret_file = {};
  std::string rules_file = {};
  std::string masters = {};
  bool standby = false;
  std::string lease = {};
  std::string lease_ca = {};
  std::string lease_cert = {};
  std::string lease_key = {};
  bool insecure = false;
};

/// The process that knows who is a member of a run. The destructor stops it.
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
    c.straggler_policy = static_cast<std::uint32_t>(config.straggler_policy);
    c.straggler_ms = config.straggler_ms;
    c.straggler_ratio = config.straggler_ratio;
    c.secret_file = detail::or_null(config.secret_file);
    c.rules_file = detail::or_null(config.rules_file);
    c.masters = detail::or_null(config.masters);
    c.standby = config.standby ? 1 : 0;
    c.lease = detail::or_null(config.lease);
    c.lease_ca = detail::or_null(config.lease_ca);
    c.lease_cert = detail::or_null(config.lease_cert);
    c.lease_key = detail::or_null(config.lease_key);
    c.insecure = config.insecure ? 1 : 0;
    hawserMaster_t handle = nullptr;
    if (const auto code = hawserMasterCreate(&c, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return Master(handle);
  }

  /// The address that it listens on, with the real port. See hawserMasterGetAddress.
  std::string address() const {
    char text[HAWSER_ADDRESS_BYTES] = "";
    (void)hawserMasterGetAddress(handle_.get(), text, sizeof text);
    return text;
  }
  /// Serves in the calling thread until stop(). Blocks until then.
  Result<void> run() { return detail::check(hawserMasterRun(handle_.get())); }
  /// Serves in a thread of the library. Does not block.
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

}  // namespace v0
}  // namespace hawser
