#include <algorithm>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "link_fixture.hpp"
#include "wire/frame_codec.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr PeerId kA{100};
constexpr PeerId kB{200};

struct Pair {
  explicit Pair(LinksConfig config = {.table = {.connections_per_link = 2}}) : a(io, kA, config), b(io, kB, config) {}
  void link() {
    b.open(a, false);
    a.open(b, true);
    REQUIRE(run_until(io, [&] { return a.up_count() == 2 && b.up_count() == 2; }));
  }
  asio::io_context io{1};
  Side a, b;
};

}  // namespace

TEST_CASE("frames of all sizes come in whole, both ways") {
  Pair pair;
  pair.link();
  std::vector<std::vector<std::byte>> payloads;
  std::uint64_t seed = 1;
  for (const std::size_t bytes : {0, 1, 87, 88, 4096, 16384, 16385, 20000, 65536, 300'001, 1 << 20})
    for (int i = 0; i < 3; ++i) payloads.push_back(pattern(bytes, seed++));
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    pair.a.send(kB, payloads[i], i);
    pair.b.send(kA, payloads[i], i);
  }
  REQUIRE(run_until(pair.io, [&] {
    return pair.a.received.size() == payloads.size() && pair.b.received.size() == payloads.size();
  }));
  for (Side* side : {&pair.a, &pair.b})
    for (const auto& frame : side->received) {
      CHECK(frame.intact);
      CHECK((frame.payload == payloads[frame.header.chunk]));
    }
}

TEST_CASE("all connections of a link carry frames") {
  Pair pair({.table = {.connections_per_link = 4}});
  pair.b.open(pair.a, false);
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.b.up_count() == 4; }));
  const auto payload = pattern(1 << 20);
  for (std::uint64_t i = 0; i < 64; ++i)
    pair.a.outbox[kB].push_back({.header = {.chunk = i, .payload_bytes = 1 << 20}, .payload = payload});
  pair.a.links.wake(kB);
  REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 64; }));
  CHECK(pair.b.received_on.size() == 4);
  CHECK(pair.b.moves > 0);
}

TEST_CASE("a link gets fewer connections, and more again") {
  Pair pair({.table = {.connections_per_link = 4}});
  pair.b.open(pair.a, false);
  pair.a.open(pair.b, true);
  const auto both_have = [&](std::size_t count) {
    return run_until(pair.io, [&] { return pair.a.up_count() == count && pair.b.up_count() == count; });
  };
  REQUIRE(both_have(4));
  pair.a.links.resize(kB, 1);
  REQUIRE(both_have(1));
  CHECK(pair.a.downs == 3);
  const auto payload = pattern(100'000);
  pair.a.send(kB, payload, 1);
  pair.b.send(kA, payload, 2);
  REQUIRE(run_until(pair.io, [&] { return pair.a.received.size() == 1 && pair.b.received.size() == 1; }));
  CHECK((pair.b.received[0].payload == payload));
  // They are not redialled of themselves, and come when they are wanted.
  CHECK(pair.a.ups == 4);
  pair.a.links.resize(kB, 3);
  REQUIRE(both_have(3));
  // Only the side that dials decides.
  pair.b.links.resize(kA, 8);
  pair.a.send(kB, payload, 3);
  REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 2; }));
  CHECK(pair.a.up_count() == 3);
}

TEST_CASE("the accepting side has its say in the number of connections, unless that is fixed") {
  const bool fixed = GENERATE(false, true);
  Pair pair({.table = {.connections_per_link = fixed ? 2U : 0U}});
  pair.b.open(pair.a, false);
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() > 0 && pair.a.up_count() == pair.b.up_count(); }));
  const std::size_t before = pair.a.up_count();
  const auto payload = pattern(100'000);
  for (const std::size_t wanted : {std::size_t{5}, std::size_t{1}}) {
    pair.b.links.ask(kA, static_cast<std::uint32_t>(wanted));
    const std::size_t expected = fixed ? before : wanted;
    const std::size_t came = pair.a.received.size();
    pair.b.send(kA, payload, wanted);
    REQUIRE(run_until(pair.io, [&] {
      return pair.a.received.size() > came && pair.a.up_count() == expected && pair.b.up_count() == expected;
    }));
    CHECK((pair.a.received.back().payload == payload));
  }
}

