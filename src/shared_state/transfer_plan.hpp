#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shared_state/election.hpp"
#include "shared_state/manifest.hpp"

/// Who sends which slice (kernels/content_digest.hpp: 1 MiB) to whom, so that what is missing spreads
/// without one member carrying it all. A holder sends each slice to one of its receivers, the relay, and
/// the relay to all others that miss it: so all holders together send one copy, and the receivers share the
/// other copies. The next slice goes to whoever has least to send so far, in bytes, the lowest rank among
/// equals; a member's sending as holder and as relay counts together. With R receivers and H holders of S
/// bytes, each holder sends S / H and each receiver S (R - 1) / R, give or take a slice.
///
/// Pure functions: every member computes the same plan from the same demands.
namespace hawser {

struct SliceReceiver {
  std::uint32_t rank = 0;
  /// Which slices it has already, verified, from an attempt that broke off. Empty: none.
  std::vector<bool> has;
};

/// A tensor that somebody lacks.
struct TransferDemand {
  std::uint32_t tensor = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> holders;    ///< Ascending; at least one.
  std::vector<SliceReceiver> receivers;  ///< Ascending by rank; none of them a holder.
};

/// What an election asks for, with nothing received yet. `shape`: any member's manifest.
std::vector<TransferDemand> demands_of(const Election& election, const Manifest& shape);

struct SliceRoute {
  std::uint32_t tensor = 0;
  std::uint64_t slice = 0;
  std::uint64_t bytes = 0;
  std::uint32_t source = 0;         ///< A holder: sends to the relay.
  std::uint32_t relay = 0;          ///< Receives from the source, sends to each of the rest.
  std::vector<std::uint32_t> rest;  ///< The other receivers that miss the slice, ascending.
  friend bool operator==(const SliceRoute&, const SliceRoute&) = default;
};

/// Every slice that somebody misses, once, in order of the demands and of the slices.
class TransferPlan {
 public:
  /// Takes 24 bytes for each slice, and time in proportion to slices times receivers.
  explicit TransferPlan(std::vector<TransferDemand> demands);

  std::size_t size() const { return steps_.size(); }
  SliceRoute route(std::size_t index) const;

 private:
  struct Step {
    std::uint64_t slice;
    std::uint32_t demand;
    std::uint32_t source;
    std::uint32_t relay;
  };

  std::vector<TransferDemand> demands_;
  std::vector<Step> steps_;
};

}  // namespace hawser
