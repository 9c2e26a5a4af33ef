#include <cstring>

#include "access.hpp"
#include "boundary.hpp"
#include "handles.hpp"

namespace capi = hawser::capi;
using hawser::Result;

namespace {

Result<hawser::MasterOptions> options_of(const hawserMasterConfig_t& callers) {
  const auto config = capi::read_struct(callers, "hawserMasterConfig_t");
  if (!config.ok()) return config.error();
  hawser::MasterOptions options;
  if (config->listen != nullptr) {
    auto listen = hawser::parse_listen_address(config->listen);
    if (!listen.ok()) return listen.error();
    options.listen = std::move(*listen);
  }
  capi::set_bound(options.bounds.silence, config->silence_ms);
  capi::set_bound(options.bounds.stall, config->stall_ms);
  capi::set_bound(options.bounds.call_wait, config->call_wait_ms);
  capi::set_bound(options.bounds.recovery, config->recovery_ms);
  capi::set_bound(options.bounds.bootstrap, config->bootstrap_ms);
  capi::set_bound(options.bounds.link_open, config->link_open_ms);
  if (config->insecure > 1) return capi::invalid_argument("insecure is 0 or 1");
  options.access = capi::access_of(config->secret_file, config->insecure);
  if (config->rules_file != nullptr) options.rules_file = config->rules_file;
  if (config->standby > 1) return capi::invalid_argument("standby is 0 or 1");
  options.bounds.is_standby = config->standby != 0;
  if (config->masters != nullptr) {
    auto masters = hawser::parse_addresses(config->masters);
    if (!masters.ok()) return masters.error();
    options.others = std::move(*masters);
  }
  const auto text = [](const char* one) { return one == nullptr ? std::string() : std::string(one); };
  options.lease = {.place = text(config->lease),
                   .ca_file = text(config->lease_ca),
                   .cert_file = text(config->lease_cert),
                   .key_file = text(config->lease_key)};
  if (config->connections_max != 0) options.connections_max = config->connections_max;
  if (config->straggler_policy > hawserStragglerExpel)
    return capi::invalid_argument("there is no straggler policy " + std::to_string(config->straggler_policy) +
                                  "; use hawserStragglerReport or hawserStragglerExpel");
  options.bounds.straggler_policy = static_cast<hawser::StragglerPolicy>(config->straggler_policy);
  capi::set_bound(options.bounds.straggler, config->straggler_ms);
  if (!(config->straggler_ratio >= 0 && config->straggler_ratio <= 1))
    return capi::invalid_argument("straggler_ratio must be between 0 and 1");
  if (config->straggler_ratio != 0)
    options.bounds.straggler_percent =
        std::max(1U, static_cast<std::uint32_t>(config->straggler_ratio * 100 + 0.5));
  return options;
}

hawserResult_t null_master() { return capi::report(capi::invalid_argument("the master is null")); }

}  // namespace

extern "C" {

hawserResult_t hawserMasterCreate(const hawserMasterConfig_t* config, hawserMaster_t* master) {
  return capi::guarded([&] {
    if (master == nullptr) return capi::report(capi::invalid_argument("the output argument for the master is null"));
    const hawserMasterConfig_t defaults = HAWSER_MASTER_CONFIG_INIT;
    auto options = options_of(config != nullptr ? *config : defaults);
    if (!options.ok()) return capi::report(options.error());
    auto handle = std::make_unique<hawserMaster>();
    auto created = hawser::Master::create(std::move(*options));
    if (!created.ok()) return capi::report(created.error());
    handle->master = std::move(*created);
    *master = handle.release();
    return hawserSuccess;
  });
}

hawserResult_t hawserMasterGetAddress(hawserMaster_t master, char* buffer, size_t buffer_bytes) {
  return capi::guarded([&] {
    if (master == nullptr) return null_master();
    if (buffer == nullptr) return capi::report(capi::invalid_argument("the buffer is null"));
    const std::string text = to_string(master->master->address());
    if (text.size() >= buffer_bytes)
      return capi::report(capi::invalid_argument("the address takes " + std::to_string(text.size() + 1) +
                                                 " bytes with its closing zero; the buffer holds " +
                                                 std::to_string(buffer_bytes)));
    std::memcpy(buffer, text.c_str(), text.size() + 1);
    return hawserSuccess;
  });
}

hawserResult_t hawserMasterRun(hawserMaster_t master) {
  return capi::guarded(
      [&] { return master == nullptr ? null_master() : capi::report(master->master->run()); });
}

hawserResult_t hawserMasterStart(hawserMaster_t master) {
  return capi::guarded(
      [&] { return master == nullptr ? null_master() : capi::report(master->master->start()); });
}

hawserResult_t hawserMasterStop(hawserMaster_t master) {
  return capi::guarded([&] {
    if (master == nullptr) return null_master();
    master->master->stop();
    return hawserSuccess;
  });
}

hawserResult_t hawserMasterDestroy(hawserMaster_t master) {
  return capi::guarded([&] {
    delete master;
    return hawserSuccess;
  });
}

}  // extern "C"
