#include "churn/round_header.hpp"

#include <vector>

#include "catch.hpp"
#include "churn/options.hpp"

using namespace hawser::churn;

namespace {

constexpr std::size_t kFloats = kMembersMax * kHeaderSlotFloats;
const HeaderEntry kOld{.peer_id = 0xfedcba9876543210,
                       .synced = true,
                       .lineage = 77,
                       .step = 16'000'000,
                       .digest = ~0ull,
                       .synced_epoch = 5};
const HeaderEntry kNew{.peer_id = 2};

struct Written {
  HeaderEntry entry;
  std::uint32_t rank;
};

std::vector<float> sum(const std::vector<Written>& all) {
  std::vector<float> total(kFloats), one(kFloats);
  for (const Written& w : all) {
    write_header(w.entry, w.rank, one);
    for (std::size_t i = 0; i < kFloats; ++i) total[i] += one[i];
  }
  return total;
}

}  // namespace

TEST_CASE("a summed header gives back what each member said") {
  const auto entries =
      read_header(sum({{kOld, 0}, {kNew, 1}}), std::vector<std::uint64_t>{kOld.peer_id, kNew.peer_id});
  REQUIRE(entries.size() == 2);
  CHECK(entries[0] == kOld);
  CHECK(entries[1] == kNew);
}

TEST_CASE("a header written with ranks of another view is unreadable") {
  const std::vector<std::uint64_t> members{kOld.peer_id, kNew.peer_id};
  CHECK(read_header(sum({{kOld, 1}, {kNew, 1}}), members).empty());
  CHECK(read_header(sum({{kOld, 1}, {kNew, 0}}), members).empty());
  CHECK(read_header(sum({{kOld, 0}, {kNew, 2}}), members).empty());
}

TEST_CASE("members synchronise if one of them lacks the state") {
  HeaderEntry third = kOld;
  third.peer_id = 3;
  const RoundStart start = decide_round_start(std::vector<HeaderEntry>{kNew, kOld, third}, 5);
  CHECK(start.sync_needed);
  CHECK(start.any_newcomer);
  CHECK(start.holders == std::vector<std::uint64_t>{kOld.peer_id, 3});
  CHECK(start.step == kOld.step);
  CHECK(start.disagreement.empty());
  CHECK_FALSE(decide_round_start(std::vector<HeaderEntry>{kOld, third}, 5).sync_needed);
}

TEST_CASE("members synchronise in every view") {
  HeaderEntry third = kOld;
  third.peer_id = 3;
  const RoundStart later = decide_round_start(std::vector<HeaderEntry>{kOld, third}, 6);
  CHECK(later.sync_needed);
  CHECK_FALSE(later.any_newcomer);
  third.synced_epoch = 0;
  CHECK(decide_round_start(std::vector<HeaderEntry>{kOld, third}, 5).sync_needed);
}

TEST_CASE("nobody synced: nobody holds the state") {
  const std::vector<HeaderEntry> entries{kNew, {.peer_id = 3}};
  const RoundStart start = decide_round_start(entries, 5);
  CHECK(start.sync_needed);
  CHECK(start.any_newcomer);
  CHECK(start.holders.empty());
}

TEST_CASE("synced members that differ in step, lineage or digest disagree") {
  HeaderEntry other = kOld;
  other.peer_id = 3;
  SECTION("step") { other.step += 1; }
  SECTION("lineage") { other.lineage += 1; }
  SECTION("digest") { other.digest -= 1; }
  CHECK_FALSE(decide_round_start(std::vector<HeaderEntry>{kOld, other}, 5).disagreement.empty());
}
