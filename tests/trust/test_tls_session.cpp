#include <cstring>

#include "key_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

using Bytes = std::vector<std::byte>;

Bytes waiting_of(TlsSession& from) {
  Bytes bytes(from.to_send().begin(), from.to_send().end());
  from.sent(bytes.size());
  return bytes;
}

/// False: it takes no more.
bool feed(TlsSession& to, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = to.room();
    if (room.empty()) return false;
    const std::size_t count = std::min(bytes.size(), room.size());
    std::memcpy(room.data(), bytes.data(), count);
    to.received(count);
    bytes = bytes.subspan(count);
    if (!bytes.empty()) to.shake_hands();
  }
  return true;
}

Bytes text(const std::string& from) {
  const auto bytes = std::as_bytes(std::span(from));
  return {bytes.begin(), bytes.end()};
}

/// Both ends of one connection, and whatever is done to what passes between them.
struct Ends {
  Ends(std::shared_ptr<const TlsContext> accepting, std::shared_ptr<const TlsContext> dialling)
      : server(std::move(accepting), TlsSession::Side::accepting),
        client(std::move(dialling), TlsSession::Side::dialling) {}

  /// Until nothing passes any more. `on_the_way` may change what does; its second argument: from the client.
  template <class Change>
  void shake_hands(const Change& on_the_way) {
    for (int i = 0; i < 10; ++i) {
      client.shake_hands();
      Bytes from_client = waiting_of(client);
      on_the_way(from_client, true);
      feed(server, from_client);
      server.shake_hands();
      Bytes from_server = waiting_of(server);
      on_the_way(from_server, false);
      feed(client, from_server);
    }
    client.shake_hands();
  }
  void shake_hands() {
    shake_hands([](const Bytes&, bool) {});
  }
  /// All that `from` has encrypted, as `to` reads it.
  static Bytes pass(TlsSession& from, TlsSession& to) {
    feed(to, waiting_of(from));
    Bytes got(1 << 20);
    got.resize(to.read(got));
    return got;
  }

  TlsSession server;
  TlsSession client;
};

struct Run {
  RunSecret secret = RunSecret::draw().value();
  std::shared_ptr<const TlsContext> master = holder_of(secret);
  std::shared_ptr<const TlsContext> member = context_of(issued(secret, {.name = "madrid", .groups = {3}}));
};

bool contains(const std::string& sentence, const char* what) { return sentence.find(what) != std::string::npos; }

Bytes noise(std::size_t bytes, std::uint64_t seed) {
  Random random(seed);
  Bytes out(bytes);
  for (std::byte& one : out) one = static_cast<std::byte>(random.next());
  return out;
}

}  // namespace

TEST_CASE("both sides know who the other is, and what they say passes both ways") {
  const Run run;
  Ends ends(run.master, run.member);
  ends.shake_hands();
  REQUIRE(ends.server.is_established());
  REQUIRE(ends.client.is_established());
  CHECK(*ends.server.badge() == run.member->own_badge());
  CHECK(*ends.client.badge() == run.master->own_badge());
  CHECK(ends.client.badge()->holds_secret);
  for (const std::size_t bytes : {1, 100, 16384, 16385, 65000}) {
    const Bytes said = noise(bytes, bytes);
    REQUIRE(ends.client.write(said) == bytes);
    CHECK((Ends::pass(ends.client, ends.server) == said));
    REQUIRE(ends.server.write(said) == bytes);
    CHECK((Ends::pass(ends.server, ends.client) == said));
  }
}

TEST_CASE("more than a block is written in pieces, and no block is held when nothing waits") {
  const Run run;
  Ends ends(run.master, run.member);
  ends.shake_hands();
  const Bytes said = noise(1 << 20, 7);
  Bytes got;
  for (std::size_t done = 0; done < said.size();) {
    const std::size_t count = ends.client.write(std::span(said).subspan(done));
    REQUIRE(count > 0);
    CHECK(count <= 64 << 10);
    done += count;
    const Bytes part = Ends::pass(ends.client, ends.server);
    got.insert(got.end(), part.begin(), part.end());
  }
  CHECK((got == said));
}

