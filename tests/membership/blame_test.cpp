#include "membership/blame.hpp"

#include "catch.hpp"

namespace hawser {
namespace {

View view_of(std::uint64_t n) {
  View view;
  for (std::uint64_t id = 1; id <= n; ++id)
    view.members.push_back({.id = {id}, .name = "p" + std::to_string(id), .address = {}});
  return view;
}

std::vector<PeerId> everyone(std::uint64_t n) {
  std::vector<PeerId> all;
  for (std::uint64_t id = 1; id <= n; ++id) all.push_back({id});
  return all;
}

Grievance against(std::vector<PeerId> whom, std::int64_t since_ms = 0) {
  return {.since = Instant(milliseconds(since_ms)), .heard_at = {}, .waiting_for = std::move(whom), .unresponsive = {}};
}

}  // namespace

TEST_CASE("who is waited for and waits for nobody is the cause") {
  const auto culprit = blame(view_of(4), {{{1}, against({{2}})}, {{2}, against({{3}})}}, everyone(4));
  REQUIRE(culprit);
  CHECK(culprit->id == PeerId{3});
}

TEST_CASE("who has not called is slow, not stuck") {
  CHECK_FALSE(blame(view_of(3), {{{1}, against({{3}})}}, {{1}, {2}}));
}

TEST_CASE("in a ring behind a silent member, that member goes: both its neighbours and it accuse each other") {
  // Each waits for its predecessor; 2 and 3 have frames that the other end never acknowledged.
  const auto culprit =
      blame(view_of(4),
            {{{1}, against({{4}})}, {{2}, against({{1}, {3}})}, {{3}, against({{2}, {4}})}, {{4}, against({{3}})}},
            everyone(4));
  REQUIRE(culprit);
  CHECK(culprit->id == PeerId{3});
}

TEST_CASE("dead links tell more than who waits for whom") {
  // A star around 1 behind a silent 3: most wait for 1, which waits for 3; all but 3 have lost one link.
  std::map<PeerId, Grievance> grievances{
      {{1}, against({{3}})}, {{2}, against({{1}})}, {{3}, against({{1}, {2}, {4}})}, {{4}, against({{1}})}};
  for (auto& [peer, grievance] : grievances)
    if (peer != PeerId{3}) grievance.unresponsive = {{3}};
  grievances.at({3}).unresponsive = {{1}, {2}, {4}};
  CHECK(blame(view_of(4), grievances, everyone(4))->id == PeerId{3});
}

TEST_CASE("in a circle the most accused goes, then the one accused first, then the youngest") {
  const View view = view_of(4);
  CHECK(blame(view, {{{1}, against({{2}})}, {{2}, against({{1}, {3}})}, {{3}, against({{2}})}}, everyone(4))->id ==
        PeerId{2});
  CHECK(blame(view,
              {{{1}, against({{4}}, 30)},
               {{2}, against({{1}}, 20)},
               {{3}, against({{2}}, 10)},
               {{4}, against({{3}}, 15)}},
              everyone(4))
            ->id == PeerId{2});
  CHECK(blame(view, {{{1}, against({{2}})}, {{2}, against({{1}})}}, everyone(4))->id == PeerId{2});
}

TEST_CASE("a view that has fallen apart keeps its largest part, among equals the one with the eldest member") {
  const auto numbers = [](const std::vector<Member>& members) {
    std::vector<std::uint64_t> ids;
    for (const Member& member : members) ids.push_back(member.id.value);
    return ids;
  };
  const auto dead = [](std::vector<PeerId> whom) {
    return Grievance{.since = {}, .heard_at = {}, .waiting_for = whom, .unresponsive = whom};
  };
  using Ids = std::vector<std::uint64_t>;
  std::map<PeerId, Grievance> halves{
      {{1}, dead({{3}, {4}})}, {{2}, dead({{3}, {4}})}, {{3}, dead({{1}, {2}})}, {{4}, dead({{1}, {2}})}};
  CHECK(numbers(cut_off(view_of(4), halves)) == Ids{3, 4});
  // A fifth one that both reach holds them together.
  CHECK(cut_off(view_of(5), halves).empty());
  // With the second half.
  for (const std::uint64_t id : {1, 2}) halves.at({id}).unresponsive.push_back({5});
  halves[{5}] = dead({{1}, {2}});
  CHECK(numbers(cut_off(view_of(5), halves)) == Ids{1, 2});
  // One side's word is not enough, be it about all.
  CHECK(cut_off(view_of(3), {{{1}, dead({{2}, {3}})}}).empty());
  halves.erase({4});
  CHECK(cut_off(view_of(5), halves).empty());
  // Three parts.
  CHECK(numbers(cut_off(view_of(3), {{{1}, dead({{2}, {3}})}, {{2}, dead({{1}, {3}})}, {{3}, dead({{1}, {2}})}})) ==
        Ids{2, 3});
}

TEST_CASE("accusations of oneself, of strangers and by strangers do not count") {
  CHECK_FALSE(blame(view_of(2), {{{1}, against({{1}, {9}})}, {{9}, against({{2}})}}, everyone(2)));
}

}  // namespace hawser