TEST_CASE("memory that was released is not touched again") {
  Pair pair({.table = {.connections_per_link = 1}});
  pair.b.open(pair.a, false);
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 1 && pair.b.up_count() == 1; }));

  SECTION("in the middle of sending") {
    const auto payload = pattern(1 << 20);
    std::vector<std::vector<std::byte>> copies(12, payload);
    // More than the system's buffers take, so that one frame is half written; nobody reads meanwhile.
    for (std::size_t i = 0; i < copies.size(); ++i) pair.a.send(kB, copies[i], i);
    const std::size_t taken = copies.size() - pair.a.outbox[kB].size();
    REQUIRE(taken > 0);
    REQUIRE(taken < copies.size());
    pair.a.links.release_send({kB, 0});
    for (std::size_t i = 0; i < taken; ++i) {
      std::fill(copies[i].begin(), copies[i].end(), std::byte{0});
      copies[i].clear();
      copies[i].shrink_to_fit();
    }
    REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == copies.size(); }));
    for (const auto& frame : pair.b.received) {
      CHECK(frame.intact);
      CHECK((frame.payload == payload));
    }
  }
  SECTION("between the moment in which a frame is given and the first byte of it") {
    const auto payload = pattern(100'000);
    auto lent = payload;
    pair.a.on_write = [&](transport::DataConnection& connection) {
      connection.release_send();
      std::fill(lent.begin(), lent.end(), std::byte{0});
    };
    pair.a.send(kB, lent);
    REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 1; }));
    CHECK(pair.b.received[0].intact);
    CHECK((pair.b.received[0].payload == payload));
  }
  SECTION("in the middle of receiving") {
    const auto payload = pattern(1 << 20);
    bool released = false;
    pair.a.send(kB, payload);
    REQUIRE(run_until(pair.io, [&] { return !pair.b.receiving.empty(); }));
    if (pair.b.received.empty()) {
      pair.b.links.release_receive({kA, 0});
      pair.b.receiving[0].payload = {};
      released = true;
    }
    pair.a.send(kB, payload, 1);
    REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 2; }));
    CHECK(pair.b.received[0].intact);
    CHECK((released || pair.b.received[0].payload == payload));
    CHECK((pair.b.received[1].payload == payload));
  }
  SECTION("in the same call that announces the frame") {
    pair.b.throw_away = true;
    const auto payload = pattern(500'000);
    pair.a.send(kB, payload);
    REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 1; }));
    CHECK(pair.b.received[0].intact);
    CHECK((pair.b.received[0].payload == std::vector<std::byte>(500'000)));
  }
}

TEST_CASE("broken connections are dialled again") {
  Pair pair;
  Proxy proxy(pair.io, pair.b.address());
  pair.b.open(pair.a, false);
  pair.a.open_at(pair.b, true, 7, proxy.address());
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
  const auto payload = pattern(1 << 20);
  for (int cut = 1; cut <= 5; ++cut) {
    // In the middle of something.
    const std::size_t passed = proxy.passed;
    for (std::uint64_t i = 0; i < 8; ++i) pair.a.send(kB, payload, i);
    REQUIRE(run_until(pair.io, [&] { return proxy.passed > passed + (2 << 20); }));
    proxy.cut();
    REQUIRE(run_until(pair.io, [&] {
      return pair.a.ups == 2 + 2 * cut && pair.b.ups == 2 + 2 * cut && pair.a.up_count() == 2 &&
             pair.b.up_count() == 2;
    }));
    CHECK(pair.a.downs == 2 * cut);
    CHECK(pair.b.downs == 2 * cut);
    pair.a.outbox.clear();
  }
  const std::size_t before = pair.b.received.size();
  pair.a.send(kB, payload);
  REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() > before; }));
  for (const auto& frame : pair.b.received) CHECK((frame.intact && frame.payload == payload));
}

TEST_CASE("a greeting that comes before its link is opened is held") {
  Pair pair;
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() == 1; }));
  // Time enough for an answer, if there were one.
  pair.io.run_for(std::chrono::milliseconds(20));
  CHECK(pair.a.up_count() == 0);
  pair.b.open(pair.a, false);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
  CHECK(pair.b.links.strangers() == 0);
}

