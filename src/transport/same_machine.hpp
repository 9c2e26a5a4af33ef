#pragma once

#include <cstdint>

#include "base/digest128.hpp"
#include "transport/socket_options.hpp"

/// Whether two processes share a machine. An address does not tell: behind a loopback address there may be a tunnel, a
/// proxy or a sidecar to another machine, or one that changes bytes. The Linux way is in same_machine_linux.cpp;
/// elsewhere nothing is known, and payloads carry their checksums.
namespace hawser::transport {

/// Equal for processes of one machine since it started, and in one network name space of it; 0: not known. Reads it
/// once.
std::uint64_t this_machine();

/// A digest of the machine and of both ends of a connection, the dialling one first. Both ends find the same only if
/// they are on one machine and each sees the very socket of the other. All zero: not known.
Digest128 machine_proof(const Tcp::socket& socket, bool is_dialler);

/// Whether the other side's proof is this side's.
bool proves_same_machine(const Digest128& mine, const Digest128& theirs);

}  // namespace hawser::transport
