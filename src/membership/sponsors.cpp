#include "membership/sponsors.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/random.hpp"

namespace hawser {
namespace {

/// The lowest are sponsors.
std::pair<std::uint64_t, PeerId> lot_of(PeerId member, PeerId newcomer) {
  return {Random(Random(newcomer.value).next() ^ member.value).next(), member};
}

}  // namespace

std::vector<Member> sponsors_of(const LinkLayout& layout, const std::vector<Member>& members, PeerId newcomer) {
  std::vector<std::pair<std::pair<std::uint64_t, PeerId>, const Member*>> lots;
  for (const Member& member : members) lots.emplace_back(lot_of(member.id, newcomer), &member);
  const auto count = static_cast<std::ptrdiff_t>(std::min<std::size_t>(layout.sponsors, lots.size()));
  std::partial_sort(lots.begin(), lots.begin() + count, lots.end());
  std::vector<Member> sponsors;
  for (auto lot = lots.begin(); lot != lots.begin() + count; ++lot) sponsors.push_back(*lot->second);
  return sponsors;
}

bool is_sponsor(const LinkLayout& layout, const std::vector<Member>& members, PeerId member, PeerId newcomer) {
  const auto own = lot_of(member, newcomer);
  const auto before = std::count_if(members.begin(), members.end(),
                                    [&](const Member& other) { return lot_of(other.id, newcomer) < own; });
  return static_cast<std::size_t>(before) < layout.sponsors;
}

}  // namespace hawser
