#include <asio/executor_work_guard.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <thread>

#include "tls_fixture.hpp"
#include "transport/control_connection.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// Reads until so many bytes are there.
std::vector<std::byte> read_all(asio::io_context& io, Stream& stream, std::size_t bytes) {
  std::vector<std::byte> got(bytes);
  std::size_t done = 0;
  while (done < bytes) {
    std::error_code error;
    done += stream.read_some(asio::buffer(got.data() + done, bytes - done), error);
    if (error && !transport::is_wait(error)) FAIL(stream.reason(error));
    if (done == bytes) break;
    bool is_readable = false;
    stream.async_wait(Tcp::socket::wait_read, [&](const std::error_code&) { is_readable = true; });
    REQUIRE(run_until(io, [&] { return is_readable; }));
  }
  return got;
}

void write_all(asio::io_context& io, Stream& stream, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::error_code error;
    bytes = bytes.subspan(stream.write_some(asio::buffer(bytes.data(), bytes.size()), error));
    if (error && !transport::is_wait(error)) FAIL(stream.reason(error));
    if (bytes.empty()) break;
    bool is_writable = false;
    stream.async_wait(Tcp::socket::wait_write, [&](const std::error_code&) { is_writable = true; });
    REQUIRE(run_until(io, [&] { return is_writable; }));
  }
}

}  // namespace

TEST_CASE("bulk passes both ways at once, in pieces of any size") {
  asio::io_context io;
  const TlsRun run;
  const bool with_tls = GENERATE(false, true);
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  StreamPair pair(io, with_tls ? run.holder : nullptr, with_tls ? run.member : nullptr);
  CHECK(pair.here.is_encrypted() == with_tls);
  const auto a = pattern(9'000'000, seed), b = pattern(7'000'000, seed + 10);
  Talk here(pair.here, a, seed + 20), there(pair.there, b, seed + 30);
  here.start();
  there.start();
  REQUIRE(run_until(io, [&] { return here.heard().size() == b.size() && there.heard().size() == a.size(); }));
  CHECK((here.heard() == b));
  CHECK((there.heard() == a));
  CHECK(here.has_said_all());
  pair.here.close();
  REQUIRE(run_until(io, [&] { return static_cast<bool>(there.failure()); }));
  CHECK(there.failure() == asio::error::eof);
}

TEST_CASE("both ends know whom they talk to") {
  asio::io_context io;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  CHECK(*pair.here.badge() == run.holder->own_badge());
  CHECK(*pair.there.badge() == run.member->own_badge());
  StreamPair plain(io, nullptr, nullptr);
  CHECK(plain.here.badge() == nullptr);
}

