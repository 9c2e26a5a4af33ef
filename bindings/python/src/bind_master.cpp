#include <hawser.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <hawser/result.hpp>
#include <optional>
#include <string>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

/// A master that serves in a thread of the library. Calls one at a time: hawser.master sees to that.
class MasterHandle {
 public:
  explicit MasterHandle(const hawserMasterConfig_t& config) : process_(::getpid()) {
    check(hawserMasterCreate(&config, &handle_));
    const Outcome started = outcome_of(hawserMasterStart(handle_));
    if (!started.ok()) {
      (void)hawserMasterDestroy(handle_);
      raise(started);
    }
  }
  ~MasterHandle() { close(); }
  MasterHandle(const MasterHandle&) = delete;
  MasterHandle& operator=(const MasterHandle&) = delete;

  std::string address() const {
    if (handle_ == nullptr) raise_closed("this master is closed");
    std::array<char, HAWSER_ADDRESS_BYTES> text{};
    check(hawserMasterGetAddress(handle_, text.data(), text.size()));
    return text.data();
  }
  void close() {
    // In a forked process its thread does not exist.
    if (handle_ == nullptr || process_ != ::getpid()) return;
    hawserMaster_t ending = std::exchange(handle_, nullptr);
    const GilReleased released;
    (void)hawserMasterDestroy(ending);
  }

 private:
  long process_;
  hawserMaster_t handle_ = nullptr;
};

}  // namespace

void bind_master(nb::module_& module) {
  nb::class_<MasterHandle>(module, "MasterHandle")
      .def(
          "__init__",
          [](MasterHandle* self, const std::optional<std::string>& listen, std::uint32_t silence_ms,
             std::uint32_t stall_ms, std::uint32_t call_wait_ms, std::uint32_t recovery_ms,
             std::uint32_t bootstrap_ms, std::uint32_t link_open_ms, std::uint32_t connections_max,
             std::uint32_t straggler_policy, std::uint32_t straggler_ms, double straggler_ratio,
             const std::string& secret_file, const std::string& rules_file, bool insecure,
             const std::string& masters, bool standby, const std::string& lease,
             const std::string& lease_ca, const std::string& lease_cert, const std::string& lease_key) {
            hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
            config.listen = listen ? listen->c_str() : nullptr;
            config.silence_ms = silence_ms;
            config.stall_ms = stall_ms;
            config.call_wait_ms = call_wait_ms;
            config.recovery_ms = recovery_ms;
            config.bootstrap_ms = bootstrap_ms;
            config.link_open_ms = link_open_ms;
            config.connections_max = connections_max;
            config.straggler_policy = straggler_policy;
            config.straggler_ms = straggler_ms;
            config.straggler_ratio = straggler_ratio;
            config.secret_file = hawser::detail::or_null(secret_file);
            config.rules_file = hawser::detail::or_null(rules_file);
            config.insecure = insecure ? 1 : 0;
            config.masters = hawser::detail::or_null(masters);
            config.standby = standby ? 1 : 0;
            config.lease = hawser::detail::or_null(lease);
            config.lease_ca = hawser::detail::or_null(lease_ca);
            config.lease_cert = hawser::detail::or_null(lease_cert);
            config.lease_key = hawser::detail::or_null(lease_key);
            new (self) MasterHandle(config);
          },
          nb::kw_only(), nb::arg("listen").none(), nb::arg("silence_ms"), nb::arg("stall_ms"),
          nb::arg("call_wait_ms"), nb::arg("recovery_ms"), nb::arg("bootstrap_ms"), nb::arg("link_open_ms"),
          nb::arg("connections_max"), nb::arg("straggler_policy"), nb::arg("straggler_ms"),
          nb::arg("straggler_ratio"), nb::arg("secret_file"), nb::arg("rules_file"), nb::arg("insecure"),
          nb::arg("masters"), nb::arg("standby"), nb::arg("lease"), nb::arg("lease_ca"), nb::arg("lease_cert"),
          nb::arg("lease_key"))
      .def("address", &MasterHandle::address)
      .def("close", &MasterHandle::close);
}

}  // namespace hawser_python
