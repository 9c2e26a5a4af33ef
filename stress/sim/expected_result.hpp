#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/signature.hpp"

namespace hawser::sim {

/// What a collective must come to: follows from what its contributors put in (contribution(), by their salts).
class ExpectedResult {
 public:
  /// `salts`: of the contributors, by rank. With error feedback, quantised results also hold what earlier calls owed.
  ExpectedResult(const Signature& signature, std::span<const std::uint64_t> salts, bool has_feedback = false);

  struct Wrong {
    std::uint64_t element = 0;  ///< In the result that was looked at.
    double got = 0;
    double right = 0;
  };
  /// Looks at a result that begins with this element of the whole one. Exact, bit for bit, but for quantised ones:
  /// each member's rounding is at most a step of its scheme. None where all is right.
  std::optional<Wrong> find_wrong(std::span<const std::byte> result, std::uint64_t first) const;
  /// Looks at the whole result of a quantised sum or mean with error feedback. `settled`: what all members owed before
  /// less what they owe after, which is in the result or the other way round; to the rounding of the arithmetic.
  std::optional<Wrong> find_unsettled(std::span<const std::byte> result, std::span<const double> settled) const;
  /// Equal results have equal bits, by find_wrong() alone.
  bool is_exact() const { return bound_ == 0; }

 private:
  Signature signature_;
  std::vector<double> values_;
  std::vector<std::byte> exact_;  ///< The values as elements.
  double members_ = 0;
  double bound_ = 0;              ///< How far a quantised element may be off.
};

}  // namespace hawser::sim
