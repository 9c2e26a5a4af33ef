#include "shared_state/swarm.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bug_found.hpp"
#include "catch.hpp"
#include "shared_state/swarm_simulation.hpp"

namespace hawser {
namespace {

using Kind = SwarmMessage::Kind;
using Words = std::vector<SwarmMessage>;
using Ranks = std::vector<std::uint32_t>;
using Slices = std::vector<std::uint64_t>;

constexpr Instant kStart{};

Ranks ranks(std::uint32_t from, std::uint32_t to) {
  Ranks all(to - from);
  std::iota(all.begin(), all.end(), from);
  return all;
}

/// One member, and what it has said since one looked last.
struct Probe {
  Swarm swarm;
  Words out{};
  Instant now = kStart;

  Probe(std::uint32_t self, std::uint32_t peers, std::vector<SwarmPart> parts, std::vector<bool> has = {},
        SwarmLimits limits = {})
      : swarm(self, peers, parts, padded(std::move(has), parts), limits) {}
  static std::vector<bool> padded(std::vector<bool> has, const std::vector<SwarmPart>& parts) {
    std::size_t slices = 0;
    for (const SwarmPart& part : parts) slices += part.slices;
    has.resize(slices);
    return has;
  }

  Words said() { return std::exchange(out, {}); }
  Words ready(std::uint32_t peer) {
    swarm.peer_ready(now, peer, out);
    return said();
  }
  Words gone(std::uint32_t peer) {
    swarm.peer_gone(now, peer, out);
    return said();
  }
  Words have(std::uint32_t from, std::uint64_t slice, std::uint64_t count = 1) {
    CHECK(swarm.have_came(now, from, slice, count, out));
    return said();
  }
  Words came(std::uint32_t from, std::uint64_t slice) {
    CHECK(swarm.judge(from, slice) == Swarm::Arrival::expected);
    swarm.slice_came(now, from, slice, out);
    return said();
  }
  Words bad(std::uint32_t from, std::uint64_t slice) {
    CHECK(swarm.judge(from, slice) == Swarm::Arrival::expected);
    swarm.slice_bad(now, from, slice, out);
    return said();
  }
  Words declined(std::uint32_t from, std::uint64_t slice) {
    CHECK(swarm.decline_came(now, from, slice, out));
    return said();
  }
  Swarm::Answer want(std::uint32_t from, std::uint64_t slice) {
    return swarm.want_came(from, slice, false, out);
  }
  Swarm::Answer wish(std::uint32_t from, std::uint64_t slice) {
    return swarm.want_came(from, slice, true, out);
  }
  Words tick_at(Duration after_start) {
    now = kStart + after_start;
    swarm.tick(now, out);
    CHECK(swarm.next_deadline().value_or(Instant::max()) > now);
    return said();
  }
};

SwarmMessage word(Kind kind, std::uint32_t to, std::uint64_t slice, std::uint64_t count = 1) {
  return {.kind = kind, .to = to, .slice = slice, .count = count};
}

Slices slices_of(const Words& words, Kind kind, std::uint32_t to) {
  Slices slices;
  for (const SwarmMessage& one : words)
    if (one.kind == kind && one.to == to) slices.push_back(one.slice);
  return slices;
}

std::uint64_t sum(const std::vector<std::uint64_t>& numbers, std::size_t first, std::size_t end) {
  return std::accumulate(numbers.begin() + first, numbers.begin() + end, std::uint64_t{0});
}

std::vector<bool> flags(std::uint64_t slices, const Slices& set) {
  std::vector<bool> all(slices);
  for (const std::uint64_t slice : set) all[slice] = true;
  return all;
}

constexpr auto kSend = Swarm::Answer::send;
constexpr auto kNothing = Swarm::Answer::nothing;
constexpr auto kImpossible = Swarm::Answer::impossible;

}  // namespace

TEST_CASE("nobody is asked before it is ready, and holders lack nothing") {
  Probe receiver(1, 2, {{.slices = 3, .holders = {0}, .receivers = {1}}});
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.swarm.slices() == 3);
  CHECK(receiver.swarm.waiting_for() == Ranks{0});
  CHECK_FALSE(receiver.swarm.next_deadline());
  CHECK(receiver.ready(0) == Words{word(Kind::want, 0, 0), word(Kind::want, 0, 1), word(Kind::want, 0, 2)});
  CHECK(receiver.ready(0).empty());
  for (std::uint64_t slice = 0; slice < 3; ++slice) receiver.came(0, slice);
  CHECK(receiver.swarm.complete());
  CHECK(receiver.swarm.waiting_for().empty());
  CHECK_FALSE(receiver.swarm.next_deadline());

