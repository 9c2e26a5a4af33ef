#include "shared_state/transfer_links.hpp"

#include <numeric>
#include <set>
#include <utility>

#include "base/planted_fault.hpp"

namespace hawser {
namespace {

/// Sets of rows and columns that members connect.
class Islands {
 public:
  explicit Islands(std::uint32_t lines) : above_(lines) { std::iota(above_.begin(), above_.end(), 0U); }
  std::uint32_t of(std::uint32_t line) {
    while (above_[line] != line) line = above_[line] = above_[above_[line]];
    return line;
  }
  void connect(std::uint32_t a, std::uint32_t b) { above_[of(a)] = of(b); }

 private:
  std::vector<std::uint32_t> above_;
};

}  // namespace

std::vector<std::uint32_t> links_beside(const LinkLayout& layout, std::uint32_t members, std::uint32_t rank,
                                        const std::vector<TransferPart>& parts) {
  if (layout.has_all_links(members) || planted(PlantedFault::lonely_receiver)) return {};
  std::set<std::uint32_t> beside;
  std::set<std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>>> known;
  for (const TransferPart& part : parts) {
    if (!known.emplace(part.holders, part.receivers).second) continue;
    // A member stands where its row and its column cross.
    const std::uint32_t rows = (members - 1) / layout.width + 1;
    Islands islands(rows + layout.width);
    const auto column = [&](std::uint32_t one) { return rows + one % layout.width; };
    for (const auto* const ranks : {&part.holders, &part.receivers})
      for (const std::uint32_t one : *ranks) islands.connect(one / layout.width, column(one));
    std::set<std::uint32_t> served;
    for (const std::uint32_t holder : part.holders) served.insert(islands.of(column(holder)));
    std::size_t linked = 0;
    for (const std::uint32_t receiver : part.receivers) {
      if (!served.insert(islands.of(column(receiver))).second) continue;
      const std::uint32_t holder = part.holders[linked++ % part.holders.size()];
      if (receiver == rank) beside.insert(holder);
      if (holder == rank) beside.insert(receiver);
    }
  }
  return {beside.begin(), beside.end()};
}

}  // namespace hawser
