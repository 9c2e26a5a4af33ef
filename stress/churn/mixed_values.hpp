#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "call_names.hpp"
#include "hawser.h"

namespace hawser::churn {

/// Inputs and results repeat after so many elements: a prime, so that no chunk or block that lands in
/// another's place goes unseen, and the right answer costs little however large the buffer.
inline constexpr std::uint64_t kPatternElements = 4093;

/// What a reduction's values depend on. Every input is a small whole number, so that in each type the result
/// is one bit pattern, in whatever order it was computed.
struct ValueRule {
  std::uint64_t key = 0;
  hawserDataType_t type = hawserFloat32;
  hawserReduceOp_t op = hawserSum;
  std::uint64_t count = 1;
  /// Not empty: element r of the pattern tells whether roster[r] contributed.
  std::span<const std::uint64_t> roster;
};

using Pattern = std::vector<std::byte>;

/// The first elements of a member's input, at most kPatternElements; then they repeat.
Pattern input_pattern(const ValueRule& rule, std::uint64_t peer_id);
/// The same for the result of these contributors.
Pattern result_pattern(const ValueRule& rule, std::span<const std::uint64_t> members);

/// Fills `out` with repetitions of the pattern.
void lay_pattern(std::span<const std::byte> pattern, std::span<std::byte> out);

/// Compares bytes with repetitions of the pattern, of which `skip` bytes came before.
/// Returns the first byte that differs, or bytes.size().
std::size_t first_difference(std::span<const std::byte> pattern, std::span<const std::byte> bytes,
                             std::uint64_t skip = 0);

/// Bit for bit. `offset`: elements of the result that came before these bytes (another rank's share).
/// Returns "" or a sentence about the first wrong element.
std::string verify_exact(const ValueRule& rule, std::span<const std::uint64_t> members,
                         std::span<const std::byte> result, std::uint64_t offset = 0);

/// How far a quantised result may be from the right one. Inputs lie between -8 and 8, so a partial sum of k
/// lies within 8k. With c the error of quantising once, relative to that amplitude and doubled for random
/// rounding, a ring of n members adds up to 8c(1 + ... + n); the direct plan less. A quarter more for partial
/// sums that the error itself makes larger; with error feedback, what is owed from the last call comes on
/// top. Averages: the same over n. And the rounding of 16-bit types. Marks of averages are 64 instead of 8.
double tolerance_of(const ValueRule& rule, const hawserQuantization_t& quantization, std::size_t members,
                    bool residual);

/// Returns "" or a sentence about the first element that is further off.
std::string verify_near(const ValueRule& rule, std::span<const std::uint64_t> members,
                        std::span<const std::byte> result, double tolerance, std::uint64_t offset = 0);

/// What is known beforehand about the contributors of a result.
struct ContributorBounds {
  std::uint64_t self = 0;  ///< Is one of them.
  std::size_t least = 2;
  std::size_t most = 0;
};

/// Who contributed, read from a result of a rule with a roster. Members whose element the result is too short
/// to hold are tried out. Returns the contributors with which the whole result is right, in roster order, or
/// none if there are no such; nothing if too many would have to be tried out.
std::optional<std::vector<std::uint64_t>> read_contributors(const ValueRule& rule,
                                                            std::span<const std::byte> result,
                                                            const ContributorBounds& bounds);

}  // namespace hawser::churn
