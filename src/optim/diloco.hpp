#pragma once

#include <cstddef>
#include <cstdint>

#include "base/data_type.hpp"
#include "base/result.hpp"
#include "kernels/reduce.hpp"

/// The arithmetic of the DiLoCo family (Douillard et al. 2023, arXiv 2311.08105), element by element, on
/// memory of the caller. docs/optim.md has the algorithms that are made of it.
///
/// Inner parameters are what a model trains: float32, float64, bfloat16 or float16, the inner type. Outer
/// ones, and all that goes with them (momentum, pseudo-gradients), are of working_type(inner type): float64
/// for float64, else float32. All arithmetic is in that type; 16-bit floats are widened first and rounded
/// last.
///
/// Every implementation gives the same bits (NaN payloads apart) on every machine: IEEE operations as the
/// formulas' brackets say, each rounded to nearest even, nothing fused, denormals kept. Factors are rounded
/// to the working type once, at the beginning. A tensor may be worked on in pieces, with the same result.
///
/// Everywhere: `count` elements at any alignment. Memory that is written shares none with other arguments,
/// unless said. Nothing here blocks or allocates; safe from any thread.
namespace hawser {

/// delta = (outer - inner) * scale. `delta` may be `outer`, or `inner` if that is of the same type.
void pseudo_gradient(DataType inner_type, std::byte* delta, const std::byte* outer, const std::byte* inner,
                     std::uint64_t count, double scale);

struct Ratio {
  double multiplier = 1;
  double divisor = 1;
};
/// values = (values * multiplier) / divisor; `type` is float32 or float64.
void scale(DataType type, std::byte* values, std::uint64_t count, const Ratio& by);

/// How torch.optim.SGD without dampening and weight decay calls it.
struct OuterStep {
  double learning_rate = 0.7;
  double momentum = 0.9;
  bool nesterov = true;
};
/// What a step works on, all of one type, float32 or float64.
struct OuterTensor {
  std::byte* outer = nullptr;
  std::byte* momentum = nullptr;  ///< Neither read nor written if step.momentum is 0.
  const std::byte* delta = nullptr;
};
/// With momentum:     momentum = (step.momentum * momentum) + delta
///                    d = nesterov ? delta + (step.momentum * momentum) : momentum
/// without:           d = delta
/// and then:          outer = outer - (learning_rate * d)
void outer_step(DataType type, const OuterTensor& tensor, std::uint64_t count, const OuterStep& step);

/// Fills it with -0: the first step then makes it `delta`, to the last bit, as PyTorch's first step does.
/// (After +0 it would be `delta` but for the sign of zeros.)
void clear_momentum(DataType type, std::byte* momentum, std::uint64_t count);

/// local = (alpha * local) + ((1 - alpha) * global), with 1 - alpha in float64 before it is rounded. A side
/// whose factor is 0 is not read: alpha 0 makes `local` the rounded `global` (a copy where it is of the same
/// type), alpha 1 leaves it alone.
void mix(DataType inner_type, std::byte* local, const std::byte* global, std::uint64_t count, double alpha);

/// The two factors of mix(), rounded to the working type.
struct MixFactors {
  double of_local = 0;
  double of_global = 0;
};
MixFactors mix_factors(DataType inner_type, double alpha);

/// local = local + (a - b), where a and b are of the working type.
void add_difference(DataType inner_type, std::byte* local, const std::byte* a, const std::byte* b,
                    std::uint64_t count);

/// Whether the functions above take these numbers, which must be finite in the working type; they assert it.
/// A learning rate or momentum is not negative, and Nesterov needs a momentum above 0; alpha is from 0 to 1;
/// a divisor is not 0. Errors: invalid_argument.
Result<void> check_factor(DataType type, double factor, const char* name);
Result<void> check_step(DataType type, const OuterStep& step);
Result<void> check_ratio(DataType type, const Ratio& ratio);
Result<void> check_alpha(double alpha);

}  // namespace hawser
