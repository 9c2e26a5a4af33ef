#include <algorithm>
#include <thread>

#include "keyed_run.hpp"
#include "run_fixture.hpp"
#include "runtime/status_query.hpp"

/// Masters that stand by, on real sockets.
namespace hawser::test {
namespace {

constexpr ReduceOnce kWhat{.count = 1000};

/// Masters at ports of their own, which know each other.
class Masters {
 public:
  explicit Masters(std::size_t count, std::string secret_file = {}) : secret_file_(std::move(secret_file)) {
    // A port that was free a moment ago: the list must be known before the first of them is made.
    std::vector<std::unique_ptr<Master>> reserved;
    for (std::size_t i = 0; i < count; ++i) {
      auto one = Master::create({.listen = {.host = "127.0.0.1", .port = 0}, .access = access()});
      REQUIRE(one.ok());
      addresses_.push_back((*one)->address());
      reserved.push_back(std::move(*one));
    }
    reserved.clear();
    masters_.resize(count);
    for (std::size_t i = 0; i < count; ++i) start(i);
  }

  void start(std::size_t which) {
    MasterOptions options{.listen = addresses_[which], .access = access()};
    options.bounds = TestRun::Options{}.bounds;
    options.bounds.is_standby = which > 0 || has_begun_;
    options.others = addresses_;
    auto one = Master::create(std::move(options));
    if (!one.ok()) FAIL(one.error().sentence);
    masters_[which] = std::move(*one);
    REQUIRE(masters_[which]->start().ok());
  }
  void stop(std::size_t which) {
    has_begun_ = true;
    masters_[which].reset();
  }
  RunStatus status(std::size_t which) const {
    const auto answer = query_status(addresses_[which], seconds(5), {}, access());
    if (!answer.ok()) FAIL(answer.error().sentence);
    return answer->status;
  }
  RunStatus status_of_first_that_serves() const {
    const auto answer = query_status(addresses_, seconds(5), {}, access());
    if (!answer.ok()) FAIL(answer.error().sentence);
    return answer->status;
  }

  Peers assemble(std::size_t count) const {
    Peers peers;
    for (std::size_t who = 0; who < count; ++who) {
      CommunicatorConfig config;
      config.master = addresses_.front();
      config.other_masters.assign(addresses_.begin() + 1, addresses_.end());
      config.access = access();
      config.engine.name = "peer" + std::to_string(who);
      config.engine.connect = seconds(30);
      config.engine.master_redial = seconds(30);
      config.engine.silence = seconds(3);
      config.engine.stall = seconds(3);
      auto peer = Communicator::create(config);
      if (!peer.ok()) FAIL(peer.error().sentence);
      peers.push_back(std::move(*peer));
    }
    std::vector<Result<void>> joined(count);
    on_all(peers, [&](std::size_t who, Communicator& one) {
      joined[who] = join(one, static_cast<std::uint32_t>(count));
    });
    for (const auto& one : joined)
      if (!one.ok()) FAIL(one.error().sentence);
    return peers;
  }

 private:
  AccessChoice access() const { return {.secret_file = secret_file_}; }

  std::string secret_file_;
  bool has_begun_ = false;
  std::vector<Address> addresses_;
  std::vector<std::unique_ptr<Master>> masters_;
};

/// Until it succeeds: a takeover may undo it.
void reduce_until_done_at_all(const Peers& peers) {
  std::vector<Outcome> outcomes(peers.size());
  std::vector<std::size_t> all;
  for (std::size_t who = 0; who < peers.size(); ++who) all.push_back(who);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    do outcomes[who] = reduce_once(who, peer, kWhat);
    while (outcomes[who].status == Status::master_restarted || outcomes[who].status == Status::peer_lost);
  });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, all));
  }
}

}  // namespace

TEST_CASE("a run goes on with the master that stands by, and with the first again when that dies, too") {
  const bool with_keys = GENERATE(false, true);
  const KeyFiles keys;
  Masters masters(2, with_keys ? keys.secret() : std::string());
  const Peers peers = masters.assemble(3);
  reduce_until_done_at_all(peers);
  const RunStatus before = masters.status(0);
  CHECK(before.serves);
  CHECK(before.term == 1);
  CHECK_FALSE(masters.status(1).serves);
  masters.stop(0);
  reduce_until_done_at_all(peers);
  const RunStatus second = masters.status_of_first_that_serves();
  CHECK(second.serves);
  CHECK(second.term == 2);
  CHECK(second.run == before.run);
  CHECK(second.world.size == 3);
  masters.start(0);
  CHECK_FALSE(masters.status(0).serves);
  masters.stop(1);
  reduce_until_done_at_all(peers);
  CHECK(eventually([&] { return masters.status(0).serves; }));
  CHECK(masters.status(0).term == 3);
  CHECK(masters.status(0).run == before.run);
}

TEST_CASE("a master that stands by needs to know the others") {
  MasterOptions options{.listen = {.host = "127.0.0.1", .port = 0}};
  options.bounds.is_standby = true;
  CHECK(Master::create(std::move(options)).status() == Status::invalid_argument);
}

TEST_CASE("what is wrong with a lease is said before a master listens") {
  const auto failure = [](LeaseChoice lease, bool has_list) {
    MasterOptions options{.listen = {.host = "127.0.0.1", .port = 0}};
    if (has_list) options.others = {{.host = "127.0.0.1", .port = 1}};
    options.lease = std::move(lease);
    const auto created = Master::create(std::move(options));
    CHECK(created.status() == Status::invalid_argument);
    return created.ok() ? std::string() : created.error().sentence;
  };
  const auto says = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  CHECK(says(failure({.place = "etcd://a:1/r"}, false), "list of all masters"));
  CHECK(says(failure({.place = "zookeeper://a:1/r"}, true), "etcd://HOST:PORT"));
  CHECK(says(failure({.place = "etcd://a:1/r", .ca_file = "/etc/passwd"}, true), "etcds://"));
  CHECK(says(failure({.place = "etcds://a:1/r", .cert_file = "/etc/passwd"}, true), "belong together"));
  CHECK(says(failure({.place = "etcds://a:1/r", .ca_file = "/no/such/file"}, true), "/no/such/file"));
  CHECK(says(failure({.ca_file = "/etc/passwd"}, true), "without a lease"));
}

}  // namespace hawser::test
