/// The status of a run, asked over real sockets by somebody who is no peer.
#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include "run_fixture.hpp"
#include "runtime/status_query.hpp"
#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

using Tcp = asio::ip::tcp;

/// Asks until the run stands like this. A master that is asked very often refuses now and then.
RunStatus status_when(const TestRun& run, const std::function<bool(const RunStatus&)>& condition) {
  Result<StatusAnswer> status = Error{Status::internal, "not asked yet"};
  const bool came = eventually([&] {
    status = query_status(run.address(), seconds(20));
    return status.ok() && condition(status->status);
  });
  if (!status.ok()) FAIL(status.error().sentence);
  REQUIRE(came);
  return std::move(status->status);
}

/// A port that something listens on which is no master: it says this to the first who connects, once that one
/// has said something, and closes.
class Impostor {
 public:
  explicit Impostor(std::string answer) : listener_(io_, {asio::ip::address_v4::loopback(), 0}) {
    thread_ = std::thread([this, answer = std::move(answer)] {
      std::error_code error;
      Tcp::socket socket = listener_.accept(error);
      std::array<char, 256> heard;
      if (!error) socket.read_some(asio::buffer(heard), error);
      if (!error) asio::write(socket, asio::buffer(answer), error);
    });
  }
  ~Impostor() { thread_.join(); }
  Address address() const { return {.host = "127.0.0.1", .port = listener_.local_endpoint().port()}; }

 private:
  asio::io_context io_;
  Tcp::acceptor listener_;
  std::thread thread_;
};

void expect_failure(const Result<StatusAnswer>& result, Status status, const std::string& part) {
  REQUIRE_FALSE(result.ok());
  INFO(result.error().sentence);
  CHECK(result.status() == status);
  CHECK(result.error().sentence.find(part) != std::string::npos);
}

std::vector<std::byte> bytes_of(std::size_t count) { return std::vector<std::byte>(count); }

}  // namespace

TEST_CASE("the status names the members, who waits, and who holds up a collective") {
  TestRun run;
  Peers peers = run.assemble(2);
  auto late_config = run.config();
  late_config.engine.name = "latecomer";
  const auto latecomer = run.peer(late_config);
  std::thread waiting([&] { (void)latecomer->connect(); });
  // First it waits for its links.
  const RunStatus before = status_when(run, [](const RunStatus& told) {
    return told.pending.size() == 1 && told.pending.front().awaits == Awaits::update;
  });
  CHECK(before.pending.front().peer.member.name == "latecomer");
  CHECK(before.collectives.empty());

  const std::vector<std::byte> send = bytes_of(4 * 1000);
  std::vector<std::byte> receive = bytes_of(4 * 1000);
  auto called = peers[0]->start(
      {.call = {.signature = {.count = 1000}, .send = send.data(), .receive = receive.data()}, .tag = 42});
  REQUIRE(called.ok());
  const RunStatus status = status_when(run, [](const RunStatus& told) { return !told.collectives.empty(); });
  CHECK(status.protocol_version == kProtocolVersion);
  CHECK(status.world.size == 2);
  REQUIRE(status.groups.size() == 1);
  REQUIRE(status.groups.front().members.size() == 2);
  const auto rank_of_caller = (*peers[0]->info())->view.rank_of((*peers[0]->info())->self);
  REQUIRE(rank_of_caller);
  CHECK(status.groups.front().members[*rank_of_caller].member.name == "peer0");
  CHECK(status.groups.front().members[1 - *rank_of_caller].member.name == "peer1");
  CHECK(status.in_update == 0);
  REQUIRE(status.pending.size() == 1);
  REQUIRE(status.collectives.size() == 1);
  const CollectiveStatus& op = status.collectives.front();
  CHECK(op.tag == 42);
  CHECK(describe(op.signature) == "all-reduce of 1000 float32, sum");
  CHECK(op.called == std::vector<std::uint32_t>{*rank_of_caller});
  CHECK(op.reported.empty());
  CHECK(op.waits_for == std::vector<std::uint32_t>{1 - *rank_of_caller});

  // Nothing of it has disturbed the run: the other calls, and both have their sum.
  const Outcome other = reduce_once(0, *peers[1], {.tag = 42});
  CHECK(other.status == Status::success);
  REQUIRE(called->wait().ok());
  (void)status_when(run, [](const RunStatus& told) { return told.collectives.empty(); });
  REQUIRE(latecomer->close().ok());
  waiting.join();
}

TEST_CASE("nobody listens where the master is asked for") {
  asio::io_context io;
  Tcp::acceptor free_port(io, {asio::ip::address_v4::loopback(), 0});
  const Address address{.host = "127.0.0.1", .port = free_port.local_endpoint().port()};
  free_port.close();
  expect_failure(query_status(address, seconds(20)), Status::master_unreachable, to_string(address));
}

TEST_CASE("what is no master is told from one") {
  SECTION("a web server") {
    const Impostor impostor("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect_failure(query_status(impostor.address(), seconds(20)), Status::refused, "no Hawser master");
  }
  SECTION("it hangs up without a word, as a master does that does not know the question") {
    const Impostor impostor("");
    expect_failure(query_status(impostor.address(), seconds(20)), Status::refused, "another release");
  }
  SECTION("it says something that only a peer would") {
    const Impostor impostor(frame_control(encode(PeerMessage(Ping{}))));
    expect_failure(query_status(impostor.address(), seconds(20)), Status::refused, "no Hawser master");
  }
  SECTION("it answers another question") {
    const Impostor impostor(frame_control(encode(MasterMessage(Pong{}))));
    expect_failure(query_status(impostor.address(), seconds(20)), Status::refused, "something else");
  }
  SECTION("a master of another version says so itself") {
    const std::string sentence = "who asks speaks protocol version 1, the master version 9";
    const Impostor impostor(frame_control(encode(MasterMessage(Refused{{Status::refused, sentence}}))));
    expect_failure(query_status(impostor.address(), seconds(20)), Status::refused, sentence);
  }
  SECTION("the port of a peer") {
    TestRun run;
    const auto peer = run.peer();
    Address address{.host = "127.0.0.1", .port = peer->listen_address().port};
    expect_failure(query_status(address, seconds(20)), Status::refused, "a peer's");
  }
}

TEST_CASE("a master that takes the connection and says nothing is given up after the bound") {
  asio::io_context io;
  const Tcp::acceptor silent(io, {asio::ip::address_v4::loopback(), 0});
  const Address address{.host = "127.0.0.1", .port = silent.local_endpoint().port()};
  expect_failure(query_status(address, milliseconds(200)), Status::timeout, "did not answer within 200 ms");
}
