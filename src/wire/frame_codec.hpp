#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/frame.hpp"
#include "base/result.hpp"
#include "wire/checksum.hpp"

/// The header of every data frame. docs/protocol.md has the layout.
namespace hawser {

inline constexpr std::size_t kFrameHeaderBytes = 88;

/// Writes the header. `payload_checksum` is checksum() of the payload, that of no bytes where there is none;
/// 0 where the header says unchecked.
void encode_frame_header(const FrameHeader& header, std::uint64_t payload_checksum,
                         std::span<std::byte, kFrameHeaderBytes> out);

struct DecodedFrame {
  FrameHeader header;
  std::uint64_t payload_checksum = 0;  ///< As promised: the reader of the payload compares.
};

/// Reads a header. Errors: refused, where magic, checksum or any field is not what an honest sender writes;
/// the connection is worth nothing then.
Result<DecodedFrame> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> in);

}  // namespace hawser
