#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "wan/file_descriptor.hpp"
#include "wan/host_addresses.hpp"

namespace hawser::wan {

/// What commands are told of a host.
struct HostWords {
  std::string inside;   ///< The address of its device.
  std::string outside;  ///< By which the others reach it.
};
std::vector<HostWords> words_of(const HostAddresses& addresses);

/// A file without a name that has them, for whoever finds it among the open ones of this process.
Result<FileDescriptor> make_host_list(const HostAddresses& addresses);
/// Of a process that keeps such a file open, as a path in /proc; empty: it does not.
std::vector<HostWords> read_host_list(const std::string& process);

}  // namespace hawser::wan
