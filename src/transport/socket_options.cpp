#include "transport/socket_options.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <asio/error.hpp>
#include <asio/ip/v6_only.hpp>
#include <cctype>

namespace hawser::transport {

void allow_rebinding(int fd) {
  const int on = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

void share_port(int fd) {
  const int on = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

std::error_code bind_for_dial(Tcp::socket& socket, const Tcp& protocol, const std::string& host, std::uint16_t port) {
  std::error_code error;
  asio::ip::address address = asio::ip::make_address(host.empty() ? "::" : host, error);
  if (error) return error;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  const bool is_v4 = protocol == Tcp::v4();
  if (address.is_unspecified())
    address = is_v4 ? asio::ip::address(asio::ip::address_v4::any()) : asio::ip::address(asio::ip::address_v6::any());
  if (address.is_v4() != is_v4) return asio::error::address_family_not_supported;
  allow_rebinding(socket.native_handle());
  share_port(socket.native_handle());
  if (!is_v4) socket.set_option(asio::ip::v6_only(true), error);
  socket.bind({address, port}, error);
  return error;
}

std::string plain_host(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

std::string reason_of(const std::error_code& error) {
  if (error == asio::error::eof) return "closed by the other side";
  std::string text = error.message();
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

std::string source_of(const Tcp::socket& socket) {
  std::error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return {};
  const auto& address = remote.address();
  if (address.is_v4() || address.to_v6().is_v4_mapped() || address.to_v6().is_loopback()) return plain_host(address);
  auto bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return asio::ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace hawser::transport
