// Data frame header, link greeting and its answer, on any bytes. The first byte says which, and whether the
// checksum is put right first, so that what lies behind it is reached.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "fuzz/refusal.hpp"
#include "wire/byte_order.hpp"
#include "wire/checksum.hpp"
#include "wire/frame_codec.hpp"
#include "wire/link_greeting.hpp"

namespace {

using namespace hawser;
using testing::check_refusal;

template <std::size_t kBytes>
std::array<std::byte, kBytes> taken(std::span<const std::byte> from, bool with_right_checksum) {
  std::array<std::byte, kBytes> bytes{};
  std::copy_n(from.begin(), std::min(from.size(), kBytes), bytes.begin());
  if (with_right_checksum) {
    constexpr std::size_t kAt = kBytes - sizeof(std::uint64_t);
    FieldWriter(std::span(bytes).subspan(kAt)).u64(checksum(std::span(bytes).first(kAt)));
  }
  return bytes;
}

void check_frame(const std::array<std::byte, kFrameHeaderBytes>& bytes) {
  const auto decoded = decode_frame_header(bytes);
  if (!decoded.ok()) return check_refusal(decoded.error());
  HAWSER_ASSERT(decoded->header.payload_bytes <= limits::kFramePayloadBytesMax);
  // A header that is taken is one that an honest sender writes: byte for byte.
  std::array<std::byte, kFrameHeaderBytes> again;
  encode_frame_header(decoded->header, decoded->payload_checksum, again);
  HAWSER_ASSERT(again == bytes);
}

void check_greeting(const std::array<std::byte, kGreetingBytes>& bytes) {
  const auto decoded = decode_greeting(bytes);
  if (!decoded.ok()) return check_refusal(decoded.error());
  HAWSER_ASSERT(check_greeting_start(bytes).ok());
  HAWSER_ASSERT(encode_greeting(*decoded) == bytes);
}

void check_answer(const std::array<std::byte, kGreetingAnswerBytes>& bytes) {
  const auto decoded = decode_greeting_answer(bytes);
  if (!decoded.ok()) return check_refusal(decoded.error());
  HAWSER_ASSERT(encode_greeting_answer(decoded->answer, decoded->machine_proof) == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto choice = std::to_integer<unsigned>(bytes.front());
  const auto rest = bytes.subspan(1);
  const bool with_right_checksum = choice % 2 == 0;
  switch (choice / 2 % 3) {
    case 0: check_frame(taken<kFrameHeaderBytes>(rest, with_right_checksum)); break;
    case 1: check_greeting(taken<kGreetingBytes>(rest, with_right_checksum)); break;
    default: check_answer(taken<kGreetingAnswerBytes>(rest, with_right_checksum)); break;
  }
  if (const auto start = check_greeting_start(rest); !start.ok()) check_refusal(start.error());
  return 0;
}
