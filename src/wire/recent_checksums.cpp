#include "wire/recent_checksums.hpp"

#include "wire/checksum.hpp"

namespace hawser {

std::uint64_t RecentChecksums::of(const FrameHeader& header, std::span<const std::byte> payload) {
  Entry& entry = entries_[header.chunk % kEntries];
  const bool known = entry.payload_bytes != 0 && entry.payload_bytes == header.payload_bytes &&
                     entry.chunk == header.chunk && entry.key == header.key;
  if (!known)
    entry = {.key = header.key,
             .chunk = header.chunk,
             .payload_bytes = header.payload_bytes,
             .value = checksum(payload)};
  return entry.value;
}

}  // namespace hawser
