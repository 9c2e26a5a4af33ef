#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/ids.hpp"

namespace hawser {

enum class Collective : std::uint8_t { all_reduce = 0 };
enum class DataType : std::uint8_t { float32 = 0 };
enum class ReduceOp : std::uint8_t { sum = 0, avg = 1 };
enum class PlanKind : std::uint8_t { automatic = 0, ring = 1, direct = 2 };

/// Bytes of one element.
constexpr std::size_t element_bytes(DataType type) {
  switch (type) {
    case DataType::float32: return 4;
  }
  return 0;
}

/// What all members of a view must call alike.
struct Signature {
  Collective collective = Collective::all_reduce;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  PlanKind plan = PlanKind::automatic;  ///< As asked for, not as chosen.
  std::uint64_t count = 0;
  friend auto operator<=>(const Signature&, const Signature&) = default;
};

/// For a person: "all-reduce of 100 float32, sum".
std::string describe(const Signature& signature);
/// 64 bits that differ when the signature does, for frames.
std::uint64_t fingerprint(const Signature& signature);

/// Names one collective: the how-manieth on its tag in one view.
struct OpKey {
  Epoch epoch;
  ViewId view;
  std::uint64_t tag = 0;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const OpKey&, const OpKey&) = default;
};

}  // namespace hawser
