#include "transport/own_addresses.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/ip/address.hpp>
#include <cstring>

namespace hawser::transport {
namespace {

/// Unspecified: none that is of use.
asio::ip::address address_of(const ifaddrs& one) {
  if (one.ifa_addr == nullptr || (one.ifa_flags & IFF_UP) == 0 || (one.ifa_flags & IFF_LOOPBACK) != 0) return {};
  if (one.ifa_addr->sa_family == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, one.ifa_addr, sizeof inet);
    const asio::ip::address_v4 address(ntohl(inet.sin_addr.s_addr));
    const bool is_link_local = (address.to_uint() & 0xffff0000U) == 0xa9fe0000U;
    return is_link_local || address.is_loopback() ? asio::ip::address() : asio::ip::address(address);
  }
  if (one.ifa_addr->sa_family != AF_INET6) return {};
  sockaddr_in6 inet{};
  std::memcpy(&inet, one.ifa_addr, sizeof inet);
  asio::ip::address_v6::bytes_type bytes{};
  std::memcpy(bytes.data(), &inet.sin6_addr, bytes.size());
  const asio::ip::address_v6 address(bytes);
  return address.is_link_local() || address.is_loopback() ? asio::ip::address() : asio::ip::address(address);
}

}  // namespace

std::vector<std::string> own_addresses(std::size_t most) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  std::vector<asio::ip::address> found;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next)
    if (const asio::ip::address address = address_of(*one); !address.is_unspecified()) found.push_back(address);
  ::freeifaddrs(list);
  std::stable_partition(found.begin(), found.end(), [](const asio::ip::address& one) { return one.is_v4(); });
  if (found.size() > most) found.resize(most);
  std::vector<std::string> texts;
  for (const asio::ip::address& one : found) texts.push_back(one.to_string());
  return texts;
}

}  // namespace hawser::transport
