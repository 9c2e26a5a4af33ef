#include "hostile/slices.hpp"

#include <algorithm>

namespace hawser::hostile {

double steps_in(const std::vector<StepSpan>& steps, const StepSpan& slice) {
  double count = 0;
  for (const StepSpan& step : steps) {
    const std::uint64_t begin = std::max(step.begin_ns, slice.begin_ns);
    const std::uint64_t end = std::min(step.end_ns, slice.end_ns);
    if (begin >= end) continue;
    count += static_cast<double>(end - begin) / static_cast<double>(step.end_ns - step.begin_ns);
  }
  return count;
}

double median_step_ms(const std::vector<StepSpan>& steps, const std::vector<StepSpan>& slices) {
  std::vector<std::uint64_t> took;
  for (const StepSpan& slice : slices)
    for (const StepSpan& step : steps)
      if (step.begin_ns >= slice.begin_ns && step.end_ns <= slice.end_ns) took.push_back(step.end_ns - step.begin_ns);
  if (took.empty()) return 0;
  const auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
  std::ranges::nth_element(took, middle);
  return static_cast<double>(*middle) / 1e6;
}

double longest_step_ms(const std::vector<StepSpan>& steps, const StepSpan& slice) {
  std::uint64_t longest = 0;
  for (const StepSpan& step : steps)
    if (step.begin_ns < slice.end_ns && step.end_ns > slice.begin_ns)
      longest = std::max(longest, step.end_ns - step.begin_ns);
  return static_cast<double>(longest) / 1e6;
}

}  // namespace hawser::hostile