TEST_CASE("a sender changes its key now and then, as often as it takes") {
  const RunSecret secret = RunSecret::draw().value();
  TlsSettings often = settings_at(kNow);
  often.records_per_key = 3;
  Ends ends(holder_of(secret, often), holder_of(secret, often));
  ends.shake_hands();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const Bytes said = noise(100, i);
    REQUIRE(ends.client.write(said) == said.size());
    REQUIRE((Ends::pass(ends.client, ends.server) == said));
    REQUIRE(ends.server.write(said) == said.size());
    REQUIRE((Ends::pass(ends.server, ends.client) == said));
  }
}

namespace {

/// OpenSSL itself on the dialling side, with a key of the run: it can do what a TlsSession never does.
class RawClient {
 public:
  RawClient(const Identity& identity, TlsSession& server)
      : context_(SSL_CTX_new(TLS_client_method())), server_(server) {
    SSL_CTX_use_certificate(context_.get(), &identity.certificate());
    SSL_CTX_use_PrivateKey(context_.get(), &identity.key());
    const std::string protocols = "\x08hawser/4";
    SSL_CTX_set_alpn_protos(context_.get(), reinterpret_cast<const unsigned char*>(protocols.data()), 9);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_tlsext_host_name(ssl_.get(), (identity.run() + ".hawser").c_str());
    for (int i = 0; i < 4; ++i) {
      (void)SSL_connect(ssl_.get());
      pass();
      server_.shake_hands();
      const Bytes answer = waiting_of(server_);
      BIO_write(in_, answer.data(), static_cast<int>(answer.size()));
    }
  }
  void change_key(bool asks_for_the_others) {
    REQUIRE(SSL_key_update(ssl_.get(), asks_for_the_others ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) ==
            1);
    REQUIRE(SSL_do_handshake(ssl_.get()) == 1);
  }
  void say(const std::string& words) {
    REQUIRE(SSL_write(ssl_.get(), words.data(), static_cast<int>(words.size())) == static_cast<int>(words.size()));
  }
  /// What it has written is received by the other side.
  void pass() {
    Bytes said(32 << 10);
    const int count = BIO_read(out_, said.data(), static_cast<int>(said.size()));
    if (count > 0) feed(server_, std::span(said).first(static_cast<std::size_t>(count)));
  }

 private:
  std::unique_ptr<SSL_CTX, trust::Freed<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, trust::Freed<SSL_free>> ssl_;
  BIO* in_ = BIO_new(BIO_s_mem());
  BIO* out_ = BIO_new(BIO_s_mem());
  TlsSession& server_;
};

}  // namespace

TEST_CASE("who changes its key again and again and says nothing is cut off, and who says something is not") {
  const Run run;
  const Identity identity = issued(run.secret, {.name = "lisbon"});
  TlsSession server(run.master, TlsSession::Side::accepting);
  RawClient client(identity, server);
  REQUIRE(server.is_established());
  const bool asks = GENERATE(false, true);
  Bytes got(1000);
  SECTION("honest: something is said with each few keys") {
    for (std::uint32_t i = 0; i < 4 * TlsSession::kOwnMessagesMax; ++i) {
      client.change_key(asks);
      if (i % 8 == 7) client.say("words");
      client.pass();
      CHECK(server.read(got) == (i % 8 == 7 ? 5 : 0));
      (void)waiting_of(server);
    }
    CHECK(server.failure().empty());
  }
  SECTION("all at once") {
    for (std::uint32_t i = 0; i < 1000; ++i) client.change_key(asks);
    client.say("words");
    client.pass();
    CHECK(server.read(got) == 0);
    CHECK(contains(server.failure(), "changed its key again and again"));
    CHECK(server.room().empty());
  }
  SECTION("one after the other") {
    std::uint32_t changes = 0;
    while (server.failure().empty() && changes < 1000) {
      client.change_key(asks);
      ++changes;
      client.pass();
      CHECK(server.read(got) == 0);
      (void)waiting_of(server);
    }
    CHECK(changes == TlsSession::kOwnMessagesMax + 1);
    CHECK(contains(server.failure(), "changed its key again and again"));
  }
}

