/// Links by a go-between, over sockets: whom no dial reaches is met at a third peer.
#include <algorithm>

#include "tls_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// Peers of one run. Some cannot dial each other.
struct Mesh {
  struct Peer {
    transport::TlsPtr tls;
    std::unique_ptr<Side> side;
  };

  explicit Mesh(std::size_t count, bool has_keys) {
    for (std::size_t i = 0; i < count; ++i) {
      Peer peer;
      if (has_keys) peer.tls = context_of(issued(secret, {.name = "peer " + std::to_string(i)}));
      const LinksConfig config{.table = {.connections_per_link = 1}, .tls = peer.tls};
      peer.side = std::make_unique<Side>(io, PeerId{100 + i}, config);
      peers.push_back(std::move(peer));
    }
  }
  Side& side(std::size_t i) { return *peers.at(i).side; }
  /// Of one another; at an address where nobody listens, if they shall not reach each other.
  void link(std::size_t i, std::size_t k, bool is_reached, std::uint64_t secret_of_view = 7) {
    open(i, k, is_reached, secret_of_view);
    open(k, i, is_reached, secret_of_view);
  }
  void open(std::size_t i, std::size_t k, bool is_reached, std::uint64_t secret_of_view = 7) {
    side(i).links.open({.peer = side(k).self,
                        .name = "peer " + std::to_string(k),
                        .address = is_reached ? side(k).address() : nobody_listens(),
                        .secret = secret_of_view,
                        .dial_after = i < k ? Duration::zero() : Duration(milliseconds(50)),
                        .key = peers.at(k).tls ? std::optional(peers.at(k).tls->own_badge().key) : std::nullopt});
  }
  bool stands(std::size_t i, std::size_t k) {
    return side(i).up.contains({side(k).self, 0}) && side(k).up.contains({side(i).self, 0});
  }
  bool waits_until_stands(std::size_t i, std::size_t k) {
    return run_until(io, [&] { return stands(i, k); });
  }
  /// The first two reach this one.
  void link_both_to(std::size_t third) {
    for (const std::size_t one : {0U, 1U}) {
      link(one, third, true);
      REQUIRE(waits_until_stands(one, third));
    }
  }
  Address nobody_listens() {
    if (free_.port == 0) {
      const auto closed = Listener::open(io, {.host = "127.0.0.1"}).value();
      free_ = {.host = "127.0.0.1", .port = closed->address().port};
      closed->close();
    }
    return free_;
  }
  void exchange(std::size_t i, std::size_t k) {
    const auto payload = pattern(1 << 20);
    side(i).received.clear();
    side(k).received.clear();
    for (std::uint64_t n = 0; n < 20; ++n) {
      side(i).send(side(k).self, payload, n);
      side(k).send(side(i).self, payload, n);
    }
    REQUIRE(run_until(io, [&] { return side(i).received.size() == 20 && side(k).received.size() == 20; }));
    for (const std::size_t one : {i, k})
      for (const auto& frame : side(one).received) {
        CHECK(frame.intact);
        CHECK((frame.payload == payload));
        // Under TLS of these two the tag replaces the checksum.
        CHECK(frame.header.unchecked == (peers.at(one).tls != nullptr));
      }
  }
  bool has_logged(std::size_t i, const char* what) {
    const auto& log = side(i).logged;
    return std::any_of(log.begin(), log.end(), [&](const LogEvent& event) { return event.what == std::string(what); });
  }

  asio::io_context io{1};
  RunSecret secret = RunSecret::draw().value();
  std::vector<Peer> peers;

 private:
  Address free_;
};

}  // namespace

TEST_CASE("whom no dial reaches is met at a third peer, which passes on what it cannot read") {
  const bool has_keys = GENERATE(false, true);
  Mesh mesh(3, has_keys);
  mesh.link_both_to(2);
  mesh.link(0, 1, false);
  REQUIRE(mesh.waits_until_stands(0, 1));
  CHECK(mesh.has_logged(2, "joined-others"));
  CHECK(mesh.side(0).near == 1);  // Of the link to the third one.
  mesh.exchange(0, 1);
}

TEST_CASE("another peer takes the place of a go-between that goes") {
  Mesh mesh(4, true);
  mesh.link_both_to(2);
  mesh.link(0, 1, false);
  REQUIRE(mesh.waits_until_stands(0, 1));
  mesh.link_both_to(3);
  mesh.side(2).listener->close();
  mesh.side(2).links.close_all();
  REQUIRE(run_until(mesh.io, [&] { return !mesh.stands(0, 2) && !mesh.stands(1, 2); }));
  REQUIRE(run_until(mesh.io, [&] { return mesh.stands(0, 1) && mesh.has_logged(3, "joined-others"); }));
  mesh.exchange(0, 1);
}

