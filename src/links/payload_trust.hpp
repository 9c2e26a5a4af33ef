#pragma once

#include "base/frame.hpp"
#include "base/planted_fault.hpp"

namespace hawser {

/// Of one connection: whether payloads may go without a checksum. Both sides decide for themselves.
struct PayloadTrust {
  bool same_machine = false;   ///< Both ends have proven that they share a machine.
  bool sends_checked = false;  ///< This side sends checksums to its own machine all the same.
  bool is_encrypted = false;   ///< Under TLS, whose tags find more than a checksum does.

  bool goes_unchecked(const FrameHeader& header) const {
    return (is_encrypted || (same_machine && !sends_checked)) && header.kind == FrameKind::chunk;
  }
  /// What came in without a checksum from elsewhere is not read: the connection is to end.
  bool may_be_read(const FrameHeader& header) const {
    return !header.unchecked || is_encrypted || same_machine || planted(PlantedFault::trusted_payload);
  }
};

}  // namespace hawser
