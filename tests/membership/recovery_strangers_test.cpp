#include "base/limits.hpp"
#include "membership/master_bench.hpp"

/// What strangers and bad members claim of a master that was restarted. Ids, run and epochs can be had from a status;
/// tokens and the secret of the links can not.
namespace hawser {
namespace {

constexpr std::uint64_t kStranger = 900000;
constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;

View made_up(const Peers& members, std::uint64_t epoch, std::uint32_t group = 0) {
  View view{.epoch = {epoch}, .id = {4711 + epoch}, .group = group, .link_secret = 666, .members = {}};
  for (const auto id : members)
    view.members.push_back({.id = {id}, .name = "s", .address = {.host = MasterBench::host(id), .port = 6}});
  return view;
}

/// A stranger claims what it likes, from an address of its own.
void claim(MasterBench& bench, std::uint64_t stranger, Resume resume) {
  bench.open(stranger);
  resume.who.connection = 1;
  bench.say(stranger, resume);
}

Resume claim_of(const MasterBench& bench, std::uint64_t stranger, RunId run, const View& view) {
  return {.who = bench.introduction(stranger, view.group), .run = run, .view = mark_of(view)};
}

struct Restart {
  explicit Restart(std::uint64_t members) {
    before.found(members);
    for (std::uint64_t peer = 1; peer <= members; ++peer) all.push_back(peer);
  }
  RunId run() { return before.last<Welcome>(1).run; }
  void come_back(const Peers& peers) {
    for (const auto peer : peers) after.come_back(before, peer);
  }
  /// They are asked for outcomes within that time, and the run goes on with them.
  void check_recovered(const Peers& peers, Duration within = seconds(1)) {
    after.pass(within);
    after.present_outcomes(peers);
    for (const auto peer : peers) {
      REQUIRE(after.count<StartView>(peer) == 1);
      CHECK(after.members(peer) == peers);
      CHECK(after.last<Welcome>(peer).run == run());
      CHECK(after.view(peer).link_secret == before.view(peer).link_secret);
    }
    // Epochs stay small, or the next stranger has none left to name.
    CHECK(after.view(peers.front()).epoch.value < 1000000);
  }

