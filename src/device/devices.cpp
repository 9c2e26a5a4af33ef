#include "device/devices.hpp"

#include <cstdlib>
#include <mutex>

#include "device/cuda_devices.hpp"
#include "device/no_devices.hpp"
#include "device/sim_devices.hpp"

namespace hawser::device {
namespace {

Result<std::unique_ptr<Devices>> find_devices() {
  const char* const named = std::getenv("HAWSER_DEVICE");
  const std::string name = named == nullptr ? "" : named;
  const std::size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  if (kind == "sim") {
    const auto config = parse_sim_config(colon == std::string::npos ? "" : name.substr(colon + 1));
    if (!config.ok()) return config.error();
    return std::unique_ptr<Devices>(SimDevices::make(*config));
  }
  if (name.empty()) return cuda_devices(false);
  if (name == "cuda") return cuda_devices(true);
  if (name == "none") return std::unique_ptr<Devices>(std::make_unique<NoDevices>());
  return Error{
      Status::invalid_argument,
      "HAWSER_DEVICE is '" + name + "'; it can be cuda, none, or sim with options such as sim:seed=7,gbit=100"};
}

}  // namespace

Result<Devices*> devices() {
  // Kept until the process ends: streams and memory of callers may outlive everything else.
  static const auto* const found = new Result<std::unique_ptr<Devices>>(find_devices());
  if (!found->ok()) return found->error();
  return found->value().get();
}

}  // namespace hawser::device
