/// Strays on every port: silent, HTTP, garbage, floods, oversized lengths. They never delay anyone.
#include <array>
#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "run_fixture.hpp"
#include "wire/control_frame.hpp"
#include "wire/link_greeting.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

using Tcp = asio::ip::tcp;

class Strays {
 public:
  /// Connects to a port of the loopback and says something. False if the connection is refused.
  bool call(std::uint16_t port, const std::string& text) {
    Tcp::socket socket(io_);
    std::error_code error;
    socket.connect({asio::ip::address_v4::loopback(), port}, error);
    if (error) return false;
    if (!text.empty()) asio::write(socket, asio::buffer(text), error);
    sockets_.push_back(std::move(socket));
    return true;
  }
  /// Whether the other side closed the last connection, with whatever it said before.
  bool last_is_closed() {
    std::array<char, 256> bytes;
    std::error_code error;
    while (!error) sockets_.back().read_some(asio::buffer(bytes), error);
    return true;
  }
  std::size_t open_count() {
    std::size_t open = 0;
    for (auto& socket : sockets_) {
      std::error_code error;
      char byte;
      socket.non_blocking(true);
      socket.read_some(asio::buffer(&byte, 1), error);
      open += error == asio::error::would_block ? 1 : 0;
    }
    return open;
  }

 private:
  asio::io_context io_;
  std::vector<Tcp::socket> sockets_;
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> rude_greetings() {
  std::string oversized = frame_control("x");
  oversized.replace(4, 4, "\xff\xff\xff\x7f");
  std::string half = frame_control(std::string(1000, 'x')).substr(0, 500);
  const auto greeting = encode_greeting({.link_secret = 1, .from = PeerId{2}, .to = PeerId{3}});
  return {"",
          "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
          std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
          std::string(100'000, '\xf5'),
          oversized,
          half,
          frame_control("neither protobuf nor anything"),
          text_of(greeting),
          text_of(greeting).substr(0, 20)};
}

void reduce_quickly(const Peers& peers, std::chrono::milliseconds bound) {
  std::vector<Outcome> outcomes(peers.size());
  const auto begun = std::chrono::steady_clock::now();
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  const auto took = std::chrono::steady_clock::now() - begun;
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
  }
  CHECK(took < bound);
}

}  // namespace

TEST_CASE("strays on all ports delay neither members nor joiners") {
  TestRun run;
  Strays strays;
  const auto pester = [&](std::uint16_t port) {
    for (const std::string& text : rude_greetings()) CHECK(strays.call(port, text));
  };
  pester(run.address().port);
  auto config = run.config();
  config.listen_host = "127.0.0.1";
  Peers peers;
  for (int who = 0; who < 3; ++who) {
    peers.push_back(run.peer(config));
    pester(peers.back()->listen_address().port);
  }
  const auto begun = std::chrono::steady_clock::now();
  std::vector<Result<void>> joined(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) { joined[who] = join(peer, 3); });
  // The bootstrap's 300 ms, and then some for a busy machine.
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  for (const auto& one : joined) REQUIRE(one.ok());
  for (const auto& peer : peers) pester(peer->listen_address().port);
  pester(run.address().port);
  reduce_quickly(peers, std::chrono::milliseconds(1000));
}

TEST_CASE("what is not Hawser is closed at once") {
  TestRun run;
  auto config = run.config();
  const auto peer = run.peer(config);
  for (const std::uint16_t port : {run.address().port, peer->listen_address().port}) {
    Strays strays;
    const auto begun = std::chrono::steady_clock::now();
    REQUIRE(strays.call(port, "GET / HTTP/1.1\r\n\r\n"));
    CHECK(strays.last_is_closed());
    REQUIRE(strays.call(port, std::string(50, '\xf5')));
    CHECK(strays.last_is_closed());
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  }
}

TEST_CASE("a flood of silent connections is bounded and delays nobody") {
  TestRun run;
  auto config = run.config();
  config.listen_host = "127.0.0.1";
  Peers peers;
  for (int who = 0; who < 2; ++who) peers.push_back(run.peer(config));
  Strays strays;
  constexpr std::size_t kFlood = 400;
  for (std::size_t i = 0; i < kFlood; ++i) {
    CHECK(strays.call(run.address().port, ""));
    CHECK(strays.call(peers[0]->listen_address().port, ""));
  }
  std::vector<Result<void>> joined(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) { joined[who] = join(peer, 2); });
  for (const auto& one : joined) REQUIRE(one.ok());
  reduce_quickly(peers, std::chrono::milliseconds(1000));
  // 256 strangers may stay on each port.
  CHECK(eventually([&] { return strays.open_count() <= 2 * limits::kStrangersMax; }));
}
