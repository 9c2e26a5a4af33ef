// The decoders of control messages and the reader of their frames, on any bytes. The first byte says which:
// one message of either side, or a stream fed in pieces whose lengths come from the input.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"
#include "base/loggable_text.hpp"

namespace {

using namespace hawser;

/// An answer that can be logged, or a message that survives a round trip and still fits into a frame.
template <class Message>
void check(const Result<Message>& message, Result<Message> (*decode)(std::span<const std::byte>)) {
  if (!message.ok()) {
    HAWSER_ASSERT(message.status() == Status::refused);
    HAWSER_ASSERT(!first_unloggable(message.error().sentence));
    return;
  }
  const std::string encoded = encode(*message);
  HAWSER_ASSERT(encoded.size() <= limits::kControlMessageBytesMax);
  const auto again = decode(std::as_bytes(std::span(encoded)));
  HAWSER_ASSERT(again.ok());
  HAWSER_ASSERT(*again == *message);
}

void check_message(std::span<const std::byte> bytes) {
  check(decode_peer_message(bytes), decode_peer_message);
  check(decode_master_message(bytes), decode_master_message);
}

void check_stream(std::span<const std::byte> bytes, std::size_t piece_bytes) {
  ControlFrameReader reader;
  while (!bytes.empty()) {
    const std::size_t length = std::min(bytes.size(), piece_bytes);
    // The next piece is as long as a byte of this one says.
    piece_bytes = 1 + std::to_integer<std::size_t>(bytes[length - 1]);
    reader.feed(bytes.first(length));
    bytes = bytes.subspan(length);
    while (true) {
      const auto next = reader.next();
      if (!next.ok()) {
        HAWSER_ASSERT(next.status() == Status::refused);
        HAWSER_ASSERT(!first_unloggable(next.error().sentence));
        return;
      }
      if (!*next) break;
      check_message(std::as_bytes(std::span(**next)));
    }
  }
}

/// Puts a right frame around the input, so that the fuzzer need not find checksums.
void check_framed(std::span<const std::byte> bytes, std::size_t piece_bytes) {
  std::string message;
  for (const std::byte byte : bytes) message += static_cast<char>(byte);
  const std::string framed = frame_control(message);
  check_stream(std::as_bytes(std::span(framed)), piece_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > limits::kControlMessageBytesMax) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto choice = std::to_integer<std::size_t>(bytes.front());
  const auto rest = bytes.subspan(1);
  switch (choice % 3) {
    case 0: check_message(rest); break;
    case 1: check_stream(rest, 1 + choice / 3); break;
    default: check_framed(rest, 1 + choice / 3); break;
  }
  return 0;
}
