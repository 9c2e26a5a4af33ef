/// Loss, joins, mismatch, and a master that goes and comes back, over real sockets.
#include <algorithm>
#include <latch>
#include <numeric>

#include "run_fixture.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// Calls again and again as a training loop would, as long as that is legal and the input is intact.
/// Catch's macros are for one thread only: whatever is wrong is told by the outcome.
Outcome reduce_until_done(std::size_t who, Communicator& peer, const ReduceOnce& what) {
  Outcome outcome;
  for (int attempt = 0; attempt < 20; ++attempt) {
    outcome = reduce_once(who, peer, what);
    const bool again = outcome.status == Status::peer_lost || outcome.status == Status::master_restarted;
    if (!again || !outcome.input_intact) break;
  }
  return outcome;
}

}  // namespace

TEST_CASE("the survivors of a killed peer retry with what they had") {
  TestRun run;
  const std::size_t world_size = GENERATE(std::size_t{3}, std::size_t{5});
  const bool in_place = GENERATE(false, true);
  Peers peers = run.assemble(world_size);
  std::vector<Outcome> first(world_size);
  std::vector<Outcome> second(world_size);
  const ReduceOnce big{.count = 8'000'000, .in_place = in_place};
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 1) {
      // It takes part and is gone in the middle; the simulator and the churn run do it at every moment.
      std::latch calling(1);
      std::thread call([&] {
        calling.count_down();
        first[who] = reduce_once(who, peer, big);
      });
      calling.wait();
      peer.vanish();
      call.join();
      return;
    }
    first[who] = reduce_once(who, peer, big);
    second[who] = first[who].status == Status::success ? first[who] : reduce_until_done(who, peer, big);
  });
  std::vector<std::size_t> everyone(world_size);
  std::iota(everyone.begin(), everyone.end(), 0);
  auto rest = everyone;
  std::erase(rest, std::size_t{1});
  const bool summed_all = std::any_of(rest.begin(), rest.end(), [&](std::size_t who) {
    return first[who].status == Status::success && first[who].info->contributors.size() == world_size;
  });
  for (const std::size_t who : rest) {
    INFO("peer " << who << ": " << first[who].sentence << " / " << second[who].sentence);
    // Who called after the loss was in the next view at once; but a sum with all of them is everyone's.
    if (summed_all) CHECK(first[who].status == Status::success);
    CHECK((first[who].status == Status::success || first[who].status == Status::peer_lost));
    CHECK((first[who].status == Status::success || first[who].input_intact));
    REQUIRE(second[who].status == Status::success);
    REQUIRE(second[who].info->contributors == second[0].info->contributors);
    const bool with_all = second[who].info->contributors.size() == world_size;
    CHECK(is_sum_of(second[who].result, with_all ? everyone : rest));
  }
}

TEST_CASE("the last member left alone is told so") {
  TestRun run;
  Peers peers = run.assemble(2);
  peers[1]->vanish();
  const Outcome outcome = reduce_until_done(0, *peers[0], {.count = 10});
  INFO(outcome.sentence);
  CHECK(outcome.status == Status::too_few_peers);
  CHECK(outcome.input_intact);
  CHECK((*peers[0]->info())->view.size() == 1);
}

TEST_CASE("a peer that leaves gracefully costs the others at most one collective") {
  TestRun run;
  Peers peers = run.assemble(3);
  peers[2].reset();
  peers.pop_back();
  std::vector<Outcome> outcomes(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    outcomes[who] = reduce_until_done(who, peer, {.count = 1000});
  });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, {0, 1}));
  }
}

TEST_CASE("different calls are a mismatch for all") {
  TestRun run;
  const Peers peers = run.assemble(3);
  std::vector<Outcome> outcomes(3);
  SECTION("another count") {
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      outcomes[who] = reduce_once(who, peer, {.count = who == 2 ? 1001U : 1000U, .in_place = true});
    });
  }
  SECTION("another operation") {
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      outcomes[who] = reduce_once(who, peer, {.op = who == 2 ? ReduceOp::avg : ReduceOp::sum, .tag = 3});
    });
  }
  SECTION("update-topology instead") {
    // The first of a newcomer does not count: it cannot know that the others have gone on already.
    on_all(peers, [&](std::size_t, Communicator& peer) { REQUIRE(peer.update_topology().ok()); });
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      if (who != 2) {
        outcomes[who] = reduce_once(who, peer, {});
        return;
      }
      const auto updated = peer.update_topology();
      outcomes[who] = {.status = updated.status(),
                       .sentence = updated.ok() ? "" : updated.error().sentence,
                       .result = {},
                       .input_intact = true,
                       .info = {}};
    });
  }
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    CHECK(outcome.status == Status::mismatch);
    CHECK(outcome.input_intact);
    CHECK(outcome.sentence == outcomes[0].sentence);
  }
  // Nobody is worse off.
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    CHECK(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, {0, 1, 2}));
  }
}

