#include "membership/view.hpp"

#include <set>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

Member member(std::uint64_t number) {
  return {.id = {number}, .name = "p" + std::to_string(number), .address = {.host = "10.0.0.1", .port = 7}};
}

std::vector<Member> members(const std::vector<std::uint64_t>& numbers) {
  std::vector<Member> all;
  for (const auto number : numbers) all.push_back(member(number));
  return all;
}

}  // namespace

TEST_CASE("a view spans hosts if its members were told of several") {
  View view;
  CHECK_FALSE(view.spans_hosts());
  const auto add = [&](const char* host, std::uint16_t port, std::uint64_t machine) {
    view.members.push_back({.id = {}, .name = "m", .address = {.host = host, .port = port}, .machine = machine});
  };
  SECTION("by addresses, where machines are not known") {
    add("10.0.0.1", 1, 0);
    add("10.0.0.1", 2, 0);
    CHECK_FALSE(view.spans_hosts());
    add("10.0.0.2", 1, 0);
    CHECK(view.spans_hosts());
  }
  SECTION("by machines, where these are known") {
    add("10.0.0.1", 1, 5);
    add("192.168.0.1", 2, 5);
    CHECK_FALSE(view.spans_hosts());
    // Behind one address.
    add("10.0.0.1", 3, 6);
    CHECK(view.spans_hosts());
  }
}

TEST_CASE("whatever differs between two views, so do their fingerprints") {
  const View view{.epoch = {3}, .id = {4}, .group = 1, .link_secret = 5, .members = members({1, 2})};
  std::vector<View> others(11, view);
  ++others[0].epoch.value;
  ++others[1].id.value;
  ++others[2].group;
  ++others[3].link_secret;
  others[4].members.pop_back();
  std::swap(others[5].members[0], others[5].members[1]);
  ++others[6].members[0].id.value;
  others[7].members[0].name += "x";
  others[8].members[0].address.host += "x";
  ++others[9].members[1].address.port;
  ++others[10].members[1].machine;
  // Of texts that follow each other it matters where one ends.
  View shifted = view;
  shifted.members[0].name = "p11";
  shifted.members[0].address.host = "0.0.0.1";
  View unshifted = view;
  unshifted.members[0].name = "p1";
  unshifted.members[0].address.host = "10.0.0.1";
  std::set<std::uint64_t> seen{fingerprint(view)};
  for (const View& other : others) CHECK(seen.insert(fingerprint(other)).second);
  CHECK(fingerprint(shifted) != fingerprint(unshifted));
  CHECK(fingerprint(View(view)) == fingerprint(view));
}

TEST_CASE("a change makes the later list from the former, and says no more than what differs") {
  struct Case {
    std::vector<std::uint64_t> before;
    std::vector<std::uint64_t> after;
    std::size_t came;
    std::size_t gone;
  };
  const std::vector<Case> cases{
      {{}, {}, 0, 0},        {{}, {1, 2}, 2, 0},       {{1, 2}, {}, 0, 2},          {{1, 2}, {1, 2}, 0, 0},
      {{1, 2}, {1, 2, 3}, 1, 0}, {{1, 2, 3}, {2, 3}, 0, 1}, {{1, 2, 3}, {1, 3}, 0, 1}, {{1, 2, 3}, {1, 2}, 0, 1},
      {{1, 2, 3}, {2, 4, 5}, 2, 2}, {{1, 2}, {3, 4}, 2, 2},
  };
  for (const Case& one : cases) {
    std::vector<Member> list = members(one.before);
    const MemberChange change = change_between(list, members(one.after));
    CHECK_FALSE(change.whole);
    CHECK(change.came.size() == one.came);
    CHECK(change.gone.size() == one.gone);
    CHECK(change.empty() == (one.came + one.gone == 0));
    REQUIRE(hawser::apply(change, list));
    CHECK(list == members(one.after));
  }
}

TEST_CASE("a list that is told as a whole replaces any other") {
  std::vector<Member> list = members({1, 2, 3});
  CHECK_FALSE(whole_list({}).empty());
  REQUIRE(hawser::apply(whole_list(members({9, 1})), list));
  CHECK(list == members({9, 1}));
  REQUIRE(hawser::apply(whole_list({}), list));
  CHECK(list.empty());
}

TEST_CASE("a change of another list is refused, and the list stays as it was") {
  const std::vector<Member> before = members({1, 2, 3});
  const std::vector<MemberChange> wrong{
      {.whole = false, .came = {}, .gone = {{4}}},
      {.whole = false, .came = {}, .gone = {{1}, {1}}},
      {.whole = false, .came = members({2}), .gone = {}},
      {.whole = false, .came = members({4, 4}), .gone = {}},
      {.whole = false, .came = members({5}), .gone = {{1}, {7}}},
      {.whole = true, .came = members({4, 4}), .gone = {}},
  };
  for (const MemberChange& change : wrong) {
    std::vector<Member> list = before;
    CHECK_FALSE(hawser::apply(change, list));
    CHECK(list == before);
  }
  // One that goes may come anew, at the end.
  std::vector<Member> list = before;
  CHECK(hawser::apply({.whole = false, .came = members({1}), .gone = {{1}}}, list));
  CHECK(list == members({2, 3, 1}));
}

TEST_CASE("lists that follow each other are known from their changes") {
  Random random(3);
  std::vector<Member> list;
  std::vector<Member> known;
  std::uint64_t next = 1;
  for (int step = 0; step < 2000; ++step) {
    const std::vector<Member> before = list;
    std::erase_if(list, [&](const Member&) { return random.chance(1, 8); });
    while (random.chance(1, 2)) list.push_back(member(next++));
    REQUIRE(hawser::apply(change_between(before, list), known));
    REQUIRE(known == list);
  }
}

}  // namespace hawser