TEST_CASE("another run's key is refused on both sides, in plain words") {
  const Run run, other;
  Ends ends(run.master, other.member);
  ends.shake_hands();
  CHECK_FALSE(ends.server.is_established());
  CHECK_FALSE(ends.client.is_established());
  CHECK(contains(ends.server.failure(), "of another run"));
  CHECK(contains(ends.client.failure(), "of another run"));
}

TEST_CASE("a key whose time is over is refused, and its owner knows it beforehand") {
  const Run run;
  const auto later = settings_at(kNow + 40 * kDay);
  const auto member = context_of(issued(run.secret, {.name = "madrid"}), later);
  REQUIRE_FALSE(member->check_own_key().ok());
  CHECK(contains(member->check_own_key().error().sentence, "this process's key (madrid) has expired since"));
  Ends ends(holder_of(run.secret, later), member);
  ends.shake_hands();
  CHECK(contains(ends.server.failure(), "its key (madrid) has expired since"));
  Bytes nothing(10);
  CHECK(ends.client.read(nothing) == 0);
  CHECK(contains(ends.client.failure(), "refused this process's key"));
}

TEST_CASE("another version of the protocol is refused at once") {
  const Run run;
  Ends ends(run.master, holder_of(run.secret, settings_at(kNow, 5)));
  ends.shake_hands();
  CHECK(contains(ends.server.failure(), "it speaks hawser/5, and this process hawser/4"));
  CHECK(contains(ends.client.failure(), "another version of Hawser's protocol"));
}

TEST_CASE("who does not speak TLS is told apart from an attacker") {
  const Run run;
  TlsSession server(run.master, TlsSession::Side::accepting);
  const Bytes plain{std::byte{0xf5}, std::byte{'H'}, std::byte{'W'}, std::byte{'C'}};
  feed(server, plain);
  CHECK_FALSE(server.shake_hands());
  CHECK(contains(server.failure(), "does not speak TLS"));
  REQUIRE(server.to_send().size() == 7);
  CHECK(server.to_send().front() == std::byte{0x15});
  CHECK(server.room().empty());

  TlsSession client(run.member, TlsSession::Side::dialling);
  client.shake_hands();
  feed(client, plain);
  CHECK_FALSE(client.shake_hands());
  CHECK(contains(client.failure(), "does not speak TLS"));

  TlsSession cut(run.member, TlsSession::Side::dialling);
  cut.shake_hands();
  cut.received_end();
  CHECK_FALSE(cut.shake_hands());
  CHECK(contains(cut.failure(), "closed the connection before"));
}

TEST_CASE("a client without a certificate, and one with older TLS only, are refused") {
  const Run run;
  using ContextPtr = std::unique_ptr<SSL_CTX, trust::Freed<SSL_CTX_free>>;
  using SslPtr = std::unique_ptr<SSL, trust::Freed<SSL_free>>;
  const ContextPtr context(SSL_CTX_new(TLS_client_method()));
  const bool is_old = GENERATE(true, false);
  if (is_old) SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  const std::string protocols = "\x08hawser/4";
  SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(protocols.data()), 9);
  const SslPtr client(SSL_new(context.get()));
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), in, out);
  SSL_set_tlsext_host_name(client.get(), (run.master->run() + ".hawser").c_str());
  TlsSession server(run.master, TlsSession::Side::accepting);
  for (int i = 0; i < 4; ++i) {
    (void)SSL_connect(client.get());
    Bytes said(10'000);
    const int count = BIO_read(out, said.data(), static_cast<int>(said.size()));
    if (count > 0) feed(server, std::span(said).first(static_cast<std::size_t>(count)));
    server.shake_hands();
    const Bytes answer = waiting_of(server);
    BIO_write(in, answer.data(), static_cast<int>(answer.size()));
  }
  CHECK_FALSE(server.is_established());
  CHECK(contains(server.failure(), is_old ? "does not speak TLS 1.3" : "it showed no certificate"));
}

