#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <asio/read.hpp>
#include <asio/write.hpp>

#include "link_fixture.hpp"
#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"

using namespace hawser;
using namespace hawser::test;
using transport::ControlConnection;
using transport::Dial;
using transport::apply;
using transport::check_congestion_control;
using transport::open_socket;

namespace {

struct SocketPair {
  explicit SocketPair(asio::io_context& io) : here(io), there(io) {
    auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
    listener->start({.accepted = [&](Stream stream, const std::string&) { there = std::move(stream); },
                     .log = [](const LogEvent&) {}});
    NameLookup names(io);
    const auto dial = Dial::start(io, names, {.host = "127.0.0.1", .port = listener->address().port},
                                  [&](Result<Stream> result) { here = std::move(result.value()); });
    REQUIRE(run_until(io, [&] { return here.is_open() && there.is_open(); }));
    listener->close();
  }
  Stream here, there;
};

int option(const Stream& stream, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  REQUIRE(::getsockopt(const_cast<Stream&>(stream).native_handle(), level, name, &value, &bytes) == 0);
  return value;
}

}  // namespace

TEST_CASE("every connection has its options, dialled and accepted") {
  asio::io_context io;
  SocketPair pair(io);
  for (Stream* socket : {&pair.here, &pair.there}) {
    CHECK(option(*socket, IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK(option(*socket, SOL_SOCKET, SO_KEEPALIVE) != 0);
#if defined(__linux__)
    CHECK(option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT) > 0);
#endif
    CHECK((::fcntl(socket->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("a congestion control and buffers can be chosen, and one that is not there is refused with a sentence") {
  REQUIRE(check_congestion_control("").ok());
  REQUIRE(check_congestion_control("reno").ok());
  const auto refused = check_congestion_control("no_such");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().status == Status::invalid_argument);
  CHECK(refused.error().sentence.find("no_such") != std::string::npos);
  CHECK(refused.error().sentence.find("reno") != std::string::npos);
  asio::io_context io;
  Tcp::socket socket(io);
  REQUIRE_FALSE(open_socket(socket, Tcp::v4()));
  apply({.congestion_control = "reno", .send_buffer_bytes = 100'000, .receive_buffer_bytes = 50'000}, socket);
  std::array<char, 16> name{};
  socklen_t bytes = name.size();
  REQUIRE(::getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &bytes) == 0);
  CHECK(std::string(name.data()) == "reno");
  asio::socket_base::send_buffer_size send;
  asio::socket_base::receive_buffer_size receive;
  socket.get_option(send);
  socket.get_option(receive);
  CHECK(send.value() == 100'000);
  CHECK(receive.value() == 50'000);
}

TEST_CASE("control messages come in whole and in order") {
  asio::io_context io;
  SocketPair pair(io);
  std::vector<std::string> got;
  std::string broken;
  const auto receiver = ControlConnection::start(
      std::move(pair.there), {.message = [&](const std::string& message) { got.push_back(message); },
                              .broken = [&](std::string reason) { broken = std::move(reason); },
                              .settle = [] {}});
  const auto sender = ControlConnection::start(
      std::move(pair.here),
      {.message = [](const std::string&) {}, .broken = [](const std::string&) {}, .settle = [] {}});
  std::vector<std::string> sent;
  for (int i = 0; i < 50; ++i)
    sent.push_back(std::string(static_cast<std::size_t>(i * i * 37), static_cast<char>('a' + i % 26)));
  sent.push_back(std::string(limits::kControlMessageBytesMax, 'z'));
  for (const auto& message : sent) sender->send(message);
  bool closed = false;
  sender->close_after_sending([&] { closed = true; });
  REQUIRE(run_until(io, [&] { return !broken.empty() && closed; }));
  CHECK((got == sent));
}

TEST_CASE("a receiver that does not read is closed") {
  asio::io_context io;
  SocketPair pair(io);
  std::string broken;
  const auto sender = ControlConnection::start(
      std::move(pair.here), {.message = [](const std::string&) {},
                             .broken = [&](std::string reason) { broken = std::move(reason); },
                             .settle = [] {}});
  const std::string message(500'000, 'x');
  for (int i = 0; i < 200 && broken.empty(); ++i) sender->send(message);
  CHECK_FALSE(broken.empty());
  sender->send(message);
}

TEST_CASE("an oversized length on a control connection ends it before memory is taken") {
  asio::io_context io;
  SocketPair pair(io);
  std::string broken;
  const auto receiver = ControlConnection::start(
      std::move(pair.there), {.message = [](const std::string&) {},
                              .broken = [&](std::string reason) { broken = std::move(reason); },
                              .settle = [] {}});
  std::string framed = frame_control("x");
  framed.replace(4, 4, "\xff\xff\xff\x7f");
  asio::write(pair.here.socket(), asio::buffer(framed));
  REQUIRE(run_until(io, [&] { return !broken.empty(); }));
  CHECK(broken.find("bytes was announced") != std::string::npos);
}

TEST_CASE("a dial to nobody fails with a sentence, and never connects to itself") {
  asio::io_context io;
  NameLookup names(io);
  std::uint16_t free_port = 0;
  {
    auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
    free_port = listener->address().port;
    listener->close();
  }
  for (int i = 0; i < 100; ++i) {
    std::optional<Error> error;
    const auto dial =
        Dial::start(io, names, {.host = "127.0.0.1", .port = free_port}, [&](Result<Stream> result) {
          error = result.ok() ? Error{Status::success, "connected"} : result.error();
        });
    REQUIRE(run_until(io, [&] { return error.has_value(); }));
    REQUIRE(error->status == Status::system);
    REQUIRE(error->sentence.find(std::to_string(free_port)) != std::string::npos);
  }
}

TEST_CASE("a name that leads to several addresses reaches the one that listens") {
  asio::io_context io;
  NameLookup names(io);
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  listener->start({.accepted = [](const Stream&, const std::string&) {}, .log = [](const LogEvent&) {}});
  bool connected = false;
  const auto dial = Dial::start(io, names, {.host = "localhost", .port = listener->address().port},
                                [&](Result<Stream> result) { connected = result.ok(); });
  REQUIRE(run_until(io, [&] { return connected; }));
  listener->close();
}

TEST_CASE("a name that does not exist fails with a sentence") {
  asio::io_context io;
  NameLookup names(io);
  std::optional<Error> error;
  const auto dial =
      Dial::start(io, names, {.host = "no-such-host.invalid", .port = 1}, [&](Result<Stream> result) {
        if (!result.ok()) error = result.error();
      });
  REQUIRE(run_until(io, [&] { return error.has_value(); }));
  CHECK(error->sentence.find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("two listeners never share a port, whatever family they are of") {
  asio::io_context io;
  const auto everywhere = Listener::open(io, {}).value();
  const std::uint16_t port = everywhere->address().port;
  CHECK_FALSE(Listener::open(io, {.port_first = port, .port_last = port}).ok());
  CHECK_FALSE(Listener::open(io, {.host = "127.0.0.1", .port_first = port, .port_last = port}).ok());
  CHECK_FALSE(Listener::open(io, {.host = "0.0.0.0", .port_first = port, .port_last = port}).ok());
}

TEST_CASE("without descriptors a listener waits, says so once, and goes on when there are some") {
  asio::io_context io;
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::vector<Stream> accepted;
  std::vector<LogEvent> logged;
  listener->start(
      {.accepted = [&](Stream stream, const std::string&) { accepted.push_back(std::move(stream)); },
       .log = [&](LogEvent event) { logged.push_back(std::move(event)); }});
  Tcp::socket client(io);
  client.connect({asio::ip::address_v4::loopback(), listener->address().port});
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 3;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const bool said = run_until(io, [&] { return !logged.empty(); });
  io.run_for(std::chrono::milliseconds(500));
  const bool refused = !Listener::open(io, {.host = "127.0.0.1"}).ok();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(said);
  CHECK(refused);
  CHECK(logged.size() == 1);
  CHECK(run_until(io, [&] { return accepted.size() == 1; }));
  listener->close();
}

TEST_CASE("a port can be bound again while old connections linger") {
  asio::io_context io;
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  const std::uint16_t port = listener->address().port;
  std::vector<Stream> accepted;
  listener->start(
      {.accepted = [&](Stream stream, const std::string&) { accepted.push_back(std::move(stream)); },
       .log = [](const LogEvent&) {}});
  Tcp::socket client(io);
  client.connect({asio::ip::address_v4::loopback(), port});
  REQUIRE(run_until(io, [&] { return accepted.size() == 1; }));
  listener->close();
  accepted.clear();
  CHECK(Listener::open(io, {.host = "127.0.0.1", .port_first = port, .port_last = port}).ok());
}