  MasterBench before{kPatient};
  MasterBench after{kPatient, 99};
  Peers all;
};

}  // namespace

TEST_CASE("a stranger with a view of the far future changes nothing for members that come back") {
  Restart restart(3);
  const bool with_members = GENERATE(false, true);
  const View future = made_up(with_members ? Peers{kStranger, 1, 2, 3} : Peers{kStranger}, kHuge);
  const bool same_run = GENERATE(false, true);
  const Resume odd = claim_of(restart.after, kStranger, same_run ? restart.run() : RunId{5}, future);
  const auto stranger_comes = [&] {
    claim(restart.after, kStranger, odd);
    if (restart.after.count<Present>(kStranger) > 0) restart.after.say(kStranger, ViewPresented{future});
  };
  SECTION("it comes first") {
    stranger_comes();
    restart.come_back(restart.all);
  }
  SECTION("it comes last") {
    restart.come_back(restart.all);
    stranger_comes();
  }
  restart.check_recovered(restart.all);
  CHECK(restart.after.closed(kStranger));
}

TEST_CASE("a member's view that leaves the others out contradicts theirs, and that member goes") {
  Restart restart(3);
  const View alone = made_up({3}, kHuge);
  Resume odd = restart.before.memory(3);
  odd.view = mark_of(alone);
  claim(restart.after, 3, odd);
  restart.after.say(3, ViewPresented{alone});
  restart.come_back({1, 2});
  // It is missed, as any other that does not come.
  restart.check_recovered({1, 2}, seconds(5));
  CHECK(restart.after.count<Expelled>(3) == 1);
}

TEST_CASE("a view that is not what its claim named is not taken, and its claimant is out") {
  Restart restart(2);
  const View true_view = restart.before.view(1);
  View other = true_view;
  SECTION("other members") { other.members[1].address.host = "10.9.9.9"; }
  SECTION("another group") { other.group = 7; }
  SECTION("another epoch") { other.epoch = {kHuge}; }
  SECTION("without itself") { other.members.erase(other.members.begin()); }
  Resume claims = restart.before.memory(1);
  if (other.members.size() == 1) claims.view = mark_of(other);
  claim(restart.after, 1, claims);
  restart.after.say(1, ViewPresented{other});
  CHECK(restart.after.last<Expelled>(1).error.status == Status::refused);
  CHECK(restart.after.closed(1));
  // Its place is free for another try.
  restart.come_back(restart.all);
  restart.check_recovered(restart.all);
}

TEST_CASE("where those who were asked for their view go or tell another one, the next are asked") {
  Restart restart(4);
  for (const auto peer : restart.all) restart.after.say_back(restart.before, peer, restart.before.memory(peer));
  REQUIRE(restart.after.count<Present>(2) == 1);
  REQUIRE(restart.after.count<Present>(3) == 0);
  View other = restart.before.view(1);
  other.members[3].address.port = 6;
  restart.after.say(1, ViewPresented{other});
  CHECK(restart.after.count<Present>(3) == 1);
  restart.after.close(2);
  CHECK(restart.after.count<Present>(4) == 1);
  restart.after.present_view(4);
  restart.come_back({1, 2});
  CHECK(restart.after.count<Present>(2) == 1);
  restart.check_recovered(restart.all);
}

TEST_CASE("one id in two groups: the member comes back whatever the other one claims") {
  Restart restart(3);
  const std::uint64_t other_token = GENERATE(0, 1);
  const auto other_group = [&](std::uint64_t stranger, std::uint64_t id) {
    Resume odd = restart.before.memory(id);
    odd.who.group = 7;
    odd.who.token ^= other_token;
    odd.view = mark_of(made_up({id}, kHuge, 7));
    claim(restart.after, stranger, odd);
  };
  SECTION("after it") {
    restart.come_back(restart.all);
    other_group(kStranger, 1);
  }
  SECTION("before it") {
    other_group(kStranger, 1);
    restart.come_back(restart.all);
  }
  SECTION("before it, for all members") {
    for (const auto id : restart.all) other_group(kStranger + id, id);
    restart.come_back(restart.all);
  }
  restart.check_recovered(restart.all);
}

TEST_CASE("an id that is claimed with another token is its member's who comes from where the view has it") {
  Restart restart(3);
  const auto pose = [&](std::uint64_t stranger, std::uint64_t id) {
    Resume odd = restart.before.memory(id);
    odd.who.token ^= 1;
    claim(restart.after, stranger, odd);
  };
  SECTION("after it") {
    restart.come_back(restart.all);
    for (const auto id : restart.all) pose(kStranger + id, id);
    for (const auto id : restart.all) CHECK(restart.after.closed(kStranger + id));
  }
  SECTION("before it") {
    for (const auto id : restart.all) pose(kStranger + id, id);
    restart.come_back(restart.all);
    for (const auto id : restart.all) CHECK(restart.after.closed(kStranger + id));
  }
  SECTION("before it and again while nothing is known of the view") {
    pose(kStranger, 1);
    restart.after.open(1);
    Resume first = restart.before.memory(1);
    restart.after.say(1, first);
    pose(kStranger + 1, 1);
    // Whoever was there before is not told anything, and comes again.
    CHECK(restart.after.closed(1));
    CHECK(restart.after.count<Expelled>(1) == 0);
    CHECK(restart.after.count<Refused>(1) == 0);
    restart.come_back(restart.all);
  }
  restart.check_recovered(restart.all);
}

TEST_CASE("once it is chosen who goes on, nobody comes in a survivor's name") {
  Restart restart(2);
  restart.come_back(restart.all);
  restart.after.pass(seconds(1));
  Resume odd = restart.before.memory(2);
  odd.who.token ^= 1;
  const std::string host = GENERATE(MasterBench::host(2), MasterBench::host(9));
  restart.after.come_from(kStranger, host);
  claim(restart.after, kStranger, odd);
  CHECK(restart.after.closed(kStranger));
  restart.check_recovered(restart.all, Duration::zero());
}

TEST_CASE("one that was not chosen is no member for coming again") {
  Restart restart(2);
  const View own = made_up({kStranger}, kHuge);
  Resume odd = claim_of(restart.after, kStranger, restart.run(), own);
  claim(restart.after, kStranger, odd);
  restart.after.say(kStranger, ViewPresented{own});
  restart.come_back(restart.all);
  restart.after.pass(seconds(1));
  REQUIRE(restart.after.last<Present>(1).outcomes);
  restart.after.close(kStranger);
  restart.after.open(kStranger);
  odd.who.connection = 2;
  restart.after.say(kStranger, odd);
  CHECK(restart.after.role_of(kStranger) != ConnectionRole::member);
  restart.check_recovered(restart.all, Duration::zero());
  CHECK(restart.after.closed(kStranger));
}

TEST_CASE("strangers that name many views do not keep the members' view from being asked for") {
  Restart restart(3);
  const bool tell = GENERATE(false, true);
  for (std::uint64_t i = 0; i < 3 * limits::kViewsPresentedMax; ++i) {
    const View own = made_up({kStranger + i}, kHuge + i);
    claim(restart.after, kStranger + i, claim_of(restart.after, kStranger + i, restart.run(), own));
    if (tell && restart.after.count<Present>(kStranger + i) > 0)
      restart.after.say(kStranger + i, ViewPresented{own});
  }
  restart.come_back(restart.all);
  restart.check_recovered(restart.all);
}

TEST_CASE("a thousand claims in groups of their own do not harm the run") {
  MasterBench before(kPatient);
  before.arrive({1, 2, 3}, 500);
  before.pass(seconds(1));
  const RunId run = before.last<Welcome>(1).run;
  MasterBench after(kPatient, 99);
  const bool in_its_name = GENERATE(false, true);
  const bool with_views = GENERATE(false, true);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t stranger = kStranger + i;
    const auto group = static_cast<std::uint32_t>(i == 500 ? 5000 : i);
    const View own = made_up({stranger}, 3 + i, group);
    claim(after, stranger, claim_of(after, stranger, in_its_name ? run : RunId{i}, own));
    REQUIRE(after.last<Present>(stranger).view);
    if (with_views) after.say(stranger, ViewPresented{own});
  }
  for (const std::uint64_t peer : {1, 2, 3}) after.come_back(before, peer);
  // Whoever tells nothing of a group of this run costs it the time for claims, and no more.
  after.pass(in_its_name && !with_views ? seconds(5) : seconds(1));
  after.present_outcomes({1, 2, 3});
  if (in_its_name && with_views) after.pass(seconds(5));
  for (const std::uint64_t peer : {1, 2, 3}) {
    CHECK(after.members(peer) == Peers{1, 2, 3});
    CHECK(after.view(peer).link_secret == before.view(peer).link_secret);
  }
  const OpKey key = after.key(1);
  for (const std::uint64_t peer : {1, 2, 3}) after.report(peer, key);
  CHECK(after.last<Committed>(1).key == key);
  // What one address may do is bounded, and so is what all may.
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK(after.closed(kStranger + i));
}

