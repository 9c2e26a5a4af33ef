/// Links for which both sides dial at once, over sockets. On one machine no two dials cross, since a kernel answers at
/// once: a crossing stands in for what NATs do, and gives both a connection that neither has accepted.
#include <algorithm>
#include <set>

#include "tls_fixture.hpp"
#include "transport/punch.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// Takes two connections and passes on what comes, as it comes.
class Crossing {
 public:
  explicit Crossing(asio::io_context& io) {
    listener_ = Listener::open(io, {.host = "127.0.0.1"}).value();
    listener_->start({.accepted =
                          [this](Stream stream, const std::string&) {
                            std::error_code ignored;
                            came_from.insert(stream.socket().remote_endpoint(ignored).port());
                            ends_.push_back(std::make_shared<Stream>(std::move(stream)));
                            if (ends_.size() < 2) return;
                            pass(ends_[0], ends_[1]);
                            pass(ends_[1], ends_[0]);
                          },
                      .log = [](const LogEvent&) {}},
                     {});
  }
  ~Crossing() {
    listener_->close();
    for (const auto& end : ends_) end->close();
  }
  Address address() const { return {.host = "127.0.0.1", .port = listener_->address().port}; }

  std::set<std::uint16_t> came_from;

 private:
  using End = std::shared_ptr<Stream>;
  static void pass(const End& from, const End& to) {
    from->async_wait(Tcp::socket::wait_read, [from, to](const std::error_code& stopped) {
      if (stopped) return;
      std::array<std::byte, 65536> bytes;
      std::error_code error;
      const std::size_t count = from->read_some(asio::buffer(bytes), error);
      if (count == 0 && error && !transport::is_wait(error)) return to->close();
      std::size_t done = 0;
      while (done < count) {
        done += to->write_some(asio::buffer(bytes.data() + done, count - done), error);
        if (error && !transport::is_wait(error)) return;
      }
      pass(from, to);
    });
  }
  std::shared_ptr<Listener> listener_;
  std::vector<End> ends_;
};

struct PunchPair {
  explicit PunchPair(bool has_keys) {
    for (std::size_t i = 0; i < 2; ++i) {
      if (has_keys) tls[i] = context_of(issued(secret, {.name = "peer " + std::to_string(i)}));
      const LinksConfig config{.table = {.connections_per_link = 1, .asks_both = true}, .tls = tls[i]};
      sides[i] = std::make_unique<Side>(io, PeerId{100 + i}, config);
    }
  }
  void open(std::size_t i) {
    const Side& other = *sides[1 - i];
    sides[i]->links.open({.peer = other.self,
                          .name = "other",
                          .address = nobody_listens(),
                          .secret = 7,
                          .dial_after = Duration::zero(),
                          .key = tls[1 - i] ? std::optional(expected[i].value_or(tls[1 - i]->own_badge().key))
                                            : std::nullopt});
  }
  Address nobody_listens() {
    if (free.port == 0) {
      const auto closed = Listener::open(io, {.host = "127.0.0.1"}).value();
      free = {.host = "127.0.0.1", .port = closed->address().port};
      closed->close();
    }
    return free;
  }
  bool stands() { return sides[0]->up.contains({PeerId{101}, 0}) && sides[1]->up.contains({PeerId{100}, 0}); }
  links::Origin origin(std::size_t i) { return sides[i]->links.reach(PeerId{101 - i})->origin; }
  void exchange() {
    const std::vector<std::byte> payload(100'000, std::byte{42});
    for (std::size_t i = 0; i < 2; ++i) sides[i]->send(PeerId{101 - i}, payload);
    REQUIRE(run_until(io, [&] { return !sides[0]->received.empty() && !sides[1]->received.empty(); }));
    for (const auto& side : sides) CHECK((side->received[0].intact && side->received[0].payload == payload));
  }

  asio::io_context io;
  RunSecret secret = RunSecret::draw().value();
  std::array<transport::TlsPtr, 2> tls;
  std::array<std::optional<KeyId>, 2> expected;
  std::array<std::unique_ptr<Side>, 2> sides;
  Address free;
};

}  // namespace

