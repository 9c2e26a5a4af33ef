#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace hawser {

/// Where something listens: host is an IPv4 or IPv6 literal (no brackets) or a name.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

/// "1.2.3.4:5", "[::1]:5", "name:5".
std::string to_string(const Address& address);

/// Reads what to_string writes. Errors: invalid_argument with a sentence that quotes the text.
Result<Address> parse_address(const std::string& text);

/// The same for a place to listen at, where the host may be left out: ":5" is port 5 of all interfaces.
Result<Address> parse_listen_address(const std::string& text);

}  // namespace hawser