TEST_CASE("of one address so many may claim, and others still can") {
  Restart restart(3);
  for (std::uint64_t i = 0; i < limits::kClaimsPerSourceMax + 10; ++i) {
    const std::uint64_t stranger = kStranger + i;
    restart.after.come_from(stranger, "10.9.9.9");
    claim(restart.after, stranger,
          claim_of(restart.after, stranger, RunId{5}, made_up({stranger}, 3, static_cast<std::uint32_t>(i))));
    restart.after.pass(milliseconds(1));
  }
  CHECK(restart.after.closed(kStranger + limits::kClaimsPerSourceMax));
  // A member that is refused would be out; whoever comes too early comes again.
  CHECK(restart.after.count<Refused>(kStranger + limits::kClaimsPerSourceMax) == 0);
  CHECK_FALSE(restart.after.closed(kStranger));
  restart.come_back(restart.all);
  restart.check_recovered(restart.all);
  // All claims of the others are over, and none is counted any more.
  CHECK(restart.after.closed(kStranger));
  CHECK(restart.after.machine().snapshot().connections == 3);
}

TEST_CASE("a stranger cannot have members expelled by a claim under an id that was lost") {
  MasterBench before(kPatient);
  before.found(3);
  const View old = before.view(3);
  before.say(3, Leave{});
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2}) after.come_back(before, peer);
  Resume odd = before.memory(1);
  odd.who = after.introduction(3);
  odd.view = mark_of(old);
  claim(after, 3, odd);
  if (after.count<Present>(3) > 0) after.say(3, ViewPresented{old});
  after.pass(seconds(1));
  after.present_outcomes({1, 2});
  CHECK(after.members(1) == Peers{1, 2});
}

