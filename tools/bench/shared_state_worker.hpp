#pragma once

#include <cstdint>
#include <hawser/hawser.hpp>
#include <optional>
#include <string>

#include "bench/options.hpp"

namespace hawser::bench {

/// One synchronisation at one member, as its worker says it and the bench reads it.
struct MemberSync {
  std::uint32_t round = 0;
  std::uint32_t rank = 0;
  double ms = 0;  ///< From the call to its return.
  double digest_ms = 0, agree_ms = 0, transfer_ms = 0;
  double read_ms = 0;  ///< One plain reading of the state, if the group is to do that, else 0.
  double cpu_s = 0;
  std::uint64_t sent_bytes = 0, fetched_bytes = 0, again_bytes = 0;
  std::uint64_t peak_bytes = 0;  ///< Resident beyond what was so before the first one.
  std::uint32_t sources = 0;
  std::uint32_t attempts = 0;
  std::string digest;
  bool right = true;  ///< The content is the one meant.

  void say() const;
  static std::optional<MemberSync> parse(const std::string& line);
};

/// A worker's part in a measurement of shared state: says a MemberSync for each round.
Result<void> share_state(Communicator& comm, const SharedStateGroup& group, std::uint32_t rank);

}  // namespace hawser::bench