TEST_CASE("a newcomer is pending until the members update") {
  TestRun run;
  Peers peers = run.assemble(2);
  auto late = run.peer();
  Result<void> joined;
  std::thread joiner([&] { joined = late->connect(); });
  REQUIRE(eventually([&] { return (*peers[0]->info())->pending == 1 && (*peers[1]->info())->pending == 1; }));
  std::vector<Outcome> outcomes(2);
  // While it waits, the members go on as they were.
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) CHECK(is_sum_of(outcome.result, {0, 1}));
  std::vector<Result<void>> updated(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) { updated[who] = peer.update_topology(); });
  CHECK((updated[0].ok() && updated[1].ok()));
  joiner.join();
  REQUIRE(joined.ok());
  peers.push_back(std::move(late));
  outcomes.resize(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    CHECK(is_sum_of(outcome.result, {0, 1, 2}));
  }
}

TEST_CASE("a master that restarts finds its run again") {
  TestRun run;
  Peers peers = run.assemble(3);
  const auto epoch_before = (*peers[0]->info())->view.epoch;
  std::vector<Outcome> outcomes(3);
  const ReduceOnce what{.count = 4'000'000};
  SECTION("between collectives") { run.restart_master(); }
  SECTION("in the middle of one") {
    std::thread restart([&] {
      CHECK(eventually([&] { return peers[0]->payload_bytes_received() > 0; }));
      run.restart_master();
    });
    on_all(peers,
           [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_until_done(who, peer, what); });
    restart.join();
    for (const Outcome& outcome : outcomes) {
      INFO(outcome.sentence);
      REQUIRE(outcome.status == Status::success);
      CHECK(is_sum_of(outcome.result, {0, 1, 2}));
    }
  }
  SECTION("and stays away for a while") {
    run.stop_master();
    std::thread restart([&] {
      // Until all have the whole result, and wait for a master to commit it: what comes to each of three is two
      // shares for its own third, and the other two thirds.
      const std::uint64_t all = what.count * sizeof(float) / 3 * 4;
      CHECK(eventually([&] {
        return std::all_of(peers.begin(), peers.end(),
                           [&](const auto& peer) { return peer->payload_bytes_received() + 4096 >= all; });
      }));
      run.restart_master();
    });
    on_all(peers,
           [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_until_done(who, peer, what); });
    restart.join();
    for (const Outcome& outcome : outcomes) {
      INFO(outcome.sentence);
      REQUIRE(outcome.status == Status::success);
    }
  }
  on_all(peers,
         [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_until_done(who, peer, what); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, {0, 1, 2}));
  }
  REQUIRE(eventually([&] { return epoch_before < (*peers[0]->info())->view.epoch; }));
}

TEST_CASE("a master that never comes back ends the calls within the bound") {
  TestRun run;
  Peers peers = run.assemble(
      2, [](std::size_t, CommunicatorConfig& config) { config.engine.master_redial = milliseconds(700); });
  run.stop_master();
  std::vector<Outcome> outcomes(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    outcomes[who] = reduce_once(who, peer, {.in_place = true});
  });
  for (std::size_t who = 0; who < 2; ++who) {
    INFO(outcomes[who].sentence);
    CHECK(outcomes[who].status == Status::master_unreachable);
    CHECK(outcomes[who].input_intact);
    CHECK(peers[who]->info().status() == Status::master_unreachable);
    CHECK(reduce_once(who, *peers[who], {}).status == Status::master_unreachable);
  }
}

TEST_CASE("a silent member is expelled, is told when it wakes, and joins again") {
  TestRun::Options options;
  options.bounds.silence = milliseconds(600);
  TestRun run(options);
  Peers peers = run.assemble(
      3, [](std::size_t, CommunicatorConfig& config) { config.engine.silence = milliseconds(600); });
  std::vector<Outcome> outcomes(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 2) peer.freeze(std::chrono::milliseconds(2500));
    outcomes[who] = who == 2 ? reduce_once(who, peer, {}) : reduce_until_done(who, peer, {});
  });
  for (std::size_t who = 0; who < 2; ++who) {
    INFO(outcomes[who].sentence);
    REQUIRE(outcomes[who].status == Status::success);
    CHECK(is_sum_of(outcomes[who].result, {0, 1}));
  }
  INFO(outcomes[2].sentence);
  CHECK(outcomes[2].status == Status::expelled);
  CHECK(outcomes[2].input_intact);
  CHECK(peers[2]->info().status() == Status::expelled);
  CHECK(peers[2]->update_topology().status() == Status::expelled);

  std::vector<Result<void>> joined(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 2) {
      joined[who] = peer.connect();
      return;
    }
    while ((*peer.info())->world.size < 3 && joined[who].ok()) joined[who] = peer.update_topology();
  });
  for (const auto& one : joined) {
    INFO((one.ok() ? "" : one.error().sentence));
    REQUIRE(one.ok());
  }
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    CHECK(is_sum_of(outcome.result, {0, 1, 2}));
  }
}

TEST_CASE("two peers killed at once") {
  TestRun run;
  Peers peers = run.assemble(5);
  std::vector<Outcome> outcomes(5);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 1 || who == 4) {
      peer.vanish();
      return;
    }
    outcomes[who] = reduce_until_done(who, peer, {.count = 100'000, .in_place = true});
  });
  for (const std::size_t who : {0, 2, 3}) {
    INFO(outcomes[who].sentence);
    REQUIRE(outcomes[who].status == Status::success);
    CHECK(is_sum_of(outcomes[who].result, {0, 2, 3}));
  }
}
