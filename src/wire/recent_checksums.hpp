#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/frame.hpp"

namespace hawser {

/// Checksums of results that go to several peers, so that each is computed once. Only for payloads that are the same
/// for all who get this chunk of this collective. Not thread-safe.
class RecentChecksums {
 public:
  /// The payload's checksum, computed now or remembered.
  std::uint64_t of(const FrameHeader& header, std::span<const std::byte> payload);
  /// To be called when a connection broke. If a payload was changed after its checksum was made, against the contract,
  /// the next one is right.
  void forget() { entries_ = {}; }

 private:
  struct Entry {
    OpKey key;
    std::uint64_t chunk = 0;
    std::uint32_t payload_bytes = 0;  ///< 0: none.
    std::uint64_t value = 0;
  };
  static constexpr std::size_t kEntries = 256;
  std::array<Entry, kEntries> entries_{};
};

}  // namespace hawser