  Probe holder(0, 2, {{.slices = 3, .holders = {0}, .receivers = {1}}});
  CHECK(holder.swarm.complete());
  CHECK(holder.swarm.has(2));
  CHECK_FALSE(holder.swarm.has(3));
  CHECK(holder.ready(1).empty());
}

TEST_CASE("who is neither holder nor receiver has nothing and wants nothing") {
  Probe bystander(2, 3, {{.slices = 3, .holders = {0}, .receivers = {1}}}, {true, true, true});
  CHECK(bystander.swarm.complete());
  CHECK_FALSE(bystander.swarm.has(0));
  CHECK(bystander.ready(0).empty());
  CHECK(bystander.ready(1).empty());
  CHECK(bystander.want(1, 0) == kImpossible);
  CHECK(bystander.have(1, 0, 3).empty());
  Probe without(0, 2, {});
  CHECK(without.swarm.complete());
  CHECK(without.ready(1).empty());
}

TEST_CASE("a receiver asks for its own share, then steals softly from the far end") {
  Probe receiver(1, 3, {{.slices = 8, .holders = {0}, .receivers = {1, 2}}});
  CHECK(slices_of(receiver.ready(0), Kind::want, 0) == Slices{0, 2, 4, 6});
  for (const std::uint64_t slice : {0, 2, 4}) CHECK(receiver.came(0, slice).empty());
  // What the other has said to have is not stolen.
  CHECK(receiver.have(2, 7).empty());
  CHECK(slices_of(receiver.came(0, 6), Kind::wish, 0) == Slices{5, 3, 1});
}

TEST_CASE("what came is said to the ready receivers that may lack it") {
  Probe receiver(1, 5, {{.slices = 8, .holders = {0}, .receivers = {1, 2, 3, 4}}});
  CHECK(slices_of(receiver.ready(0), Kind::want, 0) == Slices{0, 4});
  receiver.ready(2);
  receiver.ready(3);
  receiver.have(3, 0);
  CHECK(receiver.came(0, 0) == Words{word(Kind::have, 2, 0)});
}

TEST_CASE("what is there from the start is not asked for, and told in ranges") {
  Probe receiver(1, 3,
                 {{.slices = 8, .holders = {0}, .receivers = {1, 2}},
                  {.slices = 2, .holders = {0, 2}, .receivers = {1}},
                  {.slices = 2, .holders = {0}, .receivers = {1, 2}}},
                 flags(12, {0, 1, 2, 5, 6, 7, 8, 9, 10}));
  CHECK(slices_of(receiver.ready(0), Kind::want, 0) == Slices{4});
  CHECK(receiver.ready(2) ==
        Words{word(Kind::have, 2, 0, 3), word(Kind::have, 2, 5, 3), word(Kind::have, 2, 10, 1)});
  CHECK(receiver.want(2, 6) == kSend);

  Probe brief(1, 3, {{.slices = 8, .holders = {0}, .receivers = {1, 2}}}, flags(8, {0, 2, 4, 7}),
              {.ranges_announced = 2});
  CHECK(brief.ready(2) == Words{word(Kind::have, 2, 0), word(Kind::have, 2, 2)});
  Probe whole(1, 3, {{.slices = 8, .holders = {0}, .receivers = {1, 2}}}, std::vector<bool>(8, true));
  CHECK(whole.swarm.complete());
  CHECK(whole.ready(2) == Words{word(Kind::have, 2, 0, 8)});
}

TEST_CASE("of receivers the rarest is asked first") {
  Probe receiver(1, 6, {{.slices = 12, .holders = {0}, .receivers = {1, 2, 3, 4, 5}}});
  receiver.have(2, 0, 12);
  receiver.have(3, 0, 8);
  receiver.have(4, 0, 4);
  const Words asked = receiver.ready(2);
  Slices rarest = slices_of(asked, Kind::want, 2);
  std::sort(rarest.begin(), rarest.end());
  CHECK(rarest == Slices{8, 9, 10, 11});
  // Rarer meanwhile than those that were the rarest.
  receiver.have(5, 4, 4);
  Slices next = slices_of(receiver.ready(3), Kind::want, 3);
  std::sort(next.begin(), next.end());
  CHECK(next.size() == 4);
  for (const std::uint64_t slice : next) CHECK(slice < 8);
}

