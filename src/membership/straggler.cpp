#include "membership/straggler.hpp"

#include <algorithm>

namespace hawser {
namespace {

struct SlowEnds {
  std::size_t links = 0;
  std::uint64_t percents = 0;
  std::vector<bool> with;  ///< By rank.
};

}  // namespace

std::optional<Straggler> find_straggler(const View& view, const std::map<PeerId, FlowReport>& reports,
                                        std::uint32_t ratio_percent) {
  std::vector<SlowEnds> ends(view.size());
  for (SlowEnds& end : ends) end.with.resize(view.size());
  std::size_t slow = 0;
  for (const auto& [sender, report] : reports)
    for (const Flow& flow : report.flows) {
      const auto from = view.rank_of(sender);
      const auto to = view.rank_of(flow.to);
      if (!from || !to || *from == *to || flow.percent >= ratio_percent) continue;
      ++slow;
      for (const auto& [rank, other] : {std::pair(*from, *to), std::pair(*to, *from)}) {
        ++ends[rank].links;
        ends[rank].percents += flow.percent;
        ends[rank].with[other] = true;
      }
    }
  const auto worst =
      std::max_element(ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.links < b.links; });
  if (slow == 0 || worst->links * 4 < slow * 3) return std::nullopt;
  if (std::count_if(ends.begin(), ends.end(), [&](const auto& one) { return one.links == worst->links; }) > 1)
    return std::nullopt;
  const auto others = static_cast<std::size_t>(std::count(worst->with.begin(), worst->with.end(), true));
  if (others < 2) return std::nullopt;
  Straggler found{.member = view.members[static_cast<std::size_t>(worst - ends.begin())],
                  .percent = static_cast<std::uint32_t>(worst->percents / worst->links),
                  .slow_with = {}};
  for (std::size_t rank = 0; rank < worst->with.size(); ++rank)
    if (worst->with[rank]) found.slow_with.push_back(view.members[rank].id);
  return found;
}

}  // namespace hawser
