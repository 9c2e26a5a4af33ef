#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace hawser {

/// Where something listens: host is an IPv4 or IPv6 literal (no brackets) or a name.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

/// Who can dial a host, as far as its text tells.
enum class HostKind : std::uint8_t {
  name,      ///< A host name: only a look-up tells.
  any,       ///< "0.0.0.0", "::": every interface of a machine, and no address to dial.
  loopback,  ///< 127.0.0.0/8, ::1, and the name localhost: the same machine only.
  local,     ///< Private (RFC 1918, RFC 4193), shared (RFC 6598) or link-local: the same network, or a VPN.
  global,    ///< Any other literal.
};
HostKind kind_of(const std::string& host);

/// "1.2.3.4:5", "[::1]:5", "name:5".
std::string to_string(const Address& address);

/// Reads what to_string writes. Errors: invalid_argument with a sentence that quotes the text.
Result<Address> parse_address(const std::string& text);

/// Several, separated by commas: 1 to kMastersMax of them.
Result<std::vector<Address>> parse_addresses(const std::string& text);

/// The same for a place to listen at, where the host may be left out: ":5" is port 5 of all interfaces.
Result<Address> parse_listen_address(const std::string& text);

}  // namespace hawser
