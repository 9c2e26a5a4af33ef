#include "churn/held_port.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "catch.hpp"

using namespace hawser::churn;

namespace {

/// A socket that listens there as a master does; -1 if it may not.
int listen_at(const std::string& held) {
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(held.c_str() + held.find(':') + 1)));
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(socket >= 0);
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(socket, 8) == 0)
    return socket;
  ::close(socket);
  return -1;
}

}  // namespace

TEST_CASE("who is told of a held port may listen there, again and again") {
  const HeldPort first;
  const HeldPort second;
  CHECK(first.address() != second.address());
  for (int i = 0; i < 3; ++i) {
    const int socket = listen_at(first.address());
    CHECK(socket >= 0);
    ::close(socket);
  }
}