TEST_CASE("members begin with different ones among equally rare slices") {
  const std::vector<SwarmPart> parts{{.slices = 1000, .receivers = {0, 1, 2, 3}}};
  std::set<std::uint64_t> first;
  for (std::uint32_t self = 0; self < 3; ++self) {
    Probe receiver(self, 4, parts);
    receiver.ready(3);
    first.insert(slices_of(receiver.have(3, 0, 1000), Kind::want, 3).front());
  }
  CHECK(first.size() == 3);
}

TEST_CASE("a holder declines softly what somebody else has from it") {
  Probe holder(0, 4, {{.slices = 8, .holders = {0}, .receivers = {1, 2, 3}}});
  for (const std::uint32_t peer : {1, 2, 3}) holder.ready(peer);
  CHECK(holder.want(1, 3) == kSend);
  CHECK(holder.wish(2, 3) == kNothing);
  CHECK(holder.said() == Words{word(Kind::decline, 2, 3)});
  holder.swarm.served(1, 3);
  CHECK(holder.wish(2, 3) == kNothing);
  CHECK(holder.said() == Words{word(Kind::decline, 2, 3)});
  CHECK(holder.want(2, 3) == kSend);
  // Queued already.
  CHECK(holder.want(2, 3) == kNothing);
  CHECK(holder.wish(2, 3) == kNothing);
  CHECK(holder.said().empty());
  CHECK(holder.wish(3, 5) == kSend);
  // One that is gone spreads nothing.
  holder.gone(3);
  CHECK(holder.wish(2, 5) == kSend);
}

TEST_CASE("a wish is taken back while the slice waits") {
  Probe holder(0, 2, {{.slices = 8, .holders = {0}, .receivers = {1}}});
  holder.ready(1);
  CHECK(holder.want(1, 3) == kSend);
  CHECK(holder.swarm.unwant_came(1, 3));
  CHECK_FALSE(holder.swarm.unwant_came(1, 3));
  CHECK_FALSE(holder.swarm.unwant_came(1, 99));
  CHECK(holder.want(1, 4) == kSend);
  holder.swarm.served(1, 4);
  CHECK_FALSE(holder.swarm.unwant_came(1, 4));
}

TEST_CASE("a declined slice comes from who spreads it, or else late and firmly from the holder") {
  Probe receiver(1, 3, {{.slices = 4, .holders = {0}, .receivers = {1, 2}}});
  receiver.ready(0);
  receiver.ready(2);
  receiver.came(0, 0);
  CHECK(slices_of(receiver.came(0, 2), Kind::wish, 0) == Slices{3, 1});
  CHECK(receiver.declined(0, 3).empty());
  CHECK(receiver.declined(0, 1).empty());
  CHECK(receiver.have(2, 3) == Words{word(Kind::want, 2, 3)});
  receiver.came(2, 3);
  CHECK(receiver.tick_at(milliseconds(999)).empty());
  CHECK(receiver.swarm.next_deadline() == kStart + milliseconds(1000));
  CHECK(receiver.tick_at(milliseconds(1000)) == Words{word(Kind::want, 0, 1)});
  receiver.came(0, 1);
  CHECK(receiver.swarm.complete());
}

TEST_CASE("a slice that was announced while its wish was open is asked for when that is declined") {
  Probe receiver(1, 3, {{.slices = 2, .holders = {0}, .receivers = {1, 2}}});
  receiver.ready(0);
  receiver.ready(2);
  CHECK(slices_of(receiver.came(0, 0), Kind::wish, 0) == Slices{1});
  CHECK(receiver.have(2, 1).empty());
  CHECK(receiver.declined(0, 1) == Words{word(Kind::want, 2, 1)});
}

