#include "base/address.hpp"

#include <charconv>

#include "base/limits.hpp"

namespace hawser {

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

namespace {

Result<Address> parse(const std::string& text, bool host_may_miss) {
  const auto refuse = [&](const char* why) {
    return Error{Status::invalid_argument,
                 "\"" + text + "\" is not an address: " + why +
                     "; write HOST:PORT, for example 10.0.0.1:48500, [::1]:48500 or example.org:48500"};
  };
  std::string host;
  std::string port;
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string::npos || close + 1 >= text.size() || text[close + 1] != ':')
      return refuse("\"]:\" is missing");
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
  } else {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) return refuse("the port is missing");
    if (text.find(':') != colon) return refuse("an IPv6 address needs brackets");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty() && !(host_may_miss && text.front() == ':')) return refuse("the host is missing");
  if (host.size() > limits::kHostBytesMax) return refuse("the host is too long");
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number > 65535)
    return refuse("the port is not a number from 0 to 65535");
  return Address{.host = host, .port = static_cast<std::uint16_t>(number)};
}

}  // namespace

Result<Address> parse_address(const std::string& text) { return parse(text, false); }

Result<Address> parse_listen_address(const std::string& text) { return parse(text, true); }

}  // namespace hawser
