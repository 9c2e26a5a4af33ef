#include <atomic>
#include <thread>

#include "shared_state_fixture.hpp"

namespace hawser::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::vector<Tensor> model() {
  return {raw("a", 6 * kMiB + 7), floats("b", 1000), raw("empty", 0), floats("c", 3 * kMiB / 4)};
}

void offer_all(const Peers& peers, Holdings& holdings) {
  for (std::size_t who = 0; who < peers.size(); ++who) {
    const auto offered = holdings[who].state().offer(*peers[who]);
    if (!offered.ok()) FAIL(offered.error().sentence);
  }
}

/// A newcomer that connects with prefetch in a thread of its own, while the test does what it likes.
class Newcomer {
 public:
  Newcomer(const TestRun& run, std::uint64_t seed, const std::function<std::vector<Tensor>()>& tensors = model)
      : peer_(run.peer()), holding_(tensors()) {
    holding_.fill(seed);
  }
  ~Newcomer() { finish(); }

  void begin(Duration bound = seconds(60)) {
    thread_ = std::thread([this, bound] {
      outcome_ = holding_.state().connect(
          *peer_, {.bound = bound, .progress = [this](const SyncProgress& progress) { done_ = progress.bytes_done; }});
      ended_ = true;
    });
  }
  /// The members update the topology until the newcomer is in.
  void admit(const Peers& peers) {
    on_all(peers, [&](std::size_t, Communicator& member) {
      while (!ended_ && member.info().ok() && (*member.info())->world.size < peers.size() + 1)
        if (!member.update_topology().ok()) return;
    });
    finish();
  }
  void finish() {
    if (thread_.joinable()) thread_.join();
  }

  Communicator& peer() { return *peer_; }
  std::unique_ptr<Communicator> take_peer() { return std::move(peer_); }
  Holding& holding() { return holding_; }
  const PrefetchOutcome& outcome() const { return outcome_; }
  std::uint64_t done() const { return done_; }

 private:
  std::unique_ptr<Communicator> peer_;
  Holding holding_;
  PrefetchOutcome outcome_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

/// All of them synchronise, the newcomer last in the list.
std::vector<SyncOutcome> sync_with(Peers& peers, Holdings& holdings, Newcomer& newcomer) {
  std::vector<SyncOutcome> outcomes(peers.size() + 1);
  std::thread last([&] { outcomes.back() = newcomer.holding().state().sync(newcomer.peer(), {}); });
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = holdings[who].state().sync(peer, {}); });
  last.join();
  return outcomes;
}

}  // namespace

TEST_CASE("a newcomer fetches what members offer before it is admitted, and lacks nothing then") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 5}, {1, 5}}, model);
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  Newcomer newcomer(run, 9);
  newcomer.begin();
  // Nobody waits at the door while it fetches; the members train on.
  for (std::size_t round = 0; round < 3; ++round)
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      CHECK(reduce_once(who, peer, {.count = 5000}).status == Status::success);
    });
  newcomer.admit(peers);
  const PrefetchOutcome& outcome = newcomer.outcome();
  INFO(outcome.error.sentence);
  REQUIRE(outcome.error.status == Status::success);
  CHECK(outcome.complete);
  CHECK(outcome.revision == 5);
  // Of two that offer it, one alone where the other gets no time on this machine.
  CHECK((outcome.sources == 1 || outcome.sources == 2));
  CHECK(outcome.bytes_fetched == newcomer.holding().bytes());
  CHECK(newcomer.holding().is_filled(1));
  const auto outcomes = sync_with(peers, holdings, newcomer);
  check_success(outcomes);
  CHECK(outcomes.back().info.bytes_fetched == 0);
  CHECK(outcomes.back().info.revision == 5);
}

TEST_CASE("a newcomer follows a new revision, and fetches only what it changes") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {1, 1}}, model);
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  Newcomer newcomer(run, 9);
  newcomer.begin();
  CHECK(eventually([&] { return newcomer.done() == newcomer.holding().bytes(); }));
  // The next revision changes one tensor. The offer ends by itself when the state is changed.
  for (Holding& holding : holdings) {
    REQUIRE(holding.state().set_revision(2).ok());
    const auto content = content_of(7, 3, holding[3].size());
    holding[3].write(content);
  }
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  CHECK(eventually([&] { return (*peers.front()->info())->pending == 1; }));
  CHECK(eventually([&] { return newcomer.done() == newcomer.holding().bytes(); }));
  newcomer.admit(peers);
  REQUIRE(newcomer.outcome().error.status == Status::success);
  CHECK(newcomer.outcome().bytes_fetched <= newcomer.holding().bytes() + newcomer.holding()[3].size());
  const auto outcomes = sync_with(peers, holdings, newcomer);
  check_success(outcomes);
  CHECK(newcomer.holding().content() == holdings.front().content());
}

