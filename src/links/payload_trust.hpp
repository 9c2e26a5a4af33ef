#pragma once

#include "base/frame.hpp"
#include "base/planted_fault.hpp"

namespace hawser {

/// Of one connection: whether payloads may go without a checksum. Both sides decide for themselves.
struct PayloadTrust {
  bool same_machine = false;   ///< Both ends have proven that they share a machine.
  bool sends_checked = false;  ///< This side sends checksums all the same.

  bool goes_unchecked(const FrameHeader& header) const {
    return same_machine && !sends_checked && header.kind == FrameKind::chunk;
  }
  /// What came in without a checksum from elsewhere is not read: the connection is to end.
  bool may_be_read(const FrameHeader& header) const {
    return !header.unchecked || same_machine || planted(PlantedFault::trusted_payload);
  }
};

}  // namespace hawser
