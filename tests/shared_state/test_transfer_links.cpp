#include <vector>

#include "catch.hpp"
#include "shared_state/slice_transfer.hpp"
#include "shared_state/transfer_links.hpp"

namespace hawser {
namespace {

using RankList = std::vector<std::uint32_t>;

constexpr LinkLayout kLayout{.all_links_max = 7, .width = 4};

RankList beside(std::uint32_t rank, const std::vector<TransferPart>& parts, std::uint32_t members = 16) {
  return links_beside(kLayout, members, rank, parts);
}

TransferPart part(RankList holders, RankList receivers) {
  TransferPart one;
  one.holders = std::move(holders);
  one.receivers = std::move(receivers);
  return one;
}

}  // namespace

TEST_CASE("neighbours pass on what they have and want, so no further links are needed") {
  // 15 is in no line with 0, but 3 and 12 are in lines with both.
  CHECK(beside(0, {part({0}, {3, 15})}).empty());
  CHECK(beside(15, {part({0, 12}, {15})}).empty());
  RankList all;
  for (std::uint32_t rank = 1; rank < 16; ++rank) all.push_back(rank);
  for (std::uint32_t rank = 0; rank < 16; ++rank) CHECK(beside(rank, {part({0}, all)}).empty());
}

TEST_CASE("one receiver of those without a way to a holder gets a link to one") {
  // 6 and 15 are apart from each other, and from 0; 7 connects them.
  const std::vector<TransferPart> apart{part({0}, {6, 15})};
  CHECK(beside(0, apart) == RankList{6, 15});
  CHECK(beside(6, apart) == RankList{0});
  CHECK(beside(15, apart) == RankList{0});
  CHECK(beside(7, apart).empty());
  const std::vector<TransferPart> together{part({0}, {6, 7, 15})};
  CHECK(beside(0, together) == RankList{6});
  CHECK(beside(15, together).empty());
  // Holders take turns, and parts are alike or not.
  CHECK(beside(6, {part({0, 2}, {6, 7})}).empty());
  const std::vector<TransferPart> turns{part({0, 4}, {10, 15}), part({0, 4}, {10, 15}), part({3}, {4})};
  CHECK(beside(0, turns) == RankList{10});
  CHECK(beside(4, turns) == RankList{3, 15});
}

TEST_CASE("in a group with all links there are no others") {
  CHECK(beside(0, {part({0}, {6})}, 7).empty());
}

TEST_CASE("a transfer asks and serves those that it has links to") {
  auto call = std::make_shared<TransferCall>();
  TransferPart one = part({0}, {6, 15});
  one.bytes = 4;
  one.digests.resize(1);
  call->parts = {one};
  call->has = {false};
  SliceTransfer transfer(call, 15, 16, kLayout);
  CHECK(transfer.further_links() == RankList{0});
  CHECK(transfer.senders() == RankList{0, 3, 7, 11, 12, 13, 14});
  CHECK(transfer.waiting_for() == RankList{0});
}

TEST_CASE("who has no holder at hand waits for the receivers") {
  auto call = std::make_shared<TransferCall>();
  TransferPart one = part({0}, {3, 7, 15});
  one.bytes = 4;
  one.digests.resize(1);
  call->parts = {one};
  call->has = {false};
  CHECK(SliceTransfer(call, 15, 16, kLayout).waiting_for() == RankList{3, 7});
  CHECK(SliceTransfer(call, 3, 16, kLayout).waiting_for() == RankList{0});
}

}  // namespace hawser
