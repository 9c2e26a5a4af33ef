#include "membership/majority.hpp"

#include "catch.hpp"
#include "membership/master_bench.hpp"

namespace hawser {
namespace {

View view_with(std::uint64_t epoch, const Peers& peers) {
  View view{.epoch = {epoch}, .id = {epoch * 100 + peers.size()}, .members = {}};
  for (const auto peer : peers) view.members.push_back({.id = {peer}, .name = "p" + std::to_string(peer)});
  return view;
}

struct Claims {
  std::vector<MajorityClaim> claims;
  std::map<ViewMark, View> views;
  std::set<PeerId> left;
  void add(const View& view, const Peers& peers, const std::vector<Kept>& kept = {}) {
    views[mark_of(view)] = view;
    for (const auto peer : peers)
      claims.push_back({.peer = {peer}, .view = mark_of(view), .quorums = as_quorums(kept, view)});
  }
  MajorityChoice choose() const { return choose_by_majority(claims, views, left); }
};

Kept kept_of(const Peers& left, std::size_t of) {
  Kept kept{.left = {}, .of = of};
  for (const auto peer : left) kept.left.insert(PeerId{peer});
  return kept;
}

Peers survivors_of(const MajorityChoice& choice) {
  Peers peers;
  for (const PeerId peer : choice.survivors) peers.push_back(peer.value);
  return peers;
}

}  // namespace

TEST_CASE("another master takes a view over with more than half of it, and says what it lacks") {
  const View four = view_with(7, {1, 2, 3, 4});
  Claims half;
  half.add(four, {1, 2});
  CHECK_FALSE(half.choose().view);
  CHECK(half.choose().lacking.find("2 of 4") != std::string::npos);
  Claims more;
  more.add(four, {1, 2, 4});
  REQUIRE(more.choose().view == mark_of(four));
  CHECK(survivors_of(more.choose()) == Peers{1, 2, 4});
  // One that said good-bye comes back nowhere.
  half.left.insert(PeerId{4});
  CHECK(half.choose().view == mark_of(four));
}

TEST_CASE("half of a view is enough where the others lack what these have committed") {
  const View four = view_with(7, {1, 2, 3, 4});
  Claims claims;
  claims.add(four, {1, 2});
  const MajorityChoice choice = choose_by_majority(claims.claims, claims.views, claims.left, true);
  REQUIRE(choice.view == mark_of(four));
  CHECK(survivors_of(choice) == Peers{1, 2});
  CHECK(choice.footing.kept == std::vector<Kept>{kept_of({1, 2}, 4)});
  Claims fewer;
  fewer.add(four, {1});
  CHECK_FALSE(choose_by_majority(fewer.claims, fewer.views, fewer.left, true).view);
  // What a view before must keep stays more than half.
  Claims after;
  after.add(view_with(8, {1, 2, 3}), {1, 2}, {kept_of({1, 2, 3}, 5)});
  CHECK_FALSE(choose_by_majority(after.claims, after.views, after.left, true).view);
}

TEST_CASE("a later view that may have been held is not passed over, whoever claims the one before") {
  const View before = view_with(7, {1, 2, 3, 4, 5});
  const View after = view_with(8, {3, 4, 5});
  Claims claims;
  claims.add(before, {1, 2});
  claims.add(after, {3}, {kept_of({3, 4, 5}, 5)});
  // 4 and 5 may have started it, and go on with the other master.
  CHECK_FALSE(claims.choose().view);
  // One of its members here has not started it, and now never will: it was never held.
  claims.add(before, {4});
  REQUIRE(claims.choose().view);
  CHECK(survivors_of(claims.choose()) == Peers{1, 2, 3, 4});
  // All of it are here: those before it are out.
  Claims all;
  all.add(before, {1, 2});
  all.add(after, {3, 4, 5}, {kept_of({3, 4, 5}, 5)});
  CHECK(all.choose().view == mark_of(after));
  CHECK(survivors_of(all.choose()) == Peers{3, 4, 5});
}

TEST_CASE("a member that was left behind keeps nobody from going on with a view that is held") {
  const View old = view_with(7, {1, 2, 3, 4, 5, 6});
  const View now = view_with(9, {1, 2, 3, 7, 8});
  Claims claims;
  claims.add(old, {6});
  claims.add(now, {1, 7, 8});
  // Three of five, and no more than half of the old one.
  CHECK_FALSE(claims.choose().view);
  claims.add(now, {2});
  REQUIRE(claims.choose().view == mark_of(now));
  CHECK(survivors_of(claims.choose()) == Peers{1, 7, 8, 2});
  // While it is not held, what it must keep counts.
  Claims young;
  young.add(old, {6});
  young.add(now, {1, 7, 8, 2}, {kept_of({1, 2, 3}, 6)});
  CHECK_FALSE(young.choose().view);
}

TEST_CASE("one key does not pass an old view over, however many claims come with it") {
  const View old = view_with(7, {1, 2, 3, 4, 5});
  View made_up = view_with(9, {5, 11, 12, 13});
  const bool one_key = GENERATE(true, false);
  std::uint8_t next = 1;
  for (Member& member : made_up.members) member.key.bytes[0] = one_key ? std::uint8_t{1} : next++;
  Claims claims;
  claims.add(old, {1});
  claims.add(made_up, {5, 11, 12, 13});
  CHECK(claims.choose().view.has_value() == !one_key);
}

TEST_CASE("newcomers alone take no view over that the former members have not started") {
  const View grown = view_with(8, {1, 2, 3, 4, 5, 6});
  Claims newcomers;
  newcomers.add(grown, {3, 4, 5, 6}, {kept_of({1, 2}, 2)});
  CHECK_FALSE(newcomers.choose().view);
  // Most who claim it have heard that it is held.
  Claims held;
  held.add(grown, {3, 4, 5, 6});
  CHECK(held.choose().view == mark_of(grown));
}

TEST_CASE("a master keeps half of the view that it has held, and more than half of one that it has taken over") {
  const View four = view_with(7, {1, 2, 3, 4});
  const Footing next = footing_after({}, four, {});
  CHECK_FALSE(next.is_held);
  CHECK(may_go_on(next, view_with(8, {1, 2}).members));
  CHECK_FALSE(may_go_on(next, view_with(8, {1}).members));
  // Those that said good-bye count neither way.
  CHECK(may_go_on(footing_after({}, four, {PeerId{3}, PeerId{4}}), view_with(8, {1}).members));
  // What was not held does not count: the one before it does.
  const Footing after_next = footing_after(next, view_with(8, {1, 2}), {});
  CHECK_FALSE(may_go_on(after_next, view_with(9, {1}).members));
  Footing taken_over = next;
  taken_over.is_own = false;
  CHECK_FALSE(may_go_on(taken_over, view_with(8, {1, 2}).members));
  CHECK(may_go_on(taken_over, view_with(8, {1, 2, 3}).members));
}

TEST_CASE("what a view must keep goes to its members by rank, and comes back the same") {
  const View view = view_with(8, {5, 2, 9});
  const std::vector<Kept> kept{kept_of({2, 9}, 3), kept_of({5, 2, 9}, 4)};
  CHECK(as_kept(as_quorums(kept, view), view) == kept);
  CHECK(as_quorums(kept, view)[0].ranks == std::vector<std::uint32_t>{1, 2});
}

}  // namespace hawser