TEST_CASE("late slices are asked of another holder, and the other wish is taken back") {
  Probe receiver(2, 3, {{.slices = 40, .holders = {0, 1}, .receivers = {2}}});
  const Slices of_first = slices_of(receiver.ready(0), Kind::want, 0);
  CHECK(of_first.size() == 4);
  CHECK(receiver.swarm.waiting_for() == Ranks{0, 1});
  CHECK(receiver.swarm.next_deadline() == kStart + milliseconds(1000));
  receiver.now += milliseconds(900);
  Words words = receiver.ready(1);
  // From now on the second gives whatever it is asked for.
  std::vector<std::uint64_t> given;
  for (int step = 0; step < 200 && !receiver.swarm.complete(); ++step) {
    Slices due = slices_of(words, Kind::want, 1);
    if (due.empty()) {
      REQUIRE(receiver.swarm.next_deadline());
      words = receiver.tick_at(*receiver.swarm.next_deadline() - kStart);
      continue;
    }
    words.clear();
    for (const std::uint64_t slice : due) {
      given.push_back(slice);
      const Words more = receiver.came(1, slice);
      words.insert(words.end(), more.begin(), more.end());
      if (std::find(of_first.begin(), of_first.end(), slice) == of_first.end()) continue;
      CHECK(std::count(more.begin(), more.end(), word(Kind::unwant, 0, slice)) == 1);
      CHECK(receiver.swarm.judge(0, slice) == Swarm::Arrival::repeated);
    }
  }
  CHECK(receiver.swarm.complete());
  CHECK(given.size() == 40);
  CHECK(receiver.now < kStart + milliseconds(1100));
  CHECK(receiver.swarm.waiting_for().empty());
}

TEST_CASE("an only holder that is slow is asked for nothing twice") {
  Probe receiver(1, 2, {{.slices = 4, .holders = {0}, .receivers = {1}}});
  receiver.ready(0);
  Instant due = receiver.swarm.next_deadline().value();
  for (int ticks = 0; receiver.swarm.next_deadline(); ++ticks) {
    REQUIRE(ticks < 20);
    due = *receiver.swarm.next_deadline();
    CHECK(receiver.tick_at(due - kStart).empty());
  }
  for (std::uint64_t slice = 0; slice < 4; ++slice) CHECK(receiver.came(0, slice).empty());
  CHECK(receiver.swarm.complete());
}

TEST_CASE("a damaged slice is asked of another owner, and given up when nobody has a whole one") {
  Probe receiver(2, 4, {{.slices = 1, .holders = {0, 1}, .receivers = {2, 3}}});
  CHECK(receiver.ready(0) == Words{word(Kind::want, 0, 0)});
  CHECK(receiver.ready(1).empty());
  CHECK(receiver.bad(0, 0) == Words{word(Kind::want, 1, 0)});
  CHECK(receiver.swarm.judge(0, 0) == Swarm::Arrival::repeated);
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.bad(1, 0).empty());
  CHECK(receiver.swarm.complete());
  CHECK(receiver.swarm.given_up() == Slices{0});
  CHECK_FALSE(receiver.swarm.has(0));
  CHECK(receiver.want(3, 0) == kImpossible);
  CHECK_FALSE(receiver.swarm.next_deadline());
  // Somebody has a whole one after all.
  receiver.ready(3);
  CHECK(receiver.have(3, 0) == Words{word(Kind::want, 3, 0)});
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.swarm.given_up().empty());
  CHECK(receiver.came(3, 0).empty());
  CHECK(receiver.swarm.complete());
}

TEST_CASE("an owner that isn't ready yet may have a whole one") {
  Probe receiver(2, 3, {{.slices = 1, .holders = {0, 1}, .receivers = {2}}});
  receiver.ready(0);
  CHECK(receiver.bad(0, 0).empty());
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.swarm.waiting_for() == Ranks{1});
  CHECK(receiver.ready(1) == Words{word(Kind::want, 1, 0)});
  receiver.gone(1);
  CHECK(receiver.swarm.complete());
  CHECK(receiver.swarm.given_up() == Slices{0});
  // Nobody is known any more who has it: missing, not given up.
  receiver.gone(0);
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.swarm.given_up().empty());
}

