#include "links/link_sides.hpp"

#include "catch.hpp"
#include "links/link_world.hpp"

namespace hawser::links {
namespace {

using Dialler = LinkSides::Dialler;
using Verdict = LinkSides::Verdict;

Instant at(std::int64_t ms) { return Instant(milliseconds(ms)); }

constexpr Way kWays[] = {Way::open, Way::refused, Way::lost, Way::stranger};
/// Longest: a greeting that a stranger never answers, held and redialled dials of the other side, all of them unlucky.
constexpr Duration kSettled = seconds(40);

LinkWorld::Terms some_terms(Random& random) {
  LinkWorld::Terms terms;
  terms.delay_max = milliseconds(1) * (1LL << random.below(9));
  terms.connections = static_cast<std::uint32_t>(random.between(1, 3));
  for (auto& after : terms.dial_after) {
    static constexpr std::int64_t kWaits[] = {0, 0, 300, 1000};
    after = milliseconds(kWaits[random.below(4)]);
  }
  return terms;
}

void check_established(LinkWorld& world, std::uint64_t seed) {
  INFO("seed " << seed);
  REQUIRE(world.stands());
  REQUIRE(world.agree());
  // And so it stays.
  const std::size_t wires = world.wires_made();
  const Dialler before = world.dialler(0);
  world.pass(seconds(60));
  REQUIRE(world.stands());
  REQUIRE(world.agree());
  REQUIRE(world.dialler(0) == before);
  REQUIRE(world.wires_made() == wires);
}

}  // namespace

TEST_CASE("a side dials after its wait, once, and never where the other cannot be dialled") {
  LinkSides side;
  side.begin(at(100), true, milliseconds(300));
  CHECK(side.dial_at() == at(400));
  CHECK(side.dialler() == Dialler::undecided);
  side.dialling();
  CHECK_FALSE(side.dial_at());
  LinkSides other;
  other.begin(at(100), true, std::nullopt);
  CHECK_FALSE(other.dial_at());
  other.theirs_established(at(200));
  other.all_down(at(300));
  CHECK_FALSE(other.dial_at());
}

TEST_CASE("where greetings meet, that of the smaller id goes first, for a bounded time") {
  LinkSides smaller;
  LinkSides greater;
  smaller.begin(at(0), true, Duration::zero());
  greater.begin(at(0), false, Duration::zero());
  for (LinkSides* const side : {&smaller, &greater}) {
    CHECK(side->judge(at(0)) == Verdict::accept);
    CHECK_FALSE(side->next_look(at(0)));
    side->dialling();
    // Only what is on its way can meet the other.
    CHECK(side->judge(at(0)) == Verdict::accept);
    side->greeted(at(10));
  }
  CHECK(smaller.judge(at(20)) == Verdict::hold);
  CHECK(greater.judge(at(20)) == Verdict::accept);
  CHECK(smaller.next_look(at(20)) == at(1010));
  SECTION("until it is known to have failed") { smaller.attempt_ended(); }
  SECTION("or for a second") {
    CHECK(smaller.judge(at(1009)) == Verdict::hold);
    CHECK(smaller.judge(at(1010)) == Verdict::accept);
    return;
  }
  CHECK(smaller.judge(at(20)) == Verdict::accept);
}

TEST_CASE("a greeting that has crossed a connection of this side is held; a later one is of who has lost it") {
  LinkSides side;
  side.begin(at(0), false, Duration::zero());
  side.dialling();
  side.greeted(at(0));
  side.ours_established(at(100));
  CHECK(side.dialler() == Dialler::ours);
  CHECK(side.has_got_through());
  CHECK(side.judge(at(200)) == Verdict::hold);
  CHECK(side.next_look(at(200)) == at(2100));
  CHECK(side.judge(at(2100)) == Verdict::accept);
  side.theirs_established(at(2100));
  CHECK(side.dialler() == Dialler::theirs);
  // The other connections of the link follow the first.
  CHECK(side.judge(at(2100)) == Verdict::accept);
}

TEST_CASE("who dialled a link redials it first, then both may") {
  LinkSides ours;
  ours.begin(at(0), true, Duration::zero());
  ours.dialling();
  ours.ours_established(at(50));
  LinkSides theirs;
  theirs.begin(at(0), false, milliseconds(300));
  theirs.theirs_established(at(50));
  CHECK_FALSE(theirs.dial_at());
  for (LinkSides* const side : {&ours, &theirs}) side->all_down(at(500));
  // This side's redials are under way already.
  CHECK_FALSE(ours.dial_at());
  CHECK(theirs.dial_at() == at(1500));
  CHECK(ours.judge(at(600)) == Verdict::accept);
  // A break is told for each connection; the first counts.
  theirs.all_down(at(900));
  CHECK(theirs.dial_at() == at(1500));
  theirs.dialling();
  theirs.ours_established(at(1600));
  CHECK(theirs.dialler() == Dialler::ours);
  ours.theirs_established(at(1600));
  CHECK(ours.has_got_through());
  ours.all_down(at(3000));
  CHECK(ours.dial_at() == at(4000));
}

TEST_CASE("whichever direction can be dialled, both ends get one connection and agree on who dials") {
  std::size_t held = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    Random random(seed);
    LinkWorld::Terms terms = some_terms(random);
    do {
      for (Way& way : terms.way) way = kWays[random.below(4)];
    } while (terms.way[0] != Way::open && terms.way[1] != Way::open);
    // One that cannot be dialled is known as such, or not.
    for (const int side : {0, 1})
      if (terms.way.at(side) != Way::open && random.chance(1, 3)) terms.dial_after.at(side).reset();
    LinkWorld world(terms, seed);
    const int first = static_cast<int>(random.below(2));
    world.begin(first, at(0));
    world.begin(1 - first, at(random.chance(1, 2) ? 0 : static_cast<std::int64_t>(random.below(3000))));
    world.pass(kSettled);
    check_established(world, seed);
    for (const int side : {0, 1})
      if (terms.way.at(side) != Way::open) REQUIRE(world.dialler(side) == Dialler::theirs);
    held += world.greetings_held();
  }
  CHECK(held > 100);
}

