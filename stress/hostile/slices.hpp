#pragma once

#include <cstdint>
#include <vector>

namespace hawser::hostile {

/// From one moment to another, of a clock that all processes of the machine share.
struct StepSpan {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
};

/// Steps of one member, each from its beginning to its end, in order. A step that lies across the border of a slice
/// counts for each side by its share, so that short slices compare.
double steps_in(const std::vector<StepSpan>& steps, const StepSpan& slice);
/// The median of the steps that are wholly in the slice, in milliseconds; 0: there is none.
double median_step_ms(const std::vector<StepSpan>& steps, const std::vector<StepSpan>& slices);
/// The longest step of which some part lies in the slice, in milliseconds.
double longest_step_ms(const std::vector<StepSpan>& steps, const StepSpan& slice);

}  // namespace hawser::hostile