TEST_CASE("owners come and go where nobody is a holder") {
  Probe receiver(1, 4, {{.slices = 3, .receivers = {0, 1, 2, 3}}});
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.ready(0).empty());
  CHECK(receiver.have(2, 0, 3).empty());
  CHECK(receiver.swarm.waiting_for() == Ranks{2});
  CHECK(slices_of(receiver.have(0, 0, 3), Kind::want, 0).size() == 3);
  CHECK(slices_of(receiver.came(0, 1), Kind::want, 0).empty());
  CHECK(receiver.gone(0).empty());
  CHECK_FALSE(receiver.swarm.complete());
  CHECK(receiver.swarm.judge(0, 0) == Swarm::Arrival::impossible);
  CHECK(receiver.ready(2).size() == 3);  // What it has, and two wishes.
  CHECK(receiver.gone(2).empty());
  CHECK(receiver.ready(0) == Words{word(Kind::have, 0, 1)});
  CHECK(slices_of(receiver.have(0, 0, 3), Kind::want, 0).size() == 2);
  receiver.came(0, 0);
  receiver.came(0, 2);
  CHECK(receiver.swarm.complete());
  CHECK(receiver.swarm.given_up().empty());
}

TEST_CASE("what only a peer had that is gone is asked of the holder") {
  Probe receiver(1, 3, {{.slices = 20, .holders = {0}, .receivers = {1, 2}}});
  receiver.have(2, 0, 20);
  // The holder's slices all wait for the other receiver, but for its own share.
  CHECK(slices_of(receiver.ready(0), Kind::want, 0) == Slices{0, 2, 4, 6});
  for (std::uint64_t slice = 0; slice < 20; slice += 2) receiver.came(0, slice);
  CHECK(slices_of(receiver.gone(2), Kind::wish, 0) == Slices{19, 17, 15, 13, 11, 9, 7, 5, 3, 1});
}

TEST_CASE("impossible words are refused") {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  const std::vector<SwarmPart> parts{{.slices = 4, .holders = {0}, .receivers = {1, 2}},
                                     {.slices = 400, .holders = {0, 3}, .receivers = {1}}};
  Probe receiver(1, 4, parts, {true});
  SECTION("have") {
    Words out;
    for (const auto& [slice, count] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, 0},
                                                                                           {404, 1},
                                                                                           {0, 405},
                                                                                           {403, 2},
                                                                                           {1, kMost},
                                                                                           {kMost, 1},
                                                                                           {kMost, 2},
                                                                                           {kMost, kMost},
                                                                                           {404, 0}})
      CHECK_FALSE(receiver.swarm.have_came(kStart, 2, slice, count, out));
    CHECK(receiver.swarm.have_came(kStart, 2, 0, 404, out));
    CHECK(receiver.swarm.have_came(kStart, 2, 0, 404, out));
    CHECK(receiver.swarm.have_came(kStart, 0, 0, 404, out));
    CHECK(out.empty());
  }
  SECTION("want") {
    CHECK(receiver.want(2, 0) == kImpossible);  // It was never told.
    receiver.ready(2);
    CHECK(receiver.want(2, 0) == kSend);
    CHECK(receiver.want(2, 1) == kImpossible);
    CHECK(receiver.want(2, 404) == kImpossible);
    CHECK(receiver.wish(2, kMost) == kImpossible);
    CHECK(receiver.want(0, 0) == kImpossible);  // It is a holder.
    Probe holder(3, 4, parts);
    CHECK(holder.want(1, 0) == kImpossible);
    CHECK(holder.want(1, 4) == kSend);
    CHECK(holder.want(2, 4) == kImpossible);
    CHECK(holder.said().empty());
  }
  SECTION("too many wants") {
    Probe holder(0, 4, parts, {}, {.wanted_most = 10});
    holder.ready(1);
    for (std::uint64_t slice = 10; slice < 20; ++slice) CHECK(holder.want(1, slice) == kSend);
    CHECK(holder.want(1, 10) == kNothing);
    CHECK(holder.want(1, 20) == kImpossible);
    holder.swarm.served(1, 10);
    CHECK(holder.want(1, 20) == kSend);
    CHECK(holder.swarm.unwant_came(1, 11));
    CHECK(holder.want(1, 21) == kSend);
    CHECK(holder.want(1, 22) == kImpossible);
  }
  SECTION("decline and slices") {
    Words out;
    CHECK_FALSE(receiver.swarm.decline_came(kStart, 0, 2, out));
    CHECK_FALSE(receiver.swarm.decline_came(kStart, 0, kMost, out));
    CHECK(receiver.swarm.judge(0, 2) == Swarm::Arrival::impossible);
    CHECK(receiver.swarm.judge(0, kMost) == Swarm::Arrival::impossible);
    CHECK(slices_of(receiver.ready(0), Kind::want, 0).front() == 2);
    CHECK(receiver.swarm.decline_came(kStart, 0, 2, out));  // It was no wish: a word that came twice.
    CHECK(receiver.swarm.judge(2, 2) == Swarm::Arrival::impossible);
    receiver.came(0, 2);
    CHECK(receiver.swarm.judge(0, 2) == Swarm::Arrival::repeated);
    CHECK(receiver.swarm.decline_came(kStart, 0, 2, out));  // Too late, and harmless.
  }
}

