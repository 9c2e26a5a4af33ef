#include "membership/recovery_choice.hpp"

#include <set>

#include "catch.hpp"

namespace hawser {
namespace {

using Ids = std::vector<std::uint64_t>;

/// What somebody claims: a view by its number in the table.
struct Says {
  std::uint64_t peer;
  std::size_t view;
};

struct Case {
  const char* what;
  std::vector<Ids> views;  ///< Members; the later, the newer.
  std::vector<Says> claims;
  std::optional<std::size_t> chosen{};
  Ids survivors{};
  bool complete = false;
  std::set<std::size_t> unknown{};  ///< Views that nobody has presented.
};

View view_of(const Ids& members, std::uint64_t epoch) {
  View view{.epoch = {epoch}, .id = {1000 + epoch}, .group = 0, .link_secret = 7, .members = {}};
  for (const std::uint64_t id : members) view.members.push_back({.id = {id}, .name = "p", .address = {}});
  return view;
}

ViewMark mark_of(const View& view) {
  return {.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)};
}

void check(const Case& one) {
  INFO(one.what);
  std::vector<ViewMark> marks;
  std::map<ViewMark, View> views;
  for (std::size_t i = 0; i < one.views.size(); ++i) {
    const View view = view_of(one.views[i], 5 + i);
    marks.push_back(mark_of(view));
    if (!one.unknown.contains(i)) views.emplace(marks.back(), view);
  }
  std::vector<ViewClaim> claims;
  for (const Says& claim : one.claims) claims.push_back({.peer = {claim.peer}, .view = marks.at(claim.view)});
  const ViewChoice choice = choose_view(claims, views);
  CHECK(choice.view == (one.chosen ? std::optional(marks.at(*one.chosen)) : std::nullopt));
  Ids survivors;
  for (const PeerId peer : choice.survivors) survivors.push_back(peer.value);
  CHECK(survivors == one.survivors);
  CHECK(choice.complete == one.complete);
}

constexpr std::uint64_t kStranger = 900;

}  // namespace

TEST_CASE("which view honest members go on from") {
  const std::vector<Case> cases{
      {.what = "nobody is back",
       .views = {{1, 2}}, .claims = {}},
      {.what = "all are back: in order of their claims",
       .views = {{1, 2, 3}}, .claims = {{2, 0}, {3, 0}, {1, 0}},
       .chosen = 0, .survivors = {2, 3, 1}, .complete = true},
      {.what = "one is missed",
       .views = {{1, 2, 3}}, .claims = {{1, 0}, {3, 0}}, .chosen = 0, .survivors = {1, 3}},
      {.what = "half are enough",
       .views = {{1, 2, 3, 4}}, .claims = {{1, 0}, {3, 0}}, .chosen = 0, .survivors = {1, 3}},
      {.what = "less than half are not",
       .views = {{1, 2, 3}}, .claims = {{1, 0}}},
      {.what = "one that was alone",
       .views = {{1}}, .claims = {{1, 0}}, .chosen = 0, .survivors = {1}, .complete = true},
      {.what = "a view whose members nobody has told yet",
       .views = {{1, 2}}, .claims = {{1, 0}, {2, 0}}, .unknown = {0}},
      {.what = "3 was lost, as the others have heard",
       .views = {{1, 2, 3}, {1, 2}}, .claims = {{3, 0}, {2, 1}, {1, 1}},
       .chosen = 1, .survivors = {2, 1}, .complete = true},
      {.what = "3 was lost, as only 1 has heard, and does not come back",
       .views = {{1, 2, 3}, {1, 2}}, .claims = {{1, 1}, {2, 0}}, .chosen = 0, .survivors = {1, 2}, .complete = true},
      {.what = "3 was lost, as only 1 has heard, and comes back: 1 alone has committed nothing since",
       .views = {{1, 2, 3}, {1, 2}}, .claims = {{1, 1}, {2, 0}, {3, 0}}, .chosen = 0, .survivors = {2, 3}},
      {.what = "4 was admitted, as all have heard but 2",
       .views = {{1, 2, 3}, {1, 2, 3, 4}}, .claims = {{1, 1}, {2, 0}, {3, 1}, {4, 1}},
       .chosen = 1, .survivors = {1, 2, 3, 4}, .complete = true},
      {.what = "4 was admitted, as only it has heard",
       .views = {{1, 2, 3}, {1, 2, 3, 4}}, .claims = {{1, 0}, {2, 0}, {3, 0}, {4, 1}},
       .chosen = 0, .survivors = {1, 2, 3}, .complete = true},
      {.what = "4 was admitted and comes back alone: the others are missed",
       .views = {{1, 2, 3}, {1, 2, 3, 4}}, .claims = {{4, 1}}},
      {.what = "one view after another, each heard by one less",
       .views = {{1, 2, 3, 4}, {1, 2, 3}, {1, 2}}, .claims = {{1, 2}, {2, 1}, {3, 0}, {4, 0}},
       .chosen = 0, .survivors = {3, 4}},
      {.what = "many were cut off from the master and know nothing of it",
       .views = {{1, 2, 3, 4, 5}, {1, 2}}, .claims = {{3, 0}, {4, 0}, {5, 0}, {1, 1}, {2, 1}},
       .chosen = 1, .survivors = {1, 2}, .complete = true},
      {.what = "many were cut off, and only one was left",
       .views = {{1, 2, 3, 4}, {1}}, .claims = {{2, 0}, {3, 0}, {4, 0}, {1, 1}}, .chosen = 0, .survivors = {2, 3, 4}},
      {.what = "one of two was lost: the newer view holds",
       .views = {{1, 2}, {1}}, .claims = {{2, 0}, {1, 1}}, .chosen = 1, .survivors = {1}, .complete = true},
      {.what = "a view that several claim and nobody has told may be the one",
       .views = {{1, 2, 3, 4}, {1, 2}}, .claims = {{3, 0}, {4, 0}, {1, 1}, {2, 1}},
       .chosen = 0, .survivors = {3, 4}, .unknown = {1}},
  };
  for (const Case& one : cases) check(one);
}