TEST_CASE("a stream goes on where it was on another io_context, with all that had come in") {
  asio::io_context io, lane;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  const auto said = pattern(500'000);
  Talk here(pair.here, said, 1);
  here.start();
  // Of what is received some records wait in it now.
  CHECK((read_all(io, pair.there, 5000) == std::vector(said.begin(), said.begin() + 5000)));
  Stream moved = Stream::moved_to(lane, std::move(pair.there));
  REQUIRE(moved.is_open());
  CHECK(*moved.badge() == run.member->own_badge());
  auto guard = asio::make_work_guard(io);
  std::thread other([&io] { io.run(); });
  const auto rest = read_all(lane, moved, said.size() - 5000);
  io.stop();
  other.join();
  CHECK((rest == std::vector(said.begin() + 5000, said.end())));
}

TEST_CASE("both sides leave TLS while bytes of both kinds are on their way") {
  asio::io_context io;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  const auto greeting = pattern(64, 1), answer = pattern(32, 2), more = pattern(3'000'000, 3);
  // As links do: the accepting side answers, leaves, and sends on at once. The dialling side has not read the answer.
  write_all(io, pair.here, greeting);
  CHECK((read_all(io, pair.there, 64) == greeting));
  write_all(io, pair.there, answer);
  pair.there.leave_tls();
  CHECK_FALSE(pair.there.is_encrypted());
  Talk there(pair.there, more, 4);
  there.start();
  CHECK((read_all(io, pair.here, 32) == answer));
  SECTION("both leave") {
    pair.here.leave_tls();
    pair.here.leave_tls();
  }
  SECTION("one stays") { pair.here.let_other_leave_tls(); }
  Talk here(pair.here, more, 5);
  here.start();
  REQUIRE(run_until(io, [&] { return here.heard().size() == more.size() && there.heard().size() == more.size(); }));
  CHECK((here.heard() == more));
  CHECK((there.heard() == more));
  CHECK(*pair.here.badge() == run.holder->own_badge());
  pair.there.close();
  REQUIRE(run_until(io, [&] { return static_cast<bool>(here.failure()); }));
}

TEST_CASE("the dialling side leaves first") {
  asio::io_context io;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  const auto last = pattern(20'000, 1), plain = pattern(40'000, 2);
  write_all(io, pair.here, last);
  pair.here.leave_tls();
  write_all(io, pair.here, plain);
  CHECK((read_all(io, pair.there, last.size()) == last));
  // Two messages in the other direction, of which the second one is in plain.
  write_all(io, pair.there, last);
  pair.there.leave_tls();
  write_all(io, pair.there, plain);
  CHECK((read_all(io, pair.here, last.size() + plain.size()).back() == plain.back()));
  CHECK((read_all(io, pair.there, plain.size()) == plain));
}

TEST_CASE("a side that may not leave TLS is taken as gone") {
  asio::io_context io;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  pair.here.leave_tls();
  write_all(io, pair.here, pattern(100));
  std::error_code error;
  std::vector<std::byte> got(100);
  REQUIRE(run_until(io, [&] {
    if (pair.there.read_some(asio::buffer(got), error) > 0) FAIL("plain bytes were read");
    if (!transport::is_wait(error)) return true;
    pair.there.async_wait(Tcp::socket::wait_read, [](const std::error_code&) {});
    return false;
  }));
  CHECK(error == asio::error::eof);
}

TEST_CASE("nothing can be written before the other side has proven who it is") {
  asio::io_context io;
  const TlsRun run;
  StreamPair plain(io, nullptr, nullptr);
  Stream accepting = Stream::accepted(std::move(plain.there.socket()), run.holder);
  std::error_code error;
  CHECK(accepting.write_some(asio::buffer("secret", 6), error) == 0);
  CHECK(error);
  CHECK(accepting.reason(error).find("has not proven") != std::string::npos);
}

TEST_CASE("control messages pass under TLS, and the farewell comes through") {
  asio::io_context io;
  const TlsRun run;
  StreamPair pair(io, run.holder, run.member);
  std::vector<std::string> got, sent;
  std::string broken;
  const auto receiver = transport::ControlConnection::start(
      std::move(pair.there), {.message = [&](const std::string& message) { got.push_back(message); },
                              .broken = [&](std::string reason) { broken = std::move(reason); },
                              .settle = [] {}});
  const auto sender = transport::ControlConnection::start(
      std::move(pair.here),
      {.message = [](const std::string&) {}, .broken = [](const std::string&) {}, .settle = [] {}});
  for (std::size_t i = 0; i < 50; ++i) sent.emplace_back(i * i * 37, static_cast<char>('a' + i % 26));
  sent.emplace_back(limits::kControlMessageBytesMax, 'z');
  for (const auto& message : sent) sender->send(message);
  bool closed = false;
  sender->close_after_sending([&] { closed = true; });
  REQUIRE(run_until(io, [&] { return !broken.empty() && closed; }));
  CHECK((got == sent));
}

TEST_CASE("a dial says in plain words why nobody is trusted") {
  asio::io_context io;
  const TlsRun run, other;
  transport::TlsPtr accepting = run.holder, dialling = run.member;
  std::optional<KeyId> expected;
  std::string told;
  SECTION("another run") {
    accepting = other.holder;
    told = "of another run";
  }
  SECTION("no TLS there") {
    accepting = nullptr;
    told = "it has no secret_file, and this process has one";
  }
  SECTION("another version") {
    accepting = holder_of(run.secret, settings_at(kNow, 9));
    told = "another version of Hawser's protocol";
  }
  SECTION("an own key that has expired") {
    dialling = context_of(issued(run.secret, {.name = "madrid"}), settings_at(kNow + 31 * kDay));
    told = "this process's key (madrid) has expired since";
  }
  SECTION("another key") {
    expected = run.member->own_badge().key;
    told = "not who was expected";
  }
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::vector<std::shared_ptr<transport::ControlConnection>> accepted;
  listener->start({.accepted =
                       [&](Stream stream, const std::string&) {
                         accepted.push_back(transport::ControlConnection::start(
                             std::move(stream), {.message = [](const std::string&) {},
                                                 .broken = [](const std::string&) {},
                                                 .settle = [] {}}));
                       },
                   .log = [](const LogEvent&) {}},
                  accepting);
  NameLookup names(io);
  std::optional<Result<Stream>> result;
  const auto dial = Dial::start(
      io, names, {.host = "127.0.0.1", .port = listener->address().port},
      [&](Result<Stream> dialled) { result.emplace(std::move(dialled)); }, {.tls = dialling, .expected = expected});
  REQUIRE(run_until(io, [&] { return result.has_value(); }));
  REQUIRE(result->status() == Status::refused);
  INFO(result->error().sentence);
  CHECK(result->error().sentence.find(told) != std::string::npos);
  listener->close();
}

TEST_CASE("a connection that is closed amid the handshake is no refusal") {
  asio::io_context io;
  const TlsRun run;
  Tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  const bool is_reset = GENERATE(false, true);
  std::array<char, 16> some;
  acceptor.async_accept([&](const std::error_code& error, Tcp::socket socket) {
    REQUIRE_FALSE(error);
    // What has not been read makes a reset of the end.
    if (is_reset)
      asio::read(socket, asio::buffer(some));
    else
      socket.shutdown(Tcp::socket::shutdown_send);
    socket.close();
  });
  NameLookup names(io);
  std::optional<Result<Stream>> result;
  const auto dial = Dial::start(
      io, names, {.host = "127.0.0.1", .port = acceptor.local_endpoint().port()},
      [&](Result<Stream> dialled) { result.emplace(std::move(dialled)); }, {.tls = run.member});
  REQUIRE(run_until(io, [&] { return result.has_value(); }));
  REQUIRE(result->status() == Status::system);
  INFO(result->error().sentence);
  CHECK(result->error().sentence.find("closed the connection before both sides had proven") != std::string::npos);
}

TEST_CASE("a listener tells of failed handshakes, but not of each of a flood") {
  asio::io_context io;
  const TlsRun run;
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::vector<LogEvent> logged;
  int broken = 0;
  std::vector<std::shared_ptr<transport::ControlConnection>> accepted;
  listener->start({.accepted =
                       [&](Stream stream, const std::string&) {
                         accepted.push_back(transport::ControlConnection::start(
                             std::move(stream), {.message = [](const std::string&) { FAIL("it was let in"); },
                                                 .broken = [&](const std::string&) { ++broken; },
                                                 .settle = [] {}}));
                       },
                   .log = [&](LogEvent event) { logged.push_back(std::move(event)); }},
                  run.holder);
  std::vector<Tcp::socket> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(io);
    clients.back().connect({asio::ip::address_v4::loopback(), listener->address().port});
    asio::write(clients.back(), asio::buffer(frame_control("hello")));
  }
  REQUIRE(run_until(io, [&] { return broken == 20; }));
  REQUIRE(logged.size() == 1);
  CHECK(logged.front().text.find("does not speak TLS") != std::string::npos);
  // The plain side gets an alert that says what was wanted.
  std::array<unsigned char, 7> alert{};
  std::size_t got = 0;
  asio::async_read(clients.front(), asio::buffer(alert),
                   [&](const std::error_code&, std::size_t count) { got = count; });
  REQUIRE(run_until(io, [&] { return got == alert.size(); }));
  CHECK(alert.front() == 0x15);
  listener->close();
}

