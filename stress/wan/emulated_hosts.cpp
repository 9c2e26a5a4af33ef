#include "churn/emulated_hosts.hpp"

#include <utility>

#include "wan/commands.hpp"
#include "wan/lab.hpp"
#include "wan/named_specs.hpp"

namespace hawser::churn {
namespace {

class LabHosts final : public EmulatedHosts {
 public:
  explicit LabHosts(std::unique_ptr<wan::Lab> lab) : lab_(std::move(lab)) {}
  std::uint32_t count() const override { return lab_->spec().host_count(); }
  std::string name_space(std::uint32_t host) const override {
    return lab_->name_space_path(static_cast<wan::HostIndex>(host));
  }
  std::string address(std::uint32_t host) const override {
    return wan::address_text(lab_->addresses().inside(static_cast<wan::HostIndex>(host)));
  }
  std::string outside(std::uint32_t host) const override {
    return wan::address_text(lab_->addresses().outside(static_cast<wan::HostIndex>(host)));
  }
  void stop_and_report() override { lab_->stop_and_report(); }

 private:
  std::unique_ptr<wan::Lab> lab_;
};

EmulatedHosts::Made none(const Error& error) {
  const bool refused = error.status == Status::refused;
  const bool wrong = error.status == Status::invalid_argument;
  return {.hosts = nullptr,
          .why = error.sentence,
          .exit_status = refused ? wan::kExitNoPermission : wrong ? wan::kExitUsage : wan::kExitSystem};
}

}  // namespace

EmulatedHosts::Made EmulatedHosts::make(const std::string& spec, std::uint32_t hosts) {
  auto loaded = wan::load_spec(spec, static_cast<wan::HostIndex>(hosts));
  if (!loaded) return none(loaded.error());
  auto lab = wan::Lab::make(*loaded, "");
  if (!lab) return none(lab.error());
  return {.hosts = std::make_unique<LabHosts>(std::move(*lab)), .why = {}, .exit_status = 0};
}

}  // namespace hawser::churn