TEST_CASE("a go-between that poses as the peer beyond it is found out by its key") {
  Mesh mesh(3, true);
  // It answers by itself, and goes on under TLS with a key of the run, its own.
  const transport::TlsPtr its = mesh.peers[2].tls;
  auto listener = std::move(Listener::open(mesh.io, {.host = "127.0.0.1"}).value());
  std::optional<Stream> came;
  listener->start({.accepted = [&](Stream stream, const std::string&) { came = std::move(stream); },
                   .log = [](const LogEvent&) {}},
                  its);
  const auto greeting = encode_greeting({.link_secret = 7,
                                         .from = mesh.side(0).self,
                                         .to = mesh.side(1).self,
                                         .kind = GreetingKind::asks_through});
  const auto expected = GENERATE(true, false);
  const std::size_t beyond = expected ? 2 : 1;
  std::optional<Result<Stream>> met;
  const auto meeting = transport::Meeting::start(
      mesh.io, mesh.side(0).names,
      {.go_between = {.host = "127.0.0.1", .port = listener->address().port},
       .key = its->own_badge().key,
       .greeting = {greeting.begin(), greeting.end()},
       .beyond = mesh.peers[beyond].tls->own_badge().key,
       .tls = mesh.peers[0].tls},
      [&](Result<Stream> result) { met = std::move(result); });
  std::array<std::byte, kGreetingBytes> heard{};
  std::size_t count = 0;
  std::error_code error;
  REQUIRE(run_until(mesh.io, [&] {
    if (came) count += came->read_some(asio::buffer(heard.data() + count, heard.size() - count), error);
    return count == heard.size();
  }));
  CHECK(heard == greeting);
  const auto answer = encode_greeting_answer(GreetingAnswer::accepted);
  CHECK(came->write_some(asio::buffer(answer), error) == answer.size());
  came->leave_tls();
  std::optional<Stream> posing;
  REQUIRE(run_until(mesh.io, [&] {
    if (!posing && came->has_left_tls(error)) {
      auto made = Stream::beyond(std::move(*came), its, trust::TlsSession::Side::accepting);
      if (made.ok()) posing.emplace(std::move(made.value()));
    }
    if (posing) posing->shake_hands(error);
    return met.has_value();
  }));
  CHECK(met->ok() == expected);
  if (!expected) CHECK(met->error().sentence.find("not who was expected") != std::string::npos);
  listener->close();
}

TEST_CASE("a go-between joins those only that it has links to itself, and the peer beyond must prove its key") {
  Mesh mesh(4, true);
  mesh.link_both_to(2);
  // Peer 3 has a key of the run, and knows the secret of links, but no link to the go-between. It poses as peer 1.
  const auto greeting = encode_greeting({.link_secret = 7,
                                         .from = mesh.side(1).self,
                                         .to = mesh.side(0).self,
                                         .kind = GreetingKind::asks_through});
  std::optional<Error> refused;
  const auto meeting = transport::Meeting::start(
      mesh.io, mesh.side(3).names,
      {.go_between = mesh.side(2).address(),
       .greeting = {greeting.begin(), greeting.end()},
       .tls = mesh.peers[3].tls},
      [&](Result<Stream> result) { refused = result.ok() ? Error{Status::success, {}} : result.error(); });
  REQUIRE(run_until(mesh.io, [&] { return refused.has_value(); }));
  CHECK(refused->status != Status::success);
  CHECK_FALSE(mesh.has_logged(2, "joined-others"));
  // In its own name it is not known there.
  refused.reset();
  const auto own = encode_greeting({.link_secret = 7,
                                    .from = mesh.side(3).self,
                                    .to = mesh.side(0).self,
                                    .kind = GreetingKind::asks_through});
  const auto second = transport::Meeting::start(
      mesh.io, mesh.side(3).names,
      {.go_between = mesh.side(2).address(), .greeting = {own.begin(), own.end()}, .tls = mesh.peers[3].tls},
      [&](Result<Stream> result) { refused = result.ok() ? Error{Status::success, {}} : result.error(); });
  REQUIRE(run_until(mesh.io, [&] { return refused.has_value(); }));
  CHECK(refused->status != Status::success);
  CHECK_FALSE(mesh.has_logged(2, "joined-others"));
  // The link between 0 and 1 is as good as before.
  mesh.link(0, 1, false);
  REQUIRE(mesh.waits_until_stands(0, 1));
  mesh.exchange(0, 1);
}