TEST_CASE("a handshake in many small pieces is read ever more seldom, and its wait ends with the stream") {
  asio::io_context io;
  const TlsRun run;
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::optional<Stream> accepted;
  listener->start({.accepted = [&](Stream stream, const std::string&) { accepted = std::move(stream); },
                   .log = [](const LogEvent&) {}},
                  run.holder);
  const Tcp::endpoint to(asio::ip::make_address("127.0.0.1"), listener->address().port);
  Tcp::socket stranger(io);
  stranger.connect(to);
  stranger.set_option(Tcp::no_delay(true));
  REQUIRE(run_until(io, [&] { return accepted.has_value(); }));
  Stream watched = std::move(*accepted);
  // A record of 16 KiB is announced, and comes byte by byte.
  const std::array<unsigned char, 5> begin{0x16, 3, 1, 0x3f, 0xff};
  stranger.write_some(asio::buffer(begin));
  using Clock = std::chrono::steady_clock;
  std::uint32_t reads = 0;
  const auto read_next = [&] {
    bool is_readable = false;
    watched.async_wait(Tcp::socket::wait_read, [&](const std::error_code&) { is_readable = true; });
    REQUIRE(run_until(io, [&] { return is_readable; }));
    std::array<std::byte, 16> room;
    std::error_code error;
    CHECK(watched.read_some(asio::buffer(room), error) == 0);
    CHECK(transport::is_wait(error));
    ++reads;
  };
  const std::array<unsigned char, 1> piece{0};
  while (reads < Stream::kPiecesAtOnce) {
    read_next();
    stranger.write_some(asio::buffer(piece));
  }
  const auto since = Clock::now();
  constexpr int kSeldom = 3;
  for (int i = 0; i < kSeldom; ++i) {
    read_next();
    stranger.write_some(asio::buffer(piece));
  }
  CHECK(Clock::now() - since >= ((1 << kSeldom) - 1) * Stream::kPieceApart);
  // It is over with its stream, also while it is held back.
  bool is_over = false;
  watched.async_wait(Tcp::socket::wait_read,
                     [&](const std::error_code& error) { is_over = error == asio::error::operation_aborted; });
  watched.close();
  REQUIRE(run_until(io, [&] { return is_over; }));
}