TEST_CASE("a slice that came from elsewhere while it was checked is taken once") {
  Probe receiver(2, 3, {{.slices = 1, .holders = {0, 1}, .receivers = {2}}});
  receiver.ready(0);
  receiver.ready(1);
  CHECK(receiver.tick_at(milliseconds(1000)) == Words{word(Kind::want, 1, 0)});
  CHECK(receiver.swarm.judge(0, 0) == Swarm::Arrival::expected);
  CHECK(receiver.came(1, 0) == Words{word(Kind::unwant, 0, 0)});
  receiver.swarm.slice_came(receiver.now, 0, 0, receiver.out);
  receiver.swarm.slice_bad(receiver.now, 0, 0, receiver.out);
  CHECK(receiver.said().empty());
  CHECK(receiver.swarm.has(0));
  CHECK(receiver.swarm.complete());
}

TEST_CASE("wrong arguments are bugs") {
  using Parts = std::vector<SwarmPart>;
  CHECK_THROWS_AS(Swarm(2, 2, {}, {}), BugFound);
  CHECK_THROWS_AS(Swarm(0, 2, Parts{{.slices = 1, .holders = {0}, .receivers = {0}}}, {false}), BugFound);
  CHECK_THROWS_AS(Swarm(0, 2, Parts{{.slices = 1, .holders = {1, 0}}}, {false}), BugFound);
  CHECK_THROWS_AS(Swarm(0, 2, Parts{{.slices = 1, .holders = {2}}}, {false}), BugFound);
  CHECK_THROWS_AS(Swarm(0, 2, Parts{{.slices = 1, .holders = {1}}}, {}), BugFound);
}

TEST_CASE("the holder sends one copy, whatever the number of receivers") {
  for (const Duration slice_takes : {milliseconds(1), milliseconds(10), milliseconds(100)}) {
    for (std::uint32_t receivers = 1; receivers <= 8; ++receivers) {
      std::vector<SwarmMember> members(receivers + 1);
      for (SwarmMember& member : members) member.up = member.down = slice_takes;
      SwarmSimulation sim(members, {{256, {0}, ranks(1, receivers + 1)}});
      INFO(receivers << " receivers");
      REQUIRE(sim.run());
      CHECK(sim.sent[0] <= 256 * 11 / 10);
      CHECK(sim.took() < 256 * slice_takes * 6 / 5);
    }
  }
}

TEST_CASE("a few slices don't leave the holder once for each receiver") {
  for (const std::uint64_t slices : {4, 8, 16, 32}) {
    SwarmSimulation sim(std::vector<SwarmMember>(9), {{slices, {0}, ranks(1, 9)}});
    REQUIRE(sim.run());
    CHECK(sim.sent[0] <= slices + 4);
  }
}

TEST_CASE("a long way is filled") {
  SwarmSimulation sim(std::vector<SwarmMember>(5), {{256, {0}, ranks(1, 5)}}, milliseconds(100));
  REQUIRE(sim.run());
  CHECK(sim.took() < milliseconds(4000));
  CHECK(sim.sent[0] <= 256 * 12 / 10);
}

TEST_CASE("equal holders carry about the same") {
  for (std::uint32_t holders = 2; holders <= 4; ++holders) {
    for (const std::uint32_t receivers : {1U, 2U, 4U, 8U}) {
      SwarmSimulation sim(std::vector<SwarmMember>(holders + receivers),
                          {{256, ranks(0, holders), ranks(holders, holders + receivers)}});
      INFO(holders << " holders, " << receivers << " receivers");
      REQUIRE(sim.run());
      const auto [least, most] = std::minmax_element(sim.sent.begin(), sim.sent.begin() + holders);
      CHECK(*most * 10 <= *least * (receivers <= 4 ? 12 : 18));
      CHECK(sum(sim.sent, 0, holders) <= (receivers <= 4 ? 256 * 12 / 10 : 256 * 17 / 10));
    }
  }
}

