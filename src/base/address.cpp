#include "base/address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/limits.hpp"

namespace hawser {
namespace {

/// The four numbers of an IPv4 literal.
std::optional<std::array<unsigned, 4>> read_v4(std::string_view text) {
  std::array<unsigned, 4> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts[i]);
    if (error != std::errc{} || parts[i] > 255) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i + 1 == parts.size()) break;
    if (text.empty() || text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return parts;
}

HostKind kind_of_v4(const std::array<unsigned, 4>& ip) {
  if (ip == std::array<unsigned, 4>{}) return HostKind::any;
  if (ip[0] == 127) return HostKind::loopback;
  const bool is_private = ip[0] == 10 || (ip[0] == 172 && ip[1] >= 16 && ip[1] < 32) || (ip[0] == 192 && ip[1] == 168);
  const bool is_shared = ip[0] == 100 && ip[1] >= 64 && ip[1] < 128;
  const bool is_link_local = ip[0] == 169 && ip[1] == 254;
  return is_private || is_shared || is_link_local ? HostKind::local : HostKind::global;
}

/// As inet_ntop writes it: lower case, the longest run of zeros left out.
HostKind kind_of_v6(std::string_view text) {
  if (text == "::") return HostKind::any;
  if (text == "::1") return HostKind::loopback;
  constexpr std::string_view kMapped = "::ffff:";
  if (text.starts_with(kMapped))
    if (const auto v4 = read_v4(text.substr(kMapped.size()))) return kind_of_v4(*v4);
  for (const std::string_view prefix : {"fc", "fd", "fe8", "fe9", "fea", "feb"})
    if (text.starts_with(prefix) && text.find(':') == 4) return HostKind::local;
  return HostKind::global;
}

}  // namespace

HostKind kind_of(const std::string& host) {
  if (host.find(':') != std::string::npos) return kind_of_v6(host);
  if (const auto v4 = read_v4(host)) return kind_of_v4(*v4);
  return host == "localhost" ? HostKind::loopback : HostKind::name;
}

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
  if (text.find("://") != std::string::npos) return refuse("a scheme such as tcp:// does not belong there");
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

Result<std::vector<Address>> parse_addresses(const std::string& text) {
  std::vector<Address> addresses;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string one = text.substr(begin, end - begin);
    one.erase(0, one.find_first_not_of(' '));
    one.erase(one.find_last_not_of(' ') + 1);
    auto address = parse_address(one);
    if (!address.ok()) return address.error();
    if (address->port == 0)
      return Error{Status::invalid_argument, "the address \"" + one + "\" has port 0, which cannot be dialled"};
    addresses.push_back(std::move(*address));
    begin = end + 1;
  }
  if (addresses.size() > limits::kMastersMax)
    return Error{Status::invalid_argument, "the list has " + std::to_string(addresses.size()) + " addresses; " +
                                               std::to_string(limits::kMastersMax) + " are the most"};
  return addresses;
}

Result<Address> parse_listen_address(const std::string& text) { return parse(text, true); }

}  // namespace hawser