TEST_CASE("what a stranger or one bad member claims decides nothing that others contradict") {
  const std::vector<Case> cases{
      {.what = "a stranger in a newer view of its own",
       .views = {{1, 2, 3}, {kStranger}}, .claims = {{kStranger, 1}, {1, 0}, {2, 0}, {3, 0}},
       .chosen = 0, .survivors = {1, 2, 3}, .complete = true},
      {.what = "a stranger in a newer view with all members",
       .views = {{1, 2, 3}, {1, 2, 3, kStranger}}, .claims = {{kStranger, 1}, {1, 0}, {2, 0}, {3, 0}},
       .chosen = 0, .survivors = {1, 2, 3}, .complete = true},
      {.what = "a stranger's view does not tell who was lost",
       .views = {{1, 2, 3}, {1, 2, kStranger}}, .claims = {{kStranger, 1}, {1, 0}, {2, 0}},
       .chosen = 0, .survivors = {1, 2}},
      {.what = "a stranger in the members' view, which it is not in",
       .views = {{1, 2, 3}}, .claims = {{kStranger, 0}, {1, 0}}},
      {.what = "a stranger that tells nothing of its view",
       .views = {{1, 2}, {kStranger}}, .claims = {{kStranger, 1}, {1, 0}, {2, 0}},
       .chosen = 0, .survivors = {1, 2}, .complete = true, .unknown = {1}},
      {.what = "strangers in two views, fewer than the members",
       .views = {{1, 2, 3}, {901, 902}, {903}}, .claims = {{901, 1}, {902, 1}, {903, 2}, {1, 0}, {2, 0}, {3, 0}},
       .chosen = 0, .survivors = {1, 2, 3}, .complete = true},
      {.what = "a member in a newer view that leaves the others out",
       .views = {{1, 2, 3}, {3}}, .claims = {{3, 1}, {1, 0}, {2, 0}}, .chosen = 0, .survivors = {1, 2}},
      {.what = "a member in a newer view with strangers",
       .views = {{1, 2, 3, 4}, {3, 901}}, .claims = {{3, 1}, {901, 1}, {1, 0}, {2, 0}, {4, 0}},
       .chosen = 0, .survivors = {1, 2, 4}},
      {.what = "a member in an older view that was never",
       .views = {{3, 901, 902}, {1, 2, 3}}, .claims = {{3, 0}, {1, 1}, {2, 1}},
       .chosen = 1, .survivors = {3, 1, 2}, .complete = true},
  };
  for (const Case& one : cases) check(one);
}

}  // namespace hawser
