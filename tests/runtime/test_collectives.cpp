#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "catch.hpp"
#include "run_fixture.hpp"
#include "runtime/reduce_many.hpp"

namespace hawser::test {
namespace {

template <class T>
const std::byte* bytes(const std::vector<T>& values) {
  return reinterpret_cast<const std::byte*>(values.data());
}
template <class T>
std::byte* bytes(std::vector<T>& values) {
  return reinterpret_cast<std::byte*>(values.data());
}


/// Every peer runs what `arguments` makes of it.
template <class Arguments>
void run_all(const Peers& peers, const Arguments& arguments) {
  std::vector<std::string> failures(peers.size());
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const auto done = peer.run(arguments(who));
    if (!done.ok()) failures[who] = done.error().sentence;
  });
  for (const std::string& failure : failures) CHECK(failure.empty());
}

constexpr std::uint64_t kCount = 300'007;

std::uint32_t rank_of(Communicator& peer) {
  const auto info = *peer.info();
  return *info->view.rank_of(info->self);
}

}  // namespace

TEST_CASE("broadcast, all-gather, reduce-scatter and barrier work over sockets") {
  TestRun run;
  const Peers peers = run.assemble(3);
  const PlanKind plan = GENERATE(PlanKind::direct, PlanKind::ring);
  std::vector<std::uint32_t> ranks;
  for (const auto& peer : peers) ranks.push_back(rank_of(*peer));
  const auto value = [](std::uint32_t rank, std::uint64_t i) {
    return static_cast<std::int32_t>(rank * 1'000'003 + i * 7);
  };
  std::vector<std::vector<std::int32_t>> shares(3);
  std::vector<std::vector<std::int32_t>> wholes(3);
  for (std::size_t who = 0; who < 3; ++who) {
    shares[who].resize(kCount);
    for (std::uint64_t i = 0; i < kCount; ++i) shares[who][i] = value(ranks[who], i);
    wholes[who].resize(3 * kCount);
  }
  const Signature signature{.type = DataType::int32, .plan = plan, .count = kCount};
  const auto with = [&](Collective collective, std::uint32_t root = 0) {
    Signature changed = signature;
    changed.collective = collective;
    changed.root = root;
    return changed;
  };

  run_all(peers, [&](std::size_t who) {
    return CollectiveArguments{.call = {.signature = with(Collective::all_gather),
                                        .send = bytes(shares[who]),
                                        .receive = bytes(wholes[who])}};
  });
  for (std::size_t who = 0; who < 3; ++who)
    for (std::uint32_t rank = 0; rank < 3; ++rank)
      for (std::uint64_t i = 0; i < kCount; ++i)
        if (wholes[who][rank * kCount + i] != value(rank, i)) FAIL("all-gather: " << who << " " << rank << " " << i);

  // Everybody gives the same whole, so each share comes back three times as large.
  run_all(peers, [&](std::size_t who) {
    return CollectiveArguments{.call = {.signature = with(Collective::reduce_scatter),
                                        .send = bytes(wholes[who]),
                                        .receive = bytes(shares[who])}};
  });
  for (std::size_t who = 0; who < 3; ++who)
    for (std::uint64_t i = 0; i < kCount; ++i)
      if (shares[who][i] != 3 * value(ranks[who], i)) FAIL("reduce-scatter: " << who << " " << i);

  run_all(peers, [&](std::size_t who) {
    return CollectiveArguments{.call = {.signature = with(Collective::broadcast, 2),
                                        .send = bytes(shares[who]),
                                        .receive = bytes(shares[who])}};
  });
  for (std::size_t who = 0; who < 3; ++who)
    for (std::uint64_t i = 0; i < kCount; ++i)
      if (shares[who][i] != 3 * value(2, i)) FAIL("broadcast: " << who << " " << i);

  run_all(peers, [&](std::size_t) {
    return CollectiveArguments{.call = {.signature = {.collective = Collective::barrier}}};
  });
}

TEST_CASE("a collective by rank in a view that is over is answered, not run") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::vector<float> values(10);
  const auto done = peers[0]->run({.call = {.signature = {.collective = Collective::broadcast, .count = 10},
                                            .send = bytes(values),
                                            .receive = bytes(values)},
                                   .epoch = Epoch{77}});
  CHECK(done.status() == Status::peer_lost);
  // Sizes that fit the old view would be wrong in this one.
  const auto in_place = peers[0]->run({.call = {.signature = {.collective = Collective::all_gather, .count = 2},
                                                .send = bytes(values) + 24,
                                                .receive = bytes(values)},
                                       .epoch = Epoch{77}});
  CHECK(in_place.status() == Status::peer_lost);
  const auto no_rank =
      peers[0]->run({.call = {.signature = {.collective = Collective::broadcast, .count = 10, .root = 9},
                              .send = bytes(values),
                              .receive = bytes(values)}});
  CHECK(no_rank.status() == Status::invalid_argument);
}