TEST_CASE("a greeting with another secret is held until the secrets agree") {
  Pair pair;
  pair.b.open(pair.a, false, 8);
  pair.a.open(pair.b, true, 7);
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() == 1; }));
  SECTION("the acceptor learns the new one") { pair.b.open(pair.a, false, 7); }
  SECTION("the dialler learns the new one") { pair.a.open(pair.b, true, 8); }
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
}

TEST_CASE("held greetings and silent strangers end at their bounds") {
  LinksConfig config{.table = {.connections_per_link = 2}};
  config.table.strangers.greeting = std::chrono::milliseconds(100);
  config.table.strangers.held = std::chrono::milliseconds(50);
  Pair pair(config);
  Tcp::socket silent(pair.io);
  silent.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  pair.a.open(pair.b, true);
  const auto closed = [&](const char* why) {
    return std::count_if(pair.b.logged.begin(), pair.b.logged.end(),
                         [&](const LogEvent& event) { return event.text.find(why) != std::string::npos; });
  };
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() > 0; }));
  // Refused, it dials again, and again.
  REQUIRE(run_until(pair.io, [&] { return closed("no link") >= 4 && closed("did not say") == 1; }));
  CHECK(pair.a.up_count() == 0);
}

TEST_CASE("strangers are bounded, and the oldest silent one goes first") {
  LinksConfig config{.table = {.connections_per_link = 1}};
  config.table.strangers.most = 8;
  Pair pair(config);
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() == 1; }));
  pair.io.run_for(std::chrono::milliseconds(20));
  std::vector<Tcp::socket> silent;
  for (int i = 0; i < 50; ++i) {
    silent.emplace_back(pair.io);
    silent.back().connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  }
  REQUIRE(run_until(pair.io, [&] { return pair.b.logged.size() >= 43; }));
  CHECK(pair.b.links.strangers() == 8);
  // The one that greeted is still there.
  pair.b.open(pair.a, false);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 1 && pair.b.up_count() == 1; }));
}

TEST_CASE("a stranger that poses as a member is refused") {
  Pair pair;
  pair.link();
  const auto say = [&](const LinkGreeting& greeting) {
    Tcp::socket socket(pair.io);
    socket.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
    asio::write(socket, asio::buffer(encode_greeting(greeting)));
    return socket;
  };
  // Another peer than this: at once. A wrong secret: held, and never let in.
  auto wrong_peer =
      say({.link_secret = 7, .from = kA, .to = PeerId{1}, .connection_index = 0, .connections_total = 2});
  auto wrong_secret =
      say({.link_secret = 9, .from = kA, .to = kB, .connection_index = 0, .connections_total = 2});
  std::array<std::byte, kGreetingAnswerBytes> answer;
  std::size_t answered = 0;
  asio::async_read(wrong_peer, asio::buffer(answer),
                   [&](const std::error_code&, std::size_t count) { answered = count; });
  REQUIRE(run_until(pair.io, [&] { return answered == answer.size(); }));
  CHECK(decode_greeting_answer(answer).value().answer == GreetingAnswer::refused_unknown);
  CHECK(pair.b.ups == 2);
  CHECK(pair.b.downs == 0);
}

TEST_CASE("garbage on a standing connection breaks it and nothing else") {
  Pair pair({.table = {.connections_per_link = 1}});
  pair.b.open(pair.a, false);
  Tcp::socket socket(pair.io);
  socket.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  asio::write(socket,
              asio::buffer(encode_greeting(
                  {.link_secret = 7, .from = kA, .to = kB, .connection_index = 0, .connections_total = 1})));
  REQUIRE(run_until(pair.io, [&] { return pair.b.up_count() == 1; }));
  SECTION("not a frame") { asio::write(socket, asio::buffer(std::string(500, 'x'))); }
  SECTION("an oversized length") {
    FrameHeader header;
    std::array<std::byte, kFrameHeaderBytes> bytes;
    encode_frame_header(header, 0, bytes);
    bytes[8] = bytes[9] = bytes[10] = std::byte{0xff};
    asio::write(socket, asio::buffer(bytes));
  }
  SECTION("the end in mid-frame") {
    FrameHeader header;
    header.payload_bytes = 1000;
    std::array<std::byte, kFrameHeaderBytes> bytes;
    encode_frame_header(header, 0, bytes);
    asio::write(socket, asio::buffer(bytes));
    socket.shutdown(Tcp::socket::shutdown_send);
  }
  REQUIRE(run_until(pair.io, [&] { return pair.b.downs == 1; }));
  CHECK(pair.b.received.empty());
  // The link is as good as before.
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 1 && pair.b.up_count() == 1; }));
}

