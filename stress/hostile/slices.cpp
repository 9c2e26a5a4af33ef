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

double longest_step_ms(const std::vector<StepSpan>& steps, const StepSpan& slice) {
  std::uint64_t longest = 0;
  for (const StepSpan& step : steps)
    if (step.begin_ns < slice.end_ns && step.end_ns > slice.begin_ns)
      longest = std::max(longest, step.end_ns - step.begin_ns);
  return static_cast<double>(longest) / 1e6;
}

}  // namespace hawser::hostile
