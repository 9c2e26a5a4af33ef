#include <asio/write.hpp>

#include "tls_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr PeerId kSmaller{100};
constexpr PeerId kLarger{200};

LinksConfig config_with(const transport::TlsPtr& tls, bool tls_same_host = false) {
  return {.table = {.connections_per_link = 2}, .tls = tls, .tls_same_host = tls_same_host};
}

/// Two peers of one run with keys of their own.
struct TlsPair {
  explicit TlsPair(bool tls_same_host = false)
      : a(io, kSmaller, config_with(run.holder, tls_same_host)),
        b(io, kLarger, config_with(run.member, tls_same_host)) {}
  TlsPair(const LinksConfig& of_a, const LinksConfig& of_b) : a(io, kSmaller, of_a), b(io, kLarger, of_b) {}

  void link() {
    b.open(a, false);
    a.open(b, true);
    REQUIRE(run_until(io, [&] { return a.up_count() == 2 && b.up_count() == 2; }));
  }
  void exchange() {
    const auto payload = pattern(1 << 20);
    for (std::uint64_t i = 0; i < 20; ++i) {
      a.send(kLarger, payload, i);
      b.send(kSmaller, payload, i);
    }
    REQUIRE(run_until(io, [&] { return a.received.size() == 20 && b.received.size() == 20; }));
    for (Side* side : {&a, &b})
      for (const auto& frame : side->received) {
        CHECK(frame.intact);
        CHECK(frame.header.unchecked);
        CHECK((frame.payload == payload));
      }
  }
  asio::io_context io{1};
  TlsRun run;
  Side a, b;
};

bool has_said(const std::vector<LogEvent>& log, const char* what) {
  return std::any_of(log.begin(), log.end(),
                     [&](const LogEvent& event) { return event.text.find(what) != std::string::npos; });
}

}  // namespace

TEST_CASE("links on one machine greet under TLS, and go on in plain unless they are told not to") {
  const bool tls_same_host = GENERATE(false, true);
  TlsPair pair(tls_same_host);
  pair.link();
  CHECK(pair.a.near == 2);
  pair.exchange();
}

TEST_CASE("one side of a link on one machine stays under TLS, the other does not") {
  const TlsRun run;
  TlsPair pair(config_with(run.holder, true), config_with(run.member, false));
  pair.link();
  pair.exchange();
}

TEST_CASE("links through something that lies between stay under TLS, and notice a changed byte") {
  TlsPair pair;
  Proxy proxy(pair.io, pair.b.address());
  pair.b.open(pair.a, false);
  pair.a.open_at(pair.b, true, 7, proxy.address());
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
  CHECK(pair.a.near == 0);
  pair.exchange();
  proxy.damage_at = proxy.passed + 100'000;
  const auto payload = pattern(1 << 20, 5);
  for (std::uint64_t i = 100; i < 140; ++i) pair.a.send(kLarger, payload, i);
  REQUIRE(run_until(pair.io, [&] { return pair.b.downs > 0; }));
  CHECK(has_said(pair.b.logged, "changed on the way"));
  for (const auto& frame : pair.b.received)
    if (frame.header.chunk >= 100) CHECK((frame.payload == payload));
  // The link is as good as before.
  REQUIRE(run_until(pair.io, [&] { return pair.a.up_count() == 2 && pair.b.up_count() == 2; }));
}

TEST_CASE("a link is opened to the holder of the right key only") {
  TlsPair pair;
  const KeyId a_key = pair.run.holder->own_badge().key;
  const KeyId b_key = pair.run.member->own_badge().key;
  SECTION("both right") {
    pair.a.expected = b_key;
    pair.b.expected = a_key;
    pair.link();
  }
  SECTION("the dialled one has another") {
    pair.a.expected = a_key;
    pair.b.open(pair.a, false);
    pair.a.open(pair.b, true);
    REQUIRE(run_until(pair.io, [&] { return has_said(pair.a.logged, "not who was expected"); }));
    CHECK(pair.a.ups == 0);
    CHECK(pair.b.ups == 0);
  }
  SECTION("the dialling one has another") {
    pair.b.expected = b_key;
    pair.b.open(pair.a, false);
    pair.a.open(pair.b, true);
    REQUIRE(run_until(pair.io, [&] { return has_said(pair.b.logged, "has another key than that peer"); }));
    CHECK(pair.a.ups == 0);
    CHECK(pair.b.ups == 0);
  }
}

TEST_CASE("a peer without TLS, or of another run, gets no link, and both sides are told why") {
  const TlsRun run, other;
  const auto refused = [](const LinksConfig& of_a, const LinksConfig& of_b, const char* at_a, const char* at_b) {
    TlsPair pair(of_a, of_b);
    pair.b.open(pair.a, false);
    pair.a.open(pair.b, true);
    const auto is_told = [&] { return has_said(pair.a.logged, at_a) && has_said(pair.b.logged, at_b); };
    const bool both_told = run_until(pair.io, is_told);
    for (const auto& event : pair.a.logged) UNSCOPED_INFO("a: " << event.text);
    for (const auto& event : pair.b.logged) UNSCOPED_INFO("b: " << event.text);
    CHECK(both_told);
    CHECK(pair.a.ups + pair.b.ups == 0);
    if (of_b.tls) CHECK(has_said(pair.b.heard, at_b));
  };
  refused(config_with(nullptr), config_with(run.member), "this process has none", "does not speak TLS");
  refused(config_with(run.holder), config_with(nullptr), "closed the connection before", "this process has none");
  refused(config_with(run.holder), config_with(other.member), "of another run", "of another run");
}

TEST_CASE("half-open handshakes are bounded in number and time") {
  TlsRun run;
  LinksConfig config = config_with(run.member);
  config.table.strangers.most = 8;
  config.table.strangers.greeting = std::chrono::milliseconds(300);
  TlsPair pair(config_with(run.holder), config);
  // A client hello's beginning, and no end.
  const std::string begun("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  std::vector<Tcp::socket> stalled;
  for (int i = 0; i < 50; ++i) {
    stalled.emplace_back(pair.io);
    stalled.back().connect({asio::ip::address_v4::loopback(), pair.b.address().port});
    asio::write(stalled.back(), asio::buffer(begun));
  }
  REQUIRE(run_until(pair.io, [&] { return pair.b.logged.size() >= 42; }));
  CHECK(pair.b.links.strangers() <= 8);
  REQUIRE(run_until(pair.io, [&] { return pair.b.links.strangers() == 0; }));
  pair.link();
}

TEST_CASE("garbage before, in and after the handshake ends its connection and nothing else") {
  TlsPair pair;
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    Tcp::socket socket(pair.io);
    socket.connect({asio::ip::address_v4::loopback(), pair.b.address().port});
    std::string said(random.below(3000) + 1, '\0');
    for (char& one : said) one = static_cast<char>(random.next());
    if (i % 3 == 0) said = std::string("\x16\x03\x01", 3) + said;
    if (i % 3 == 1) said = std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10) + said;
    std::error_code gone;
    asio::write(socket, asio::buffer(said), gone);
    socket.shutdown(Tcp::socket::shutdown_send, gone);
    const auto closed = pair.b.logged.size();
    REQUIRE(run_until(pair.io, [&] { return pair.b.logged.size() > closed; }));
  }
  CHECK(pair.b.ups == 0);
  pair.link();
  pair.exchange();
}
