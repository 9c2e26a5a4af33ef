#include "base/limits.hpp"
#include "membership/keyed_bench.hpp"

/// What the master keeps of contributions that members have signed.
namespace hawser {
namespace {

Attestation given(std::uint64_t bytes) { return {.given = {.bytes = bytes}}; }

class AttestedRun : public MasterBench {
 public:
  explicit AttestedRun(const MasterConfig& config = kWithKeys) : MasterBench(config) {
    if (config.needs_keys) all_hold(*this, 3);
    found(3);
  }
  void attest(std::uint64_t peer, const OpKey& key, std::uint64_t bytes) {
    say(peer, Begun{.key = key, .signature = {.count = 10}, .attestation = given(bytes)});
  }
  void commit(const OpKey& key) {
    for (const std::uint64_t peer : {1, 2, 3}) report(peer, key);
  }
  /// Bytes of each member's contribution; 0: it has signed none.
  static std::vector<std::uint64_t> bytes_in(const AttestedCollective& one) {
    std::vector<std::uint64_t> all;
    for (const AttestedCollective::Entry& entry : one.members)
      all.push_back(entry.attestation ? entry.attestation->given.bytes : 0);
    return all;
  }
  std::vector<AttestedCollective> asked(std::uint32_t wanted) {
    hold(kOperator, badge_of(kOperator, Role::observer));
    open(kOperator);
    say(kOperator, StatusRequest{.attested = wanted});
    auto found = all<AttestedCollective>(kOperator);
    CHECK(count<RunStatus>(kOperator) == 1);
    forget(kOperator);
    return found;
  }
};

}  // namespace

TEST_CASE("of committed collectives it keeps what each member has signed first, and says who has signed nothing") {
  AttestedRun run;
  const OpKey first = run.key(1, 1);
  run.attest(1, first, 10);
  run.attest(3, first, 30);
  run.attest(3, first, 99);
  run.commit(first);
  const OpKey unsigned_one = run.key(1, 2);
  run.commit(unsigned_one);
  const OpKey undecided = run.key(1, 3);
  run.attest(1, undecided, 5);
  const auto all = run.asked(8);
  REQUIRE(all.size() == 1);
  CHECK(all[0].key == first);
  CHECK(AttestedRun::bytes_in(all[0]) == std::vector<std::uint64_t>{10, 0, 30});
  CHECK(all[0].members[1].member.name == "p2");
}

TEST_CASE("what was signed and lost with a connection is kept when it comes again, and changes nothing that is there") {
  AttestedRun run;
  const OpKey key = run.key(1);
  run.attest(1, key, 10);
  run.commit(key);
  run.attest(1, key, 99);
  run.attest(2, key, 20);
  const auto all = run.asked(1);
  REQUIRE(all.size() == 1);
  CHECK(AttestedRun::bytes_in(all[0]) == std::vector<std::uint64_t>{10, 20, 0});
  // Whether it was signed in time cannot be told.
  CHECK_FALSE(all[0].members[0].is_late);
  CHECK(all[0].members[1].is_late);
  // It is over: saying so again does not call it again.
  run.pass_alive(seconds(30), {1, 2, 3});
  CHECK(run.members(1) == Peers{1, 2, 3});
}

TEST_CASE("it tells the latest ones, and forgets the oldest") {
  AttestedRun run;
  for (std::uint64_t tag = 0; tag < limits::kAttestedCollectivesMax + 5; ++tag) {
    const OpKey key = run.key(1, tag);
    run.attest(2, key, tag + 1);
    run.commit(key);
  }
  const auto latest = run.asked(2);
  REQUIRE(latest.size() == 2);
  CHECK(latest[0].key.tag == limits::kAttestedCollectivesMax + 4);
  CHECK(latest[1].key.tag == limits::kAttestedCollectivesMax + 3);
  CHECK(run.asked(5000).size() == limits::kAttestationsToldMax / 3);
}

TEST_CASE("what comes after the member's own report is marked as late") {
  AttestedRun run;
  const OpKey key = run.key(1);
  run.report(1, key);
  run.attest(1, key, 10);
  run.attest(2, key, 20);
  run.commit(key);
  const auto all = run.asked(1);
  REQUIRE(all.size() == 1);
  CHECK(all[0].members[0].is_late);
  CHECK_FALSE(all[0].members[1].is_late);
}

TEST_CASE("without keys nothing is kept") {
  AttestedRun run({.silence = seconds(3600)});
  const OpKey key = run.key(1);
  run.attest(1, key, 10);
  run.commit(key);
  CHECK(run.asked(8).empty());
}

}  // namespace hawser
