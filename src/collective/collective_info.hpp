#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/frame.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/signature.hpp"

namespace hawser {

/// What a committed collective was.
struct CollectiveInfo {
  OpKey key;
  Signature signature;
  std::vector<PeerId> contributors;  ///< In rank order.
  std::uint32_t rank = 0;
  PlanKind plan = PlanKind::direct;
  std::string plan_reason;  ///< For a person.
  double predicted_seconds = 0;  ///< What the plan was expected to take; 0: nothing was known of the links.
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Duration wait{};      ///< From the call until all members whose chunks come here had called.
  Duration transfer{};  ///< From then until the own result was whole.
  Duration reduce{};    ///< Of all that, in kernels.
  Duration commit{};    ///< From the whole result to the master's commit.
};
}  // namespace hawser
