#include "sim/expected_result.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sim/typed_values.hpp"
#include "sim/user_buffers.hpp"

namespace hawser::sim {
namespace {

/// Steps from the smallest to the largest value of a group.
double levels(const Quantization& quantization) {
  switch (quantization.type) {
    case QuantizedType::uint8:
    case QuantizedType::int8: return quantization.scheme == QuantizationScheme::blockwise ? 127 : 255;
    case QuantizedType::uint16: return 65535;
    case QuantizedType::int4: return 7;
    case QuantizedType::bfloat16: return 128;
    case QuantizedType::float16: return 1024;
  }
  return 1;
}

/// What one member may owe from an earlier call, in a view of 20 at most and with the coarsest scheme, whatever this
/// one has. find_unsettled() is who looks closely.
constexpr double kOwedMax = 1.2 * 16 * 20 / 7;

/// Of a result, relative.
double rounding_of(DataType type) {
  return type == DataType::bfloat16 ? 1.0 / 128 : type == DataType::float16 ? 1.0 / 1024 : 1e-5;
}

/// Each member quantises once, values of up to 16 for each member, and is off by a step at most. The arithmetic and the
/// elements' own type round as well.
double bound_of(const Signature& signature, double members) {
  if (!signature.quantization) return 0;
  return 1.2 * members * 16 * members / levels(signature.quantization) + 16 * members * rounding_of(signature.type);
}

}  // namespace

ExpectedResult::ExpectedResult(const Signature& signature, std::span<const std::uint64_t> salts, bool has_feedback)
    : signature_(signature),
      members_(static_cast<double>(salts.size())),
      bound_(bound_of(signature, members_) + (has_feedback ? members_ * kOwedMax : 0)) {
  const auto count = static_cast<std::size_t>(signature.count);
  switch (signature.collective) {
    case Collective::barrier: return;
    case Collective::broadcast:
      values_.resize(count);
      contributions(salts[signature.root], values_);
      break;
    case Collective::all_gather:
      values_.resize(count * salts.size());
      for (std::size_t rank = 0; rank < salts.size(); ++rank)
        contributions(salts[rank], std::span(values_).subspan(rank * count, count));
      break;
    default:
      values_.resize(count * (signature.collective == Collective::reduce_scatter ? salts.size() : 1));
      reduce_contributions(signature, salts, values_);
      break;
  }
  exact_.resize(values_.size() * element_bytes(signature.type));
  store_all(signature.type, exact_.data(), values_);
}

std::optional<ExpectedResult::Wrong> ExpectedResult::find_wrong(std::span<const std::byte> result,
                                                                std::uint64_t first) const {
  const std::size_t element = element_bytes(signature_.type);
  const auto begin = static_cast<std::size_t>(first);
  if (result.size() % element != 0 || begin * element + result.size() > exact_.size())
    return Wrong{.element = exact_.size() / element};
  const std::byte* const exact = exact_.data() + begin * element;
  if (result.empty() || std::memcmp(result.data(), exact, result.size()) == 0) return std::nullopt;
  for (std::size_t i = 0; i < result.size() / element; ++i) {
    const double right = values_[begin + i];
    const double got = load(signature_.type, result.data() + i * element);
    const bool good = is_exact() ? std::memcmp(result.data() + i * element, exact + i * element, element) == 0
                                 : std::abs(got - right) <= bound_;
    if (!good) return Wrong{.element = i, .got = got, .right = right};
  }
  return std::nullopt;
}

std::optional<ExpectedResult::Wrong> ExpectedResult::find_unsettled(std::span<const std::byte> result,
                                                                    std::span<const double> settled) const {
  const std::size_t element = element_bytes(signature_.type);
  const double scale = signature_.op == ReduceOp::avg ? members_ : 1;
  for (std::size_t i = 0; i < settled.size(); ++i) {
    const double right = values_[i] + settled[i] / scale;
    const double got = load(signature_.type, result.data() + i * element);
    // A mean of values_ is rounded to the type already.
    const double bound = 3 * (std::abs(right) + 16) * rounding_of(signature_.type);
    if (!(std::abs(got - right) <= bound)) return Wrong{.element = i, .got = got, .right = right};
  }
  return std::nullopt;
}

}  // namespace hawser::sim