TEST_CASE("a host that dies while a newcomer fetches is made up for by another") {
  TestRun run;
  Peers peers = run.assemble(3);
  Holdings holdings = hold({{1, 1}, {1, 1}, {1, 1}}, [] { return std::vector<Tensor>{raw("big", 40 * kMiB)}; });
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  Newcomer newcomer(run, 9, [] { return std::vector<Tensor>{raw("big", 40 * kMiB)}; });
  newcomer.begin();
  CHECK(eventually([&] { return newcomer.done() > 0; }));
  peers.back()->vanish();
  peers.pop_back();
  holdings.pop_back();
  // Each of them: one that still counts the dead one would take the world for complete, and call nothing.
  for (const auto& peer : peers) CHECK(eventually([&] { return (*peer->info())->view.size() == 2; }));
  newcomer.admit(peers);
  REQUIRE(newcomer.outcome().error.status == Status::success);
  check_success(sync_with(peers, holdings, newcomer));
  CHECK(newcomer.holding().is_filled(1));
}

TEST_CASE("where nobody has anything to offer a newcomer joins as it is") {
  TestRun run;
  Peers peers = run.assemble(2);
  Newcomer newcomer(run, 9);
  newcomer.begin();
  CHECK(eventually([&] { return (*peers.front()->info())->pending == 1; }));
  newcomer.admit(peers);
  REQUIRE(newcomer.outcome().error.status == Status::success);
  CHECK_FALSE(newcomer.outcome().complete);
  CHECK(newcomer.outcome().bytes_fetched == 0);
  CHECK(newcomer.holding().is_filled(9));
}

TEST_CASE("peers of a new run that all would prefetch just begin") {
  // Both come in the window, however busy the machine is.
  TestRun::Options options;
  options.bounds.bootstrap = seconds(3);
  TestRun run(options);
  Newcomer a(run, 1);
  Newcomer b(run, 2);
  a.begin();
  b.begin();
  a.finish();
  b.finish();
  CHECK(a.outcome().error.status == Status::success);
  CHECK(b.outcome().error.status == Status::success);
  CHECK(a.holding().is_filled(1));
}

TEST_CASE("tensors that don't fit what is offered are left alone") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {1, 1}}, model);
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  Newcomer newcomer(run, 9, [] { return std::vector<Tensor>{raw("other", 100)}; });
  newcomer.begin();
  newcomer.admit(peers);
  REQUIRE(newcomer.outcome().error.status == Status::success);
  CHECK_FALSE(newcomer.outcome().complete);
  CHECK(newcomer.holding().is_filled(9));
}

TEST_CASE("after its bound a newcomer joins with what it has") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {1, 1}}, model);
  check_success(sync_all(peers, holdings));
  offer_all(peers, holdings);
  Newcomer newcomer(run, 9);
  newcomer.begin(milliseconds(1));
  newcomer.admit(peers);
  REQUIRE(newcomer.outcome().error.status == Status::success);
  check_success(sync_with(peers, holdings, newcomer));
  CHECK(newcomer.holding().is_filled(1));
}

TEST_CASE("only what was synchronised can be offered, and is so until something changes") {
  TestRun run;
  Peers peers = run.assemble(2);
  Holdings holdings = hold({{1, 1}, {1, 1}}, model);
  SharedState& state = holdings.front().state();
  CHECK(state.offer(*peers.front()).status() == Status::invalid_usage);
  CHECK(state.withdraw().ok());
  check_success(sync_all(peers, holdings));
  CHECK(state.offer(*peers.front()).ok());
  CHECK(state.offer(*peers.front()).ok());
  CHECK(state.set_revision(2).ok());
  CHECK(state.offer(*peers.front()).status() == Status::invalid_usage);
  CHECK(state.set_revision(1).ok());
  CHECK(state.offer(*peers.front()).ok());
  CHECK(state.mark_changed("a").ok());
  CHECK(state.offer(*peers.front()).status() == Status::invalid_usage);
  // Neither minds that the other has gone.
  check_success(sync_all(peers, holdings));
  CHECK(state.offer(*peers.front()).ok());
  peers.front().reset();
  CHECK(state.withdraw().ok());
}

}  // namespace hawser::test