TEST_CASE("an honest handshake in many pieces is over in the end, and what follows comes at once") {
  asio::io_context io;
  const TlsRun run;
  auto listener = Listener::open(io, {.host = "127.0.0.1"}).value();
  std::optional<Stream> accepted;
  listener->start({.accepted = [&](Stream stream, const std::string&) { accepted = std::move(stream); },
                   .log = [](const LogEvent&) {}},
                  run.holder);
  Tcp::socket client(io);
  client.connect({asio::ip::address_v4::loopback(), listener->address().port});
  client.set_option(Tcp::no_delay(true));
  REQUIRE(run_until(io, [&] { return accepted.has_value(); }));
  Stream server = std::move(*accepted);
  const auto serve = [&] {
    bool is_readable = false;
    server.async_wait(Tcp::socket::wait_read, [&](const std::error_code&) { is_readable = true; });
    REQUIRE(run_until(io, [&] { return is_readable; }));
    std::error_code error;
    server.shake_hands(error);
    if (error && !transport::is_wait(error)) FAIL(server.reason(error));
  };
  TlsSession session(run.member, TlsSession::Side::dialling);
  const auto say = [&](std::size_t pieces) {
    while (!session.to_send().empty()) {
      const std::size_t bytes = std::min(session.to_send().size(), session.to_send().size() / pieces + 1);
      client.write_some(asio::buffer(session.to_send().data(), bytes));
      session.sent(bytes);
      pieces = std::max<std::size_t>(1, pieces - 1);
      serve();
    }
  };
  session.shake_hands();
  say(Stream::kPiecesAtOnce + 1);
  while (!session.is_established()) {
    const auto room = session.room();
    session.received(client.read_some(asio::buffer(room.data(), room.size())));
    session.shake_hands();
  }
  say(2);
  while (server.badge() == nullptr) serve();
  const auto words = pattern(10);
  session.write(words);
  client.write_some(asio::buffer(session.to_send().data(), session.to_send().size()));
  CHECK((read_all(io, server, words.size()) == words));
}