TEST_CASE("dials that cross cost no more than the one that is given up") {
  std::size_t crossed = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    LinkWorld world({.delay_max = milliseconds(1) * (1LL << seed % 9)}, seed);
    world.begin(0, at(0));
    world.begin(1, at(0));
    world.pass(seconds(2));
    INFO("seed " << seed);
    REQUIRE(world.wires_made() <= 2);
    crossed += world.wires_made() - 1;
    check_established(world, seed);
  }
  CHECK(crossed > 300);
}

TEST_CASE("a link that breaks stands again, also if only the other side can dial by then") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    Random random(seed + 50000);
    LinkWorld world(some_terms(random), seed);
    world.begin(0, at(0));
    world.begin(1, at(0));
    world.pass(kSettled);
    REQUIRE(world.stands());
    for (int breaks = 0; breaks < 4; ++breaks) {
      const int open = static_cast<int>(random.below(2));
      world.set_way(open, Way::open);
      world.set_way(1 - open, kWays[random.below(4)]);
      // At any moment, also while it comes to stand.
      for (std::uint64_t cuts = 1 + random.below(3); cuts > 0; --cuts) {
        world.cut();
        world.pass(milliseconds(random.below(1500)));
      }
      world.pass(kSettled);
      check_established(world, seed);
    }
  }
}

TEST_CASE("where nobody can dial there is no link, and it stands once somebody can") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed + 90000);
    LinkWorld::Terms terms = some_terms(random);
    for (Way& way : terms.way) way = kWays[1 + random.below(3)];
    LinkWorld world(terms, seed);
    world.begin(0, at(0));
    world.begin(1, at(0));
    world.pass(kSettled);
    CHECK_FALSE(world.stands());
    CHECK(world.dialler(0) == Dialler::undecided);
    const int open = static_cast<int>(random.below(2));
    world.set_way(open, Way::open);
    world.pass(kSettled);
    check_established(world, seed);
    REQUIRE(world.dialler(open) == Dialler::ours);
  }
}

}  // namespace hawser::links
