#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/data_type.hpp"
#include "base/ids.hpp"
#include "base/quantization.hpp"

namespace hawser {

/// What a call does with the elements. All of them are cuts of one plan: partial sums climb to the roots, or
/// results descend from them, or both.
enum class Collective : std::uint8_t {
  all_reduce = 0,
  broadcast = 1,       ///< The root's values go to everybody.
  all_gather = 2,      ///< Everybody's values go to everybody, in rank order.
  reduce_scatter = 3,  ///< Each rank gets its share of the sum.
  barrier = 4,         ///< No elements: everybody has come.
  transfer = 5,        ///< Slices of a shared state go to whoever lacks them; `count` of them, by demand.
  optimize = 6,        ///< Optimize-topology: links are probed, with `count` bytes each at most. No elements.
};
/// Whether partial sums climb.
constexpr bool reduces(Collective collective) {
  return collective == Collective::all_reduce || collective == Collective::reduce_scatter;
}

/// Whether somebody who has the whole result knows by that that everybody has called.
constexpr bool whole_means_all_called(Collective collective) {
  return collective != Collective::broadcast && collective != Collective::barrier &&
         collective != Collective::transfer;
}

/// What a collective is called for.
enum class Purpose : std::uint8_t {
  application = 0,
  shared_state = 1,  ///< A step of a shared-state synchronisation.
};

enum class PlanKind : std::uint8_t { automatic = 0, ring = 1, direct = 2, hierarchical = 3 };

/// What all members of a view must call alike.
struct Signature {
  Collective collective = Collective::all_reduce;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  PlanKind plan = PlanKind::automatic;  ///< As asked for, not as chosen.
  std::uint64_t count = 0;              ///< All-gather and reduce-scatter: of one rank's share.
  std::uint32_t root = 0;               ///< Rank, of a broadcast; else 0.
  Quantization quantization;
  Purpose purpose = Purpose::application;
  /// The version of the measured links that the plan is made from. All have the same, or the plans would differ.
  std::uint64_t measures = 0;
  friend auto operator<=>(const Signature&, const Signature&) = default;
};

/// For a person: "all-reduce of 100 float32, sum, min_max to uint8".
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

/// Names a message from one peer to another: the how-manieth on its tag. Of no view: it outlives those.
inline OpKey message_key(std::uint64_t tag, std::uint64_t sequence) {
  return {.epoch = Epoch{1}, .view = {}, .tag = tag, .sequence = sequence};
}
/// In what the receiver says of it: messages both ways may have the same numbers.
inline OpKey message_key_of_receiver(OpKey key) {
  key.epoch = Epoch{2};
  return key;
}
inline bool is_message(const OpKey& key) {
  return key.view == ViewId{} && (key.epoch == Epoch{1} || key.epoch == Epoch{2});
}

}  // namespace hawser
