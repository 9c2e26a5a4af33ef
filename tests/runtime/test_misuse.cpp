/// What may not be called together, or not now, is answered with an error that says so.
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "run_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

TEST_CASE("calls before connect are refused") {
  TestRun run;
  const auto peer = run.peer();
  CHECK(peer->info().status() == Status::invalid_usage);
  CHECK(peer->update_topology().status() == Status::invalid_usage);
  CHECK(reduce_once(0, *peer, {}).status == Status::invalid_usage);
}

TEST_CASE("connect twice is refused") {
  TestRun run;
  const Peers peers = run.assemble(2);
  CHECK(peers[0]->connect().status() == Status::invalid_usage);
  CHECK(peers[0]->info().ok());
}

TEST_CASE("unusable buffers are refused") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::vector<float> a(100);
  Communicator& peer = *peers[0];
  const auto status = [&](const void* send, void* receive, std::uint64_t count) {
    return peer
        .run({.call = {.signature = {.count = count},
                       .send = static_cast<const std::byte*>(send),
                       .receive = static_cast<std::byte*>(receive)}})
        .status();
  };
  CHECK(status(a.data(), a.data(), 0) == Status::invalid_argument);
  CHECK(status(nullptr, a.data(), 1) == Status::invalid_argument);
  CHECK(status(a.data(), nullptr, 1) == Status::invalid_argument);
  CHECK(status(a.data(), a.data(), ~std::uint64_t{0}) == Status::invalid_argument);
  CHECK(status(a.data(), a.data(), ~std::uint64_t{0} / 8) == Status::invalid_argument);
  CHECK(status(reinterpret_cast<char*>(a.data()) + 1, a.data() + 50, 10) == Status::invalid_argument);
  CHECK(status(a.data(), a.data() + 49, 50) == Status::invalid_usage);
  CHECK(status(a.data() + 49, a.data(), 50) == Status::invalid_usage);
}

TEST_CASE("what may not run together is refused while the first call is under way") {
  TestRun run;
  const Peers peers = run.assemble(2);
  Communicator& peer = *peers[0];
  SECTION("a tag in flight, and update-topology beside it") {
    std::vector<float> values = contribution_of(0, 1000);
    auto* const bytes = reinterpret_cast<std::byte*>(values.data());
    const auto first =
        peer.start({.call = {.signature = {.count = values.size()}, .send = bytes, .receive = bytes}, .tag = 9});
    REQUIRE(first.ok());
    CHECK(peer.update_topology().status() == Status::invalid_usage);
    CHECK(reduce_once(0, peer, {.tag = 9}).status == Status::invalid_usage);
    CHECK(peer.connect().status() == Status::invalid_usage);
    const Outcome other = reduce_once(1, *peers[1], {.tag = 9});
    REQUIRE(first->wait().ok());
    CHECK(is_sum_of(values, {0, 1}));
    CHECK((other.result == values));
  }
  SECTION("two update-topology calls, and a collective beside one") {
    Result<void> first;
    std::thread call([&] { first = peer.update_topology(); });
    CHECK(eventually([&] { return (*peer.info())->updating; }));
    CHECK(reduce_once(0, peer, {.tag = 1}).status == Status::invalid_usage);
    CHECK(peer.update_topology().status() == Status::invalid_usage);
    CHECK(peers[1]->update_topology().ok());
    call.join();
    CHECK(first.ok());
  }
}

TEST_CASE("destroying a communicator ends its calls with closed") {
  TestRun run;
  Peers peers = run.assemble(2);
  Outcome outcome;
  std::thread call([&] { outcome = reduce_once(0, *peers[0], {.in_place = true}); });
  CHECK(eventually([&] { return peers[0]->calls_under_way() == 1; }));
  peers[0].reset();
  call.join();
  CHECK(outcome.status == Status::closed);
  CHECK(outcome.input_intact);
}

TEST_CASE("destroying a communicator that dials or waits does not block") {
  TestRun run;
  Peers members = run.assemble(2);
  auto config = run.config();
  SECTION("it waits for admission") {
    auto peer = run.peer(config);
    Result<void> connected;
    std::thread call([&] { connected = peer->connect(); });
    CHECK(eventually([&] { return (*members[0]->info())->pending == 1; }));
    const auto begun = std::chrono::steady_clock::now();
    peer.reset();
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(1));
    call.join();
    CHECK(connected.status() == Status::closed);
  }
  SECTION("nobody answers") {
    // 192.0.2.0/24 is for documentation: it leads nowhere.
    config.access.insecure = true;
    config.master = {.host = "192.0.2.1", .port = 9};
    auto peer = run.peer(config);
    Result<void> connected;
    std::thread call([&] { connected = peer->connect(); });
    CHECK(eventually([&] { return peer->calls_under_way() == 1; }));
    const auto begun = std::chrono::steady_clock::now();
    peer.reset();
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(1));
    call.join();
    CHECK(connected.status() == Status::closed);
  }
}

TEST_CASE("connect gives up within its bound") {
  TestRun run;
  auto config = run.config();
  config.engine.connect = milliseconds(400);
  SECTION("no master") {
    run.stop_master();
    const auto peer = run.peer(config);
    const auto connected = peer->connect();
    INFO((connected.ok() ? "" : connected.error().sentence));
    CHECK((connected.status() == Status::master_unreachable || connected.status() == Status::timeout));
  }
  SECTION("no admission, and then it may try again") {
    Peers members = run.assemble(2);
    const auto peer = run.peer(config);
    CHECK(peer->connect().status() == Status::timeout);
    CHECK(peer->connect().status() == Status::timeout);
  }
}

TEST_CASE("a fork's child is told that the communicator is not its own") {
  TestRun run;
  Peers peers = run.assemble(2);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool refused = peers[0]->info().status() == Status::invalid_usage &&
                         peers[0]->update_topology().status() == Status::invalid_usage;
    peers.clear();  // Must neither hang nor disturb the parent's.
    ::_exit(refused ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  std::vector<Outcome> outcomes(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) CHECK(is_sum_of(outcome.result, {0, 1}));
}

TEST_CASE("a fork's child does not hide the death of a peer") {
  TestRun run;
  Peers peers = run.assemble(2);
  std::array<int, 2> until_closed{};
  REQUIRE(::pipe(until_closed.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(until_closed[1]);
    char byte = 0;
    (void)!::read(until_closed[0], &byte, 1);
    ::_exit(0);
  }
  ::close(until_closed[0]);
  const auto begun = std::chrono::steady_clock::now();
  peers[1]->vanish();
  Outcome outcome = reduce_once(0, *peers[0], {});
  // Well before the 3 s of silence that are the bound otherwise.
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  INFO(outcome.sentence);
  CHECK((outcome.status == Status::peer_lost || outcome.status == Status::too_few_peers));
  ::close(until_closed[1]);
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
}

TEST_CASE("a master runs once") {
  auto master = Master::create({.listen = {.host = "127.0.0.1", .port = 0}});
  REQUIRE(master.ok());
  REQUIRE((*master)->start().ok());
  CHECK((*master)->start().status() == Status::invalid_usage);
  CHECK((*master)->run().status() == Status::invalid_usage);
  (*master)->stop();
  (*master)->stop();
  CHECK((*master)->run().status() == Status::invalid_usage);
}
