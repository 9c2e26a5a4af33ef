/// Optimize-topology over real sockets. All peers are on one host here, where links are not probed.
#include "run_fixture.hpp"
#include "runtime/status_query.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// The master has heard of it, so the peer's engine has begun it: the caller's thread may be anywhere before that.
bool has_begun(const TestRun& run) {
  return eventually([&] {
    const auto told = query_status(run.address(), seconds(20));
    return told.ok() && !told->status.collectives.empty();
  });
}

}  // namespace

TEST_CASE("members of one host meet, probe nothing, and reduce afterwards") {
  TestRun run;
  const Peers peers = run.assemble(3);
  on_all(peers, [&](std::size_t, Communicator& peer) {
    bool progressed = false;
    const auto ended = peer.optimize_topology({}, {.all_pairs = true}, [&](auto, auto) { progressed = true; });
    if (!ended.ok()) FAIL(ended.error().sentence);
    CHECK(ended->collective.contributors.size() == 3);
    CHECK(ended->pairs == 0);
    CHECK(ended->measured == 0);
    CHECK(ended->collective.bytes_sent == 0);
    CHECK_FALSE(progressed);
  });
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    CHECK(reduce_once(who, peer, {}).status == Status::success);
  });
}

TEST_CASE("a lone member has nobody to probe") {
  TestRun run;
  const Peers peers = run.assemble(1);
  CHECK(peers[0]->optimize_topology({}, {}).status() == Status::too_few_peers);
}

TEST_CASE("bounds that make no sense are refused") {
  TestRun run;
  const auto peer = run.peer();
  CHECK(peer->optimize_topology({.bytes_max = 1}, {}).status() == Status::invalid_argument);
  CHECK(peer->optimize_topology({.time_max = seconds(60)}, {}).status() == Status::invalid_argument);
  CHECK(peer->optimize_topology({}, {}).status() == Status::invalid_usage);
}

TEST_CASE("nothing runs beside an optimize-topology") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::thread first([&] {
    // Ends when the other one is gone.
    CHECK(peers[0]->optimize_topology({}, {}).status() == Status::peer_lost);
  });
  // Once it is under way.
  REQUIRE(has_begun(run));
  CHECK(reduce_once(0, *peers[0], {}).status == Status::invalid_usage);
  CHECK(peers[0]->update_topology().status() == Status::invalid_usage);
  CHECK(peers[0]->optimize_topology({}, {}).status() == Status::invalid_usage);
  peers[1]->vanish();
  first.join();
}

TEST_CASE("members that ask for different probes are told so") {
  TestRun run;
  const Peers peers = run.assemble(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const auto ended = peer.optimize_topology({.bytes_max = (1U << 20) + who}, {});
    CHECK(ended.status() == Status::mismatch);
    if (!ended.ok()) CHECK(ended.error().sentence.find("optimize-topology") != std::string::npos);
  });
}

TEST_CASE("closing a communicator ends its optimize-topology") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::thread waiting([&] { CHECK(peers[0]->optimize_topology({}, {}).status() == Status::closed); });
  REQUIRE(has_begun(run));
  CHECK(peers[0]->close().ok());
  waiting.join();
}
