// Headers of checkpoint files. The first byte says whether the rest is the text of one, behind 8 bytes that say how
// many bytes of data the file has, or choices: of what an honest writer writes, and of what is then changed in it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "checkpoint/checkpoint_header.hpp"
#include "fuzz/random_manifest.hpp"
#include "fuzz/refusal.hpp"
#include "fuzz/script_choices.hpp"

namespace {

using namespace hawser;
using testing::any_number;
using testing::bytes_held;
using testing::check_refusal;
using testing::Choices;

// An entry takes a hundred characters of the text, and less than that in memory; a growing vector has room for twice as
// much.
constexpr std::size_t kHeldPerByteMost = 8;
constexpr std::size_t kHeldMost = 8 << 10;

/// Error: the text is refused.
Result<CheckpointHeader> check_text(std::string_view text, std::uint64_t data_bytes) {
  const std::size_t held_before = bytes_held();
  auto decoded = decode_checkpoint_header(text, data_bytes);
  HAWSER_ASSERT(bytes_held() <= held_before + kHeldMost + kHeldPerByteMost * text.size());
  if (!decoded.ok()) {
    check_refusal(decoded.error());
    return decoded;
  }
  HAWSER_ASSERT(check_checkpoint_header(*decoded).ok());
  std::uint64_t bytes = 0;
  for (const CheckpointEntry& entry : decoded->entries) bytes += content_bytes(entry);
  HAWSER_ASSERT(bytes == data_bytes);
  const auto again = decode_checkpoint_header(encode_checkpoint_header(*decoded), data_bytes);
  HAWSER_ASSERT(again.ok() && *again == *decoded);
  return decoded;
}

CheckpointHeader any_header(Choices& choices) {
  CheckpointHeader header{.revision = any_number(choices, choices.below(9))};
  const std::size_t entries = choices.below(9);
  for (std::size_t i = 0; i < entries; ++i) {
    std::string name(choices.below(limits::kTensorNameBytesMax), "n\"\\ "[choices.below(4)]);
    name += static_cast<char>('a' + i);
    header.entries.push_back({.name = std::move(name),
                              .type = kDataTypes[choices.below(kDataTypes.size())],
                              .count = any_number(choices, choices.below(5)),
                              .digest = {.low = any_number(choices, 1), .high = any_number(choices, 8)}});
  }
  order_for_file(header.entries);
  return header;
}

/// Puts something in the place of a few characters.
void change(Choices& choices, std::string& text) {
  const std::size_t at = any_number(choices, 2) % text.size();
  const std::size_t removed = choices.below(4);
  std::string put;
  for (const std::byte byte : choices.take(choices.below(4))) put += static_cast<char>(byte);
  text.replace(at, removed, put);
}

/// Tensors without elements lie at one place, in no order.
CheckpointHeader by_name(CheckpointHeader from) {
  std::sort(from.entries.begin(), from.entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return from;
}

void check_honest(Choices choices) {
  const CheckpointHeader header = any_header(choices);
  HAWSER_ASSERT(check_checkpoint_header(header).ok());
  std::uint64_t bytes = 0;
  for (const CheckpointEntry& entry : header.entries) bytes += content_bytes(entry);
  std::string text = encode_checkpoint_header(header);
  const auto decoded = check_text(text, bytes);
  HAWSER_ASSERT(decoded.ok() && by_name(*decoded) == by_name(header));
  HAWSER_ASSERT(!check_text(text, bytes + 1).ok());
  while (!choices.done() && !text.empty()) {
    change(choices, text);
    const auto changed = check_text(text, bytes);
    if (!changed.ok()) continue;
    // What is taken says the same in other characters: the digest is over all that it says but for the order.
    HAWSER_ASSERT(by_name(*changed) == by_name(header));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  Choices choices(bytes.subspan(1));
  if (std::to_integer<unsigned>(bytes.front()) % 2 == 1) {
    check_honest(choices);
    return 0;
  }
  const std::uint64_t data_bytes = any_number(choices, 8);
  const auto text = choices.take(size);
  // In memory of its own, so that a look behind its end is seen.
  const std::vector<char> copy(reinterpret_cast<const char*>(text.data()),
                               reinterpret_cast<const char*>(text.data()) + text.size());
  (void)check_text({copy.data(), copy.size()}, data_bytes);
  return 0;
}