TEST_CASE("quantised and compressed sums are alike everywhere, and move fewer bytes") {
  TestRun run;
  const Peers peers = run.assemble(3);
  std::vector<std::vector<float>> results(3);
  std::vector<std::uint64_t> sent(3);
  const auto reduce = [&](const Quantization& quantization, bool compress) {
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      const std::vector<float> input = contribution_of(who, kCount);
      results[who].assign(kCount, -1);
      const auto done = peer.run({.call = {.signature = {.count = kCount, .quantization = quantization},
                                           .send = bytes(input),
                                           .receive = bytes(results[who])},
                                  .compress = compress});
      sent[who] = done.ok() ? (*done)->bytes_sent : 0;
    });
    CHECK(results[1] == results[0]);
    CHECK(results[2] == results[0]);
    return *std::min_element(sent.begin(), sent.end());
  };
  const std::vector<float> right = sum_of({0, 1, 2}, kCount);
  const auto worst = [&] {
    float most = 0;
    for (std::uint64_t i = 0; i < kCount; ++i) most = std::max(most, std::abs(results[0][i] - right[i]));
    return most;
  };
  const std::uint64_t plain = reduce({}, false);
  CHECK(results[0] == right);
  // Values up to 103 in steps of 103/255, three of them, and the sum's own step.
  const std::uint64_t eighth = reduce({.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8}, false);
  CHECK(worst() <= 1.5F);
  CHECK(eighth * 10 < plain * 3);
  const std::uint64_t compressed = reduce({}, true);
  CHECK(results[0] == right);
  CHECK(compressed * 10 < plain * 7);
}

TEST_CASE("error feedback makes up for what quantisation lost") {
  TestRun run;
  const Peers peers = run.assemble(2);
  const std::uint64_t count = 10'000;
  const Quantization coarse{.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 64};
  std::vector<std::shared_ptr<Residual>> residuals;
  for (int i = 0; i < 2; ++i) residuals.push_back(*Residual::create(count, DataType::float32));
  std::vector<double> total(count);
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<float>> results(2, std::vector<float>(count));
    run_all(peers, [&](std::size_t who) {
      static thread_local std::vector<float> input;
      input = contribution_of(who, count);
      return CollectiveArguments{.call = {.signature = {.count = count, .quantization = coarse},
                                          .send = bytes(input),
                                          .receive = bytes(results[who])},
                                 .residual = residuals[who]};
    });
    REQUIRE(results[0] == results[1]);
    for (std::uint64_t i = 0; i < count; ++i) total[i] += results[0][i];
  }
  const std::vector<float> right = sum_of({0, 1}, count);
  for (std::uint64_t i = 0; i < count; ++i)
    if (std::abs(total[i] / kRounds - right[i]) > 1.0) FAIL(i << ": " << total[i] / kRounds << " is not " << right[i]);
  std::vector<float> values(count);
  const auto without =
      peers[0]->run({.call = {.signature = {.count = count}, .send = bytes(values), .receive = bytes(values)},
                     .residual = residuals[0]});
  CHECK(without.status() == Status::invalid_argument);
}

TEST_CASE("an operation goes on in the background, is waited for, and takes its tag") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::vector<std::vector<float>> values{contribution_of(0, kCount), contribution_of(1, kCount)};
  const auto start = [&](std::size_t who) {
    return peers[who]->start(
        {.call = {.signature = {.count = kCount}, .send = bytes(values[who]), .receive = bytes(values[who])},
         .tag = 5});
  };
  auto first = start(0);
  REQUIRE(first.ok());
  CHECK_FALSE(first->test());
  CHECK(first->wait(std::chrono::milliseconds(1)).status() == Status::timeout);
  CHECK(start(0).status() == Status::invalid_usage);
  auto second = start(1);
  REQUIRE(second.ok());
  const auto info = first->wait();
  REQUIRE(info.ok());
  CHECK(first->test());
  CHECK((*first->wait())->key == (*info)->key);
  CHECK((*info)->contributors.size() == 2);
  CHECK_FALSE((*info)->plan_reason.empty());
  REQUIRE(second->wait().ok());
  CHECK(is_sum_of(values[0], {0, 1}));
  CHECK(is_sum_of(values[1], {0, 1}));
}

namespace {

/// A list of small and large tensors of two types.
struct List {
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::int64_t>> integers;