TEST_CASE("a payload that was changed on the way is told as not intact") {
  Pair pair({.table = {.connections_per_link = 1}});
  pair.b.open(pair.a, false);
  Tcp::socket socket(pair.io);
  socket.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  asio::write(socket,
              asio::buffer(encode_greeting(
                  {.link_secret = 7, .from = kA, .to = kB, .connection_index = 0, .connections_total = 1})));
  auto payload = pattern(100'000);
  FrameHeader header;
  header.payload_bytes = 100'000;
  std::array<std::byte, kFrameHeaderBytes> bytes;
  encode_frame_header(header, checksum(payload), bytes);
  payload[77'777] ^= std::byte{1};
  REQUIRE(run_until(pair.io, [&] { return pair.b.up_count() == 1; }));
  asio::write(socket, asio::buffer(bytes));
  asio::write(socket, asio::buffer(payload));
  REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 1; }));
  CHECK_FALSE(pair.b.received[0].intact);
}

TEST_CASE("both ends of a connection on one machine prove it to each other") {
  Pair pair;
  pair.link();
  CHECK(pair.a.near == 2);
  CHECK(pair.b.near == 2);
}

TEST_CASE("what lies between two peers on one machine may change bytes: nothing is sent without a checksum there") {
  Pair pair({.table = {.connections_per_link = 1}});
  Proxy proxy(pair.io, pair.b.address());
  pair.b.open(pair.a, false);
  pair.a.open_at(pair.b, true, 7, proxy.address());
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 1 && pair.b.up_count() == 1; }));
  CHECK(pair.a.near == 0);
  CHECK(pair.b.near == 0);
  const auto payload = pattern(100'000);
  proxy.damage_at = proxy.passed + 50'000;
  pair.a.send(kB, payload);
  REQUIRE(run_until(pair.io, [&] { return pair.b.received.size() == 1; }));
  CHECK_FALSE(pair.b.received[0].intact);
}

TEST_CASE("a frame without a checksum is refused where the ends have not proven to share a machine") {
  Pair pair({.table = {.connections_per_link = 1}});
  pair.b.open(pair.a, false);
  Tcp::socket socket(pair.io);
  socket.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  asio::write(socket, asio::buffer(encode_greeting({.link_secret = 7, .from = kA, .to = kB})));
  REQUIRE(run_until(pair.io, [&] { return pair.b.up_count() == 1; }));
  const auto payload = pattern(1000);
  FrameHeader header;
  header.payload_bytes = 1000;
  header.unchecked = true;
  std::array<std::byte, kFrameHeaderBytes> bytes;
  encode_frame_header(header, 0, bytes);
  asio::write(socket, asio::buffer(bytes));
  asio::write(socket, asio::buffer(payload));
  REQUIRE(run_until(pair.io, [&] { return pair.b.downs == 1; }));
  CHECK(pair.b.received.empty());
}