TEST_CASE("a stranger that says hello in a member's name before it is back is gone when it comes") {
  Restart restart(3);
  restart.after.open(kStranger);
  Introduction odd = restart.after.introduction(1);
  odd.token ^= 1;
  odd.connection = 7;
  restart.after.say(kStranger, Hello{odd});
  REQUIRE(restart.after.count<Welcome>(kStranger) == 1);
  restart.come_back(restart.all);
  CHECK(restart.after.closed(kStranger));
  // And can't come again.
  restart.after.open(kStranger);
  odd.connection = 8;
  restart.after.say(kStranger, Hello{odd});
  CHECK(restart.after.closed(kStranger));
  restart.check_recovered(restart.all);
  CHECK(restart.after.pending() == 0);
}

TEST_CASE("what was claimed in a member's name and not taken keeps that member out no longer") {
  MasterBench before(kPatient);
  before.arrive({1, 2, 3});
  before.arrive({4, 5}, 1);
  before.pass(seconds(1));
  MasterBench after(kPatient, 99);
  for (const std::uint64_t peer : {1, 2, 3}) after.come_back(before, peer);
  // Group 1 is late, and its members' ids are claimed elsewhere.
  for (const std::uint64_t peer : {4, 5}) {
    Resume odd = claim_of(after, peer, RunId{5}, made_up({peer}, 3, 7));
    odd.who.token ^= 1;
    claim(after, kStranger + peer, odd);
  }
  after.pass(seconds(5));
  after.present_outcomes({1, 2, 3});
  REQUIRE(after.count<StartView>(1) == 1);
  for (const std::uint64_t peer : {4, 5}) after.come_back(before, peer);
  after.pass(seconds(1));
  after.present_outcomes({4, 5});
  CHECK(after.members(4) == Peers{4, 5});
  CHECK(after.members(1) == Peers{1, 2, 3});
}

TEST_CASE("an id that strangers put into a view of theirs stays its member's if more members are back") {
  Restart restart(4);
  View theirs = made_up({kStranger, 3}, kHuge);
  theirs.members[1].address.host = MasterBench::host(kStranger + 3);
  claim(restart.after, kStranger, claim_of(restart.after, kStranger, restart.run(), theirs));
  restart.after.say(kStranger, ViewPresented{theirs});
  restart.come_back(restart.all);
  Resume odd = restart.before.memory(3);
  odd.who.token ^= 1;
  odd.view = mark_of(theirs);
  claim(restart.after, kStranger + 3, odd);
  CHECK(restart.after.closed(kStranger + 3));
  CHECK_FALSE(restart.after.closed(3));
  restart.check_recovered(restart.all);
}

}  // namespace hawser