  explicit List(std::size_t who) {
    for (std::uint64_t i = 0; i < 60; ++i) {
      floats.push_back(contribution_of(who, i % 7 == 0 ? 400'000 + i : 1 + 37 * i));
      integers.emplace_back(1 + i, static_cast<std::int64_t>(who + i));
    }
  }
  ManyArguments arguments() {
    ManyArguments many;
    for (std::size_t i = 0; i < floats.size(); ++i) {
      many.tensors.push_back({.send = floats[i].data(), .receive = floats[i].data(), .count = floats[i].size()});
      many.tensors.push_back({.send = integers[i].data(),
                              .receive = integers[i].data(),
                              .count = integers[i].size(),
                              .type = DataType::int64});
    }
    return many;
  }
  bool is_sum(const std::vector<std::size_t>& who, std::size_t tensor) const {
    if (tensor % 2 == 0) return is_sum_of(floats[tensor / 2], who);
    const auto sum = static_cast<std::int64_t>(std::accumulate(who.begin(), who.end(), who.size() * (tensor / 2)));
    return std::all_of(integers[tensor / 2].begin(), integers[tensor / 2].end(),
                       [&](std::int64_t value) { return value == sum; });
  }
};

}  // namespace

TEST_CASE("a list of tensors is reduced at once, the small ones together") {
  TestRun run;
  const Peers peers = run.assemble(3);
  std::vector<List> lists{List(0), List(1), List(2)};
  std::vector<ManyOutcome> outcomes(3);
  on_all(peers,
         [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_many(peer, lists[who].arguments()); });
  for (std::size_t who = 0; who < 3; ++who) {
    INFO(outcomes[who].error.sentence);
    REQUIRE(outcomes[who].error.status == Status::success);
    CHECK(outcomes[who].info.tensors == 120);
    CHECK(outcomes[who].info.collectives < 20);
    CHECK(outcomes[who].info.attempts == 1);
    for (std::size_t tensor = 0; tensor < 120; ++tensor) CHECK(lists[who].is_sum({0, 1, 2}, tensor));
  }
}

TEST_CASE("a list of tensors survives the loss of a member") {
  TestRun run;
  const Peers peers = run.assemble(3);
  std::vector<List> lists{List(0), List(1), List(2)};
  std::vector<ManyOutcome> outcomes(3);
  std::thread killer([&] {
    CHECK(eventually([&] { return peers[0]->calls_under_way() > 0 && peers[2]->calls_under_way() > 0; }));
    peers[2]->vanish();
  });
  on_all(peers,
         [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_many(peer, lists[who].arguments()); });
  killer.join();
  for (std::size_t who = 0; who < 2; ++who) {
    INFO(outcomes[who].error.sentence);
    REQUIRE(outcomes[who].error.status == Status::success);
    for (std::size_t tensor = 0; tensor < 120; ++tensor)
      CHECK((lists[who].is_sum({0, 1, 2}, tensor) || lists[who].is_sum({0, 1}, tensor)));
  }
  // Both have the same ones from before and from after the loss.
  CHECK(lists[0].floats == lists[1].floats);
  CHECK(lists[0].integers == lists[1].integers);
}

TEST_CASE("lists of different lengths end as a mismatch for all who wait, and soon") {
  // The bounds of a test run would let a member that waits alone wait for twenty seconds.
  TestRun run;
  const Peers peers = run.assemble(3);
  std::vector<List> lists{List(0), List(1), List(2)};
  std::vector<ManyOutcome> outcomes(3);
  const auto begun = std::chrono::steady_clock::now();
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    ManyArguments many = lists[who].arguments();
    many.in_flight = static_cast<std::uint32_t>(1 + 3 * who);
    // The missing tensor is one of many, so that what follows it differs as well.
    if (who == 1) many.tensors.erase(many.tensors.begin() + 30);
    outcomes[who] = reduce_many(peer, many);
  });
  for (const ManyOutcome& outcome : outcomes) {
    INFO(outcome.error.sentence);
    CHECK(outcome.error.status == Status::mismatch);
  }
  CHECK(outcomes[0].done == outcomes[2].done);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(15));
}

TEST_CASE("a list with a bad tensor is refused before anything is sent") {
  TestRun run;
  const Peers peers = run.assemble(2);
  std::vector<float> values(10, 1);
  ManyArguments many;
  many.tensors = {{.send = values.data(), .receive = values.data(), .count = 10},
                  {.send = nullptr, .receive = values.data(), .count = 10}};
  const ManyOutcome outcome = reduce_many(*peers[0], many);
  CHECK(outcome.error.status == Status::invalid_argument);
  CHECK(outcome.error.sentence.find("tensor 1") == 0);
  CHECK(values == std::vector<float>(10, 1));
}

}  // namespace hawser::test