TEST_CASE("a punch that a listener takes is a link that was dialled, in plain and under TLS") {
  PunchPair pair(GENERATE(false, true));
  const std::size_t dialler = GENERATE(0, 1);
  pair.open(0);
  pair.open(1);
  pair.sides[dialler]->links.dial_at_once(PeerId{101 - dialler},
                                          {pair.nobody_listens(), pair.sides[1 - dialler]->address()});
  REQUIRE(run_until(pair.io, [&] { return pair.stands(); }));
  CHECK(pair.origin(dialler) == links::Origin::dialled);
  CHECK(pair.origin(1 - dialler) == links::Origin::accepted);
  pair.exchange();
}

TEST_CASE("crossed dials are one link, and both sides have proven their keys") {
  PunchPair pair(GENERATE(false, true));
  Crossing crossing(pair.io);
  pair.open(0);
  pair.open(1);
  for (std::size_t i = 0; i < 2; ++i)
    pair.sides[i]->links.dial_at_once(PeerId{101 - i}, {pair.nobody_listens(), crossing.address()});
  REQUIRE(run_until(pair.io, [&] { return pair.stands(); }));
  for (std::size_t i = 0; i < 2; ++i) CHECK(pair.origin(i) == links::Origin::punched);
  CHECK(pair.sides[0]->links.reach(PeerId{101})->address == crossing.address());
  pair.exchange();
}

TEST_CASE("whoever crosses a dial with another key than the peer's gets no link") {
  PunchPair pair(true);
  const std::size_t wronged = GENERATE(0, 1);
  Crossing crossing(pair.io);
  pair.expected[wronged] = context_of(issued(pair.secret, {.name = "somebody else"}))->own_badge().key;
  pair.open(0);
  pair.open(1);
  for (std::size_t i = 0; i < 2; ++i) pair.sides[i]->links.dial_at_once(PeerId{101 - i}, {crossing.address()});
  const auto refused = [&] {
    if (wronged == 0) return !pair.sides[0]->links.reach(PeerId{101})->failed.empty();
    return std::any_of(pair.sides[1]->logged.begin(), pair.sides[1]->logged.end(),
                       [](const LogEvent& event) { return event.what == std::string("stranger-closed"); });
  };
  REQUIRE(run_until(pair.io, refused));
  CHECK_FALSE(pair.stands());
}

TEST_CASE("a link whose dials fail asks that both be told") {
  PunchPair pair(false);
  bool asked = false;
  pair.sides[0]->unreached = [&](PeerId peer) { asked = asked || peer == PeerId{101}; };
  pair.open(0);
  REQUIRE(run_until(pair.io, [&] { return asked; }));
}

TEST_CASE("dials leave from a port that a listener shares, which no other listener gets") {
  asio::io_context io;
  NameLookup names(io);
  const auto target = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::vector<std::uint16_t> came_from;
  target->start({.accepted =
                     [&](Stream stream, const std::string&) {
                       std::error_code ignored;
                       came_from.push_back(stream.socket().remote_endpoint(ignored).port());
                     },
                 .log = [](const LogEvent&) {}},
                {});
  const std::string host = GENERATE("127.0.0.1", "");
  const auto shared = Listener::open(io, {.host = host, .shares_port = true}).value();
  const std::uint16_t port = shared->address().port;
  int ended = 0;
  const auto dial = [&] {
    return transport::Dial::start(io, names, {.host = "127.0.0.1", .port = target->address().port},
                                  [&](const Result<Stream>& result) {
                                    CHECK(result.ok());
                                    ++ended;
                                  },
                                  {.from = shared->address()});
  };
  dial();
  REQUIRE(run_until(io, [&] { return came_from.size() == 1 && ended == 1; }));
  CHECK(came_from.front() == port);
  CHECK_FALSE(Listener::open(io, {.host = host, .port_first = port, .port_last = port}).ok());
  // The same once more: what is left of the one before is in the way, and it leaves from another port.
  dial();
  REQUIRE(run_until(io, [&] { return came_from.size() == 2 && ended == 2; }));
  // The listener still takes connections.
  bool taken = false;
  shared->start({.accepted = [&](Stream, const std::string&) { taken = true; }, .log = [](const LogEvent&) {}}, {});
  transport::Dial::start(io, names, {.host = "127.0.0.1", .port = port}, [](const Result<Stream>&) {}, {});
  REQUIRE(run_until(io, [&] { return taken; }));
}
