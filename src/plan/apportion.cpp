#include "plan/apportion.hpp"

#include <algorithm>
#include <numeric>

namespace hawser {

std::vector<std::uint32_t> apportion(const Shares& shares, std::uint32_t slots) {
  std::vector<std::uint32_t> counts;
  std::vector<double> remainders;
  std::uint32_t given = 0;
  for (const double share : shares) {
    const double exact = share * slots;
    // Shares that add up to a little more than 1 must not give more than there is.
    counts.push_back(std::min(static_cast<std::uint32_t>(exact), slots - given));
    remainders.push_back(exact - counts.back());
    given += counts.back();
  }
  std::vector<std::uint32_t> by_remainder(shares.size());
  std::iota(by_remainder.begin(), by_remainder.end(), 0U);
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return remainders[a] > remainders[b]; });
  for (std::size_t next = 0; given < slots; next = (next + 1) % by_remainder.size(), ++given)
    ++counts[by_remainder[next]];
  return counts;
}

std::vector<std::uint32_t> interleave(const std::vector<std::uint32_t>& counts) {
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::vector<std::int64_t> due(counts.size());
  std::vector<std::uint32_t> sequence;
  while (static_cast<std::int64_t>(sequence.size()) < total) {
    for (std::size_t i = 0; i < counts.size(); ++i) due[i] += counts[i];
    const auto next = std::max_element(due.begin(), due.end()) - due.begin();
    due[static_cast<std::size_t>(next)] -= total;
    sequence.push_back(static_cast<std::uint32_t>(next));
  }
  return sequence;
}

}  // namespace hawser
