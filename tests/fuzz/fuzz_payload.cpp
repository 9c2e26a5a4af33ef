// Decompression of payloads, on any bytes and for any length and element. The first byte says whether the bytes are
// what came, or a payload that is compressed, damaged in one place or cut, and decompressed.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/assert.hpp"
#include "fuzz/random_manifest.hpp"
#include "fuzz/script_choices.hpp"
#include "kernels/payload_codec.hpp"

namespace {

using namespace hawser;
using testing::any_number;
using testing::bytes_held;
using testing::Choices;

constexpr std::array<std::size_t, 8> kStrides{0, 1, 2, 3, 4, 8, 16, 255};
// What zstd keeps for each thread, of either kind, and what the allocator rounds up.
constexpr std::size_t kContextBytesMost = 1 << 20;

using Bytes = std::vector<std::byte>;

std::optional<Bytes> decompressed(std::span<const std::byte> from, std::size_t stride, std::size_t length) {
  Bytes to(length, std::byte{0xa5});
  if (!decompress_payload(from, stride, to)) return std::nullopt;
  return to;
}

void check_came(std::span<const std::byte> came, std::size_t stride, std::size_t length) {
  static const std::size_t held_before = bytes_held();
  static std::size_t length_most = 0;
  length_most = std::max(length_most, length);
  const auto content = decompressed(came, stride, length);
  // The scratch keeps the size of the longest payload so far.
  HAWSER_ASSERT(bytes_held() <= held_before + 2 * length_most + kContextBytesMost + 64 * came.size());
  if (!content) return;
  // It is all of the payload and nothing else, for this length only, and today as tomorrow.
  HAWSER_ASSERT(decompressed(came, stride, length) == content);
  HAWSER_ASSERT(!decompressed(came, stride, length + 1));
  HAWSER_ASSERT(length == 0 || !decompressed(came, stride, length - 1));
  HAWSER_ASSERT(!decompressed(came.first(came.size() - 1), stride, length));
  Bytes longer(came.begin(), came.end());
  longer.push_back(std::byte{0});
  HAWSER_ASSERT(!decompressed(longer, stride, length));
  // Bytes that one element size brings forth are as many with any other, in other places.
  auto plain = decompressed(came, 1, length);
  HAWSER_ASSERT(plain.has_value());
  std::sort(plain->begin(), plain->end());
  Bytes sorted = *content;
  std::sort(sorted.begin(), sorted.end());
  HAWSER_ASSERT(*plain == sorted);
}

void check_honest(std::size_t stride, std::size_t damage, std::size_t at, std::span<const std::byte> content) {
  // Whoever compresses gives as much room as pays; here always enough.
  Bytes packed(content.size() + content.size() / 128 + 4096);
  const auto length = compress_payload(content, stride, packed);
  HAWSER_ASSERT(length.has_value() && *length <= packed.size());
  packed.resize(*length);
  const auto back = decompressed(packed, stride, content.size());
  HAWSER_ASSERT(back && std::equal(back->begin(), back->end(), content.begin(), content.end()));
  at %= packed.size();
  if (damage == 0) packed.resize(at);
  packed.resize(std::max<std::size_t>(packed.size(), 1));
  packed[at % packed.size()] ^= static_cast<std::byte>(damage);
  check_came(packed, stride, content.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 5;
  if (size < kHead) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  Choices choices(bytes.first(kHead));
  const bool honest = choices.below(2) == 1;
  const std::size_t stride = kStrides[choices.below(kStrides.size())];
  const std::size_t number = any_number(choices, 2);
  const std::size_t damage = choices.byte();
  if (honest)
    check_honest(stride, damage, number, bytes.subspan(kHead));
  else
    check_came(bytes.subspan(kHead), stride, number << damage % 5);
  return 0;
}
