#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hawser.h"

namespace hawser::churn {

/// A tensor of the workers' shared state.
struct StateTensorSpec {
  std::string name;
  hawserDataType_t type = hawserFloat32;
  std::uint64_t count = 0;
  bool may_differ = false;  ///< Between members of one revision.
  bool ballast = false;     ///< Holds what BallastRule says.

  std::uint64_t bytes() const;
};

/// Places of the tensors that mean something.
enum StateTensorPlace : std::size_t { kWeightsTensor, kVelocityTensor, kProgressTensor, kLocalTensor };

/// Weights and what the optimiser keeps of each, where the training stands, a member's own number, and
/// `ballast_bytes` more: one tensor with three quarters of them, one with most of the rest, eight tiny ones
/// and one without elements.
std::vector<StateTensorSpec> state_tensors(std::uint64_t weights, std::uint64_t ballast_bytes);

/// What ballast holds: a pure function of where the training began and how many steps it has come, so that it
/// is known without having been received. A tensor is cut into stretches, which take turns: each step writes
/// one of each tensor anew.
struct BallastRule {
  std::uint64_t origin = 0;
  std::size_t tensor = 0;
  bool compressible = false;
};

inline constexpr std::uint64_t kStretchBytes = 128 << 10;

/// Writes the stretch whose turn it is in this step; the whole of it in step 0.
void write_ballast(const BallastRule& rule, std::uint64_t step, std::span<std::byte> tensor);
/// Writes all as it is after that step.
void fill_ballast(const BallastRule& rule, std::uint64_t step, std::span<std::byte> tensor);
/// The first byte that is not what it must be after that step.
std::optional<std::size_t> find_wrong_ballast(const BallastRule& rule, std::uint64_t step,
                                              std::span<const std::byte> tensor);

}  // namespace hawser::churn
