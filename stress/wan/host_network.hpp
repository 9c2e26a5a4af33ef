#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "wan/file_descriptor.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// A host's kernel network: a namespace without a name, with a loopback and one TUN device that holds the
/// host's address. Both go when the descriptors are closed and the last process in it has ended, however the
/// owner ends.
struct HostNetwork {
  FileDescriptor name_space;
  FileDescriptor tun;  ///< Frames with an offload header before each packet; does not block.
};

/// Needs root. Does not change the caller's namespace. `address`: of the device. `congestion_control` "": the system's
/// default.
Result<HostNetwork> make_host_network(const Spec& spec, std::uint32_t address, const std::string& congestion_control);

/// Frames that the host's device dropped before the router could read them: a lab that is not true.
/// None if the namespace can't be asked.
Result<std::uint64_t> device_drops(const HostNetwork& network);

/// What this kernel offers.
std::vector<std::string> available_congestion_controls();

/// Status::refused and why, if no lab can be made here: no root, no TUN device, no namespaces.
Result<void> check_permissions();

}  // namespace hawser::wan