TEST_CASE("a slow holder beside a fast one carries less") {
  std::vector<SwarmMember> members(6);
  members[0].up = milliseconds(100);
  SwarmSimulation sim(members, {{256, {0, 1}, ranks(2, 6)}});
  REQUIRE(sim.run());
  CHECK(sim.sent[0] * 5 < sim.sent[1]);
  CHECK(sim.took() < milliseconds(3500));

  std::vector<SwarmMember> very_slow(3);
  very_slow[0].up = seconds(2);
  SwarmSimulation other(very_slow, {{256, {0, 1}, {2}}});
  REQUIRE(other.run());
  CHECK(other.took() < milliseconds(5000));
}

TEST_CASE("a holder that stops costs a patience and what was asked of it") {
  std::vector<SwarmMember> members(4);
  members[0].stops_at = kStart + milliseconds(100);
  SwarmSimulation sim(members, {{256, {0, 1}, {2, 3}}});
  REQUIRE(sim.run({1, 2, 3}));
  CHECK(sim.took() < milliseconds(2600 + 1100));
  CHECK(sum(sim.sent, 0, 2) <= 256 * 12 / 10);
}

TEST_CASE("a holder that stops for a while is used again") {
  std::vector<SwarmMember> members(4);
  members[0].stops_at = kStart + milliseconds(100);
  members[0].goes_on_at = kStart + milliseconds(3000);
  SwarmSimulation sim(members, {{1024, {0, 1}, {2, 3}}});
  REQUIRE(sim.run());
  CHECK(sim.sent[0] > 100);
}

TEST_CASE("an only slow holder sends little more than what is needed") {
  std::vector<SwarmMember> members(6);
  members[0].up = seconds(2);
  SwarmSimulation sim(members, {{64, {0}, ranks(1, 6)}});
  REQUIRE(sim.run());
  CHECK(sim.sent[0] <= 64 + 6);
  CHECK(sum(sim.repeated, 0, 6) <= 10);
}

TEST_CASE("a slow receiver does not hold up the others") {
  std::vector<SwarmMember> members(6);
  members[1].up = members[1].down = milliseconds(200);
  SwarmSimulation sim(members, {{256, {0}, ranks(1, 6)}});
  REQUIRE(sim.run({2, 3, 4, 5}));
  CHECK(sim.now < kStart + milliseconds(5000));

  SECTION("nor one that takes but hardly gives") {
    members[1].down = {};
    SwarmSimulation greedy(members, {{256, {0}, ranks(1, 6)}});
    REQUIRE(greedy.run({2, 3, 4, 5}));
    CHECK(greedy.now < kStart + milliseconds(6500));
  }
  SECTION("nor one that stops") {
    members[1] = {.stops_at = kStart + milliseconds(500)};
    SwarmSimulation stopping(members, {{256, {0}, ranks(1, 6)}});
    REQUIRE(stopping.run({2, 3, 4, 5}));
    CHECK(stopping.now < kStart + milliseconds(6500));
  }
}

TEST_CASE("what receivers have from the start spares the holder") {
  std::vector<SwarmMember> members(4);
  members[1].has.assign(256, true);
  for (std::uint64_t slice = 0; slice < 256; slice += 16) members[1].has[slice] = false;
  members[2].has = flags(256, {0, 1, 2, 3, 100});
  SwarmSimulation sim(members, {{256, {0}, {1, 2, 3}}});
  REQUIRE(sim.run());
  CHECK(sim.sent[0] <= 256);
  CHECK(sim.sent[1] > 100);
  for (std::uint32_t self = 1; self < 4; ++self)
    for (std::uint64_t slice = 0; slice < members[self].has.size(); ++slice)
      if (members[self].has[slice]) CHECK_FALSE(sim.asked.contains({self, slice}));
}

TEST_CASE("a transfer of a hundred thousand slices among sixteen is no great work") {
  std::vector<SwarmMember> members(16);
  for (SwarmMember& member : members) member.up = microseconds(10);
  // Quick only if every event is: a scan of all slices at each would take hours.
  SwarmSimulation sim(members, {{2000, {0}, ranks(1, 8)}, {100000, ranks(0, 14), {14, 15}}}, microseconds(5));
  REQUIRE(sim.run());
  CHECK(sum(sim.sent, 0, 16) < 2000 * 8 + 100000 * 3);
}

}  // namespace hawser
