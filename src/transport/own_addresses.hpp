#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace hawser::transport {

/// Addresses of this machine's interfaces that other machines may reach, so many at most: no loopback and no link-local
/// ones, IPv4 first. Empty where the system does not tell.
std::vector<std::string> own_addresses(std::size_t most);

}  // namespace hawser::transport
