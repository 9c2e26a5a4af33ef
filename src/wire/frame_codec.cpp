#include "wire/frame_codec.hpp"

#include <string>

#include "base/limits.hpp"
#include "wire/byte_order.hpp"
#include "wire/magic.hpp"
#include "wire/refused.hpp"

namespace hawser {
namespace {

constexpr std::uint16_t kCompressedFlag = 1;
constexpr std::uint16_t kUncheckedFlag = 2;

}  // namespace

void encode_frame_header(const FrameHeader& header, std::uint64_t payload_checksum,
                         std::span<std::byte, kFrameHeaderBytes> out) {
  HAWSER_ASSERT(header.payload_bytes <= limits::kFramePayloadBytesMax);
  HAWSER_ASSERT(header.payload_bytes == 0 || header.kind == FrameKind::chunk);
  FieldWriter writer(out);
  writer.bytes(kFrameMagic);
  writer.u8(static_cast<std::uint8_t>(header.kind));
  writer.u8(static_cast<std::uint8_t>(header.direction));
  writer.u16(static_cast<std::uint16_t>((header.compressed ? kCompressedFlag : 0) |
                                        (header.unchecked ? kUncheckedFlag : 0)));
  writer.u32(header.payload_bytes);
  writer.u32(0);
  writer.u64(header.key.view.value);
  writer.u64(header.key.epoch.value);
  writer.u64(header.key.tag);
  writer.u64(header.key.sequence);
  writer.u64(header.signature);
  writer.u64(header.chunk);
  writer.u64(header.count);
  writer.u64(payload_checksum);
  writer.u64(checksum(writer.written()));
  HAWSER_ASSERT(writer.written().size() == kFrameHeaderBytes);
}

Result<DecodedFrame> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> in) {
  if (const auto magic = check_magic(in, kFrameMagic); !magic.ok()) return magic.error();
  FieldReader reader(in);
  reader.skip(kFrameMagic.size());
  const std::uint8_t kind = reader.u8();
  const std::uint8_t direction = reader.u8();
  const std::uint16_t flags = reader.u16();
  const std::uint32_t payload_bytes = reader.u32();
  const std::uint32_t reserved_32 = reader.u32();
  DecodedFrame decoded;
  FrameHeader& header = decoded.header;
  header.key.view.value = reader.u64();
  header.key.epoch.value = reader.u64();
  header.key.tag = reader.u64();
  header.key.sequence = reader.u64();
  header.signature = reader.u64();
  header.chunk = reader.u64();
  header.count = reader.u64();
  decoded.payload_checksum = reader.u64();
  const std::uint64_t expected = checksum(reader.taken());
  if (reader.u64() != expected) return refused("a data frame's header has a wrong checksum");

  if (kind < static_cast<std::uint8_t>(FrameKind::chunk) ||
      kind > static_cast<std::uint8_t>(FrameKind::invitation))
    return refused("a data frame is of unknown kind " + std::to_string(kind));
  if (direction > static_cast<std::uint8_t>(Direction::down))
    return refused("a data frame goes in unknown direction " + std::to_string(direction));
  if (reserved_32 != 0) return refused("a data frame's reserved bytes are not zero");
  if ((flags & ~(kCompressedFlag | kUncheckedFlag)) != 0) return refused("a data frame has unknown flags");
  if (payload_bytes > limits::kFramePayloadBytesMax)
    return refused("a data frame announces " + std::to_string(payload_bytes) + " bytes of payload; " +
                   std::to_string(limits::kFramePayloadBytesMax) + " are the most");
  header.kind = static_cast<FrameKind>(kind);
  header.direction = static_cast<Direction>(direction);
  header.payload_bytes = payload_bytes;
  header.compressed = (flags & kCompressedFlag) != 0;
  header.unchecked = (flags & kUncheckedFlag) != 0;
  if (payload_bytes != 0 && header.kind != FrameKind::chunk)
    return refused("a control frame announces " + std::to_string(payload_bytes) +
                   " bytes of payload; it must have none");
  if (flags != 0 && header.kind != FrameKind::chunk)
    return refused("a control frame must not set payload flags");
  return decoded;
}

}  // namespace hawser
