// Manifests of shared state and their summaries, on any bytes; the first one says which. A third kind writes what an
// honest member may say, and changes at most one byte of it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/assert.hpp"
#include "fuzz/random_manifest.hpp"
#include "fuzz/refusal.hpp"
#include "fuzz/script_choices.hpp"
#include "shared_state/manifest.hpp"

namespace {

using namespace hawser;
using testing::bytes_held;
using testing::check_refusal;
using testing::Choices;

// A tensor of 22 bytes may repeat a name of 255 from the one before; a growing vector has room for twice as much.
constexpr std::size_t kHeldPerByteMost = 32;
constexpr std::size_t kHeldMost = 8 << 10;

void check_manifest(std::span<const std::byte> bytes) {
  const std::size_t held_before = bytes_held();
  const auto decoded = decode_manifest(bytes);
  HAWSER_ASSERT(bytes_held() <= held_before + kHeldMost + kHeldPerByteMost * bytes.size());
  if (!decoded.ok()) return check_refusal(decoded.error());
  const std::vector<std::byte> again = encode_manifest(*decoded);
  HAWSER_ASSERT(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  const auto made = make_manifest(*decoded);
  HAWSER_ASSERT(made.ok() && *made == *decoded);
  const auto summary = decode_summary(encode_summary(summarize(*decoded)));
  HAWSER_ASSERT(summary.ok() && *summary == summarize(*decoded));
  HAWSER_ASSERT(summary->manifest_bytes == bytes.size());
}

void check_summary(std::span<const std::byte> bytes) {
  const auto decoded = decode_summary(bytes);
  if (!decoded.ok()) return check_refusal(decoded.error());
  const std::vector<std::byte> again = encode_summary(*decoded);
  HAWSER_ASSERT(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

void check_honest(Choices choices) {
  const auto manifest = make_manifest(testing::any_manifest(choices));
  HAWSER_ASSERT(manifest.ok());
  std::vector<std::byte> bytes = encode_manifest(*manifest);
  const auto decoded = decode_manifest(bytes);
  HAWSER_ASSERT(decoded.ok() && *decoded == *manifest);
  if (choices.done()) return;
  const std::size_t at = testing::any_number(choices, 2) % bytes.size();
  const auto flipped = static_cast<std::byte>(1 + choices.below(255));
  bytes[at] ^= flipped;
  check_manifest(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto rest = bytes.subspan(1);
  switch (std::to_integer<unsigned>(bytes.front()) % 3) {
    case 0: check_manifest(rest); break;
    case 1: check_summary(rest); break;
    default: check_honest(Choices(rest)); break;
  }
  return 0;
}