TEST_CASE("where both sides may dial, one of them does all of it") {
  Pair pair({.table = {.connections_per_link = 3}});
  pair.b.open(pair.a, true);
  pair.a.open(pair.b, true);
  const auto both_have_all = [&] { return pair.a.up_count() == 3 && pair.b.up_count() == 3; };
  REQUIRE(run_until(pair.io, both_have_all));
  const auto payload = pattern(10'000);
  for (std::uint64_t i = 0; i < 10; ++i) {
    pair.a.send(kB, payload, i);
    pair.b.send(kA, payload, i);
  }
  REQUIRE(run_until(pair.io, [&] { return pair.a.received.size() >= 10 && pair.b.received.size() >= 10; }));
  // Broken altogether, it comes back by whichever side gets through first.
  const int ups = pair.a.ups;
  pair.a.links.shut_down_connections();
  REQUIRE(run_until(pair.io, [&] { return pair.a.ups > ups && both_have_all(); }));
}

TEST_CASE("a peer that cannot be dialled dials itself") {
  Pair pair;
  // Nothing listens there.
  pair.b.open_at(pair.a, true, 7, {.host = "127.0.0.1", .port = 1});
  pair.a.open(pair.b, true);
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
}

TEST_CASE("a refused redial on one machine tells that nobody listens any more") {
  Pair pair;
  pair.link();
  pair.b.listener->close();
  CHECK(pair.a.refusals == 0);
  pair.b.links.close_all();
  REQUIRE(run_until(pair.io, [&] { return pair.a.refusals > 0; }));
  CHECK(pair.a.up_count() == 0);
}

TEST_CASE("one address has a bounded part of the strangers, and of new connections in a time") {
  LinksConfig config{.table = {.connections_per_link = 1}};
  SECTION("at once") {
    config.table.strangers.of_source_most = 4;
    Pair pair(config);
    std::vector<Tcp::socket> silent;
    for (int i = 0; i < 10; ++i) {
      silent.emplace_back(pair.io);
      silent.back().connect({asio::ip::address_v4::loopback(), pair.b.address().port});
    }
    REQUIRE(run_until(pair.io, [&] { return pair.b.logged.size() >= 6; }));
    CHECK(pair.b.links.strangers() == 4);
  }
  SECTION("in a time") {
    config.table.strangers.opens_per_source = {.burst = 3, .per_second = 0.001};
    Pair pair(config);
    std::vector<Tcp::socket> silent;
    int closed = 0;
    std::array<char, 1> byte{};
    for (int i = 0; i < 10; ++i) {
      silent.emplace_back(pair.io);
      silent.back().connect({asio::ip::address_v4::loopback(), pair.b.address().port});
      silent.back().async_read_some(asio::buffer(byte), [&](const std::error_code&, std::size_t) { ++closed; });
    }
    REQUIRE(run_until(pair.io, [&] { return closed == 7; }));
    CHECK(pair.b.links.strangers() == 3);
  }
}

TEST_CASE("silent strangers are closed also after this side has changed who it is") {
  LinksConfig config{.table = {.connections_per_link = 1}};
  config.table.strangers.greeting = std::chrono::milliseconds(50);
  Pair pair(config);
  const auto silent_one_is_closed = [&] {
    pair.b.logged.clear();
    Tcp::socket silent(pair.io);
    silent.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
    return run_until(pair.io, [&] { return !pair.b.logged.empty(); });
  };
  Tcp::socket early(pair.io);
  early.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() == 1; }));
  pair.b.links.set_self(PeerId{300});
  CHECK(pair.b.links.strangers() == 0);
  CHECK(silent_one_is_closed());
}

TEST_CASE("a dropped connection comes back, a closed link does not") {
  Pair pair;
  pair.link();
  pair.a.links.drop({kB, 0});
  REQUIRE(run_until(pair.io, [&] { return pair.b.ups == 3 && pair.a.ups == 3; }));
  CHECK(pair.a.downs == 0);
  CHECK(pair.b.downs == 1);
  pair.a.links.close(kB);
  REQUIRE(run_until(pair.io, [&] { return pair.b.downs == 3; }));
  pair.io.run_for(std::chrono::milliseconds(100));
  CHECK(pair.b.ups == 3);
}

TEST_CASE("each connection of a number has an incarnation of its own, and a break names it") {
  Pair pair;
  pair.link();
  const ConnectionName name{kA, 0};
  const std::uint64_t first = pair.b.incarnations[0];
  CHECK(pair.b.links.is_established(name, first));
  CHECK_FALSE(pair.b.links.is_established(name, first + 1000));
  pair.a.logged.clear();
  pair.a.links.drop({kB, 0});
  // What A has logged of it is the engine's to say.
  CHECK(pair.a.logged.empty());
  REQUIRE(run_until(pair.io, [&] { return pair.b.ups == 3; }));
  const std::uint64_t second = pair.b.incarnations[0];
  CHECK(second != first);
  CHECK(pair.b.gone == std::vector{first});
  CHECK(pair.b.links.is_established(name, second));
  CHECK_FALSE(pair.b.links.is_established(name, first));
  pair.b.links.close(kA);
  CHECK_FALSE(pair.b.links.is_established(name, second));
}

TEST_CASE("a link opened towards nobody does no harm") {
  Pair pair;
  pair.b.listener->close();
  pair.a.open(pair.b, true);
  pair.io.run_for(std::chrono::milliseconds(200));
  CHECK(pair.a.ups == 0);
  pair.a.links.close_all();
}
