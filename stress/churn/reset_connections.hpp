#pragma once

#include <cstdint>
#include <string>

namespace hawser::churn {

/// Resets this process's TCP connections to that address ("HOST:PORT", a literal), as a router on the way might: both
/// ends see "connection reset", and what was under way is lost. How many there were. From any thread. Linux; elsewhere
/// 0.
std::uint32_t reset_connections_to(const std::string& address);

}  // namespace hawser::churn