TEST_CASE("no byte of a handshake can be changed") {
  const Run run;
  for (const bool from_client : {true, false}) {
    for (std::size_t at = 0; at < 3000; at += 7) {
      Ends ends(run.master, run.member);
      std::size_t passed = 0;
      bool changed = false;
      ends.shake_hands([&](Bytes& bytes, bool is_from_client) {
        if (is_from_client != from_client) return;
        if (at >= passed && at < passed + bytes.size()) {
          bytes[at - passed] ^= std::byte{0x10};
          changed = true;
        }
        passed += bytes.size();
      });
      if (!changed) break;
      // The client has said all before the server judges it.
      CHECK_FALSE(ends.server.is_established());
      Bytes nothing(10);
      ends.client.read(nothing);
      CHECK_FALSE((ends.client.is_established() && ends.client.write(nothing) > 0 &&
                   !Ends::pass(ends.client, ends.server).empty()));
    }
  }
}

TEST_CASE("what was changed, repeated, swapped or left out on the way is not read") {
  const Run run;
  Ends ends(run.master, run.member);
  ends.shake_hands();
  REQUIRE(ends.client.write(text("one")) == 3);
  const Bytes one = waiting_of(ends.client);
  REQUIRE(ends.client.write(text("two")) == 3);
  const Bytes two = waiting_of(ends.client);
  Bytes got(100);
  const auto read_all = [&] { return ends.server.read(got); };
  SECTION("changed") {
    const std::size_t at = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 10U, 24U);
    Bytes changed = one;
    changed[at] ^= std::byte{1};
    feed(ends.server, changed);
    CHECK(read_all() == 0);
    feed(ends.server, two);
    CHECK(read_all() == 0);
  }
  SECTION("repeated") {
    feed(ends.server, one);
    CHECK(read_all() == 3);
    feed(ends.server, one);
    CHECK(read_all() == 0);
    CHECK(contains(ends.server.failure(), "changed on the way"));
  }
  SECTION("swapped") {
    feed(ends.server, two);
    CHECK(read_all() == 0);
    CHECK(contains(ends.server.failure(), "changed on the way"));
  }
  SECTION("another connection's") {
    Ends others(run.master, run.member);
    others.shake_hands();
    feed(others.server, one);
    CHECK(others.server.read(got) == 0);
    CHECK_FALSE(others.server.failure().empty());
  }
  SECTION("sent back") {
    feed(ends.client, one);
    CHECK(ends.client.read(got) == 0);
    CHECK_FALSE(ends.client.failure().empty());
  }
  SECTION("cut in the middle") {
    feed(ends.server, std::span(one).first(10));
    ends.server.received_end();
    CHECK(read_all() == 0);
    CHECK((ends.server.has_ended() || !ends.server.failure().empty()));
    CHECK_FALSE(ends.server.has_heard_end());
  }
}

TEST_CASE("a stranger cannot make a session hold more than a handshake needs") {
  const Run run;
  TlsSession server(run.master, TlsSession::Side::accepting);
  // A client hello that announces the most, and never ends.
  Bytes hello = text(std::string("\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03", 11) + std::string(16373, 'x'));
  std::size_t taken = 0;
  while (true) {
    const auto room = server.room();
    if (room.empty()) break;
    const std::size_t count = std::min(room.size(), hello.size());
    std::memcpy(room.data(), hello.data(), count);
    server.received(count);
    server.shake_hands();
    taken += count;
    REQUIRE(taken <= TlsSession::kHandshakeBytesMax);
  }
  CHECK_FALSE(server.failure().empty());
}

TEST_CASE("each side leaves TLS when it likes, and nothing is taken for the other kind") {
  const Run run;
  Ends ends(run.master, run.member);
  ends.shake_hands();
  REQUIRE(ends.client.write(text("last words")) == 10);
  ends.client.say_end();
  Bytes bytes = waiting_of(ends.client);
  const Bytes plain = text("in plain");
  bytes.insert(bytes.end(), plain.begin(), plain.end());
  feed(ends.server, bytes);
  // The other direction goes on as it was.
  REQUIRE(ends.server.write(text("still here")) == 10);
  CHECK((Ends::pass(ends.server, ends.client) == text("still here")));
  Bytes got(100);
  CHECK(ends.server.read(got) == 10);
  CHECK(ends.server.has_heard_end());
  CHECK((ends.server.take_rest() == plain));
  ends.server.say_end();
  CHECK(Ends::pass(ends.server, ends.client).empty());
  CHECK(ends.client.has_heard_end());
}
