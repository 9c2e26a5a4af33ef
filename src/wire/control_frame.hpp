#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.hpp"
#include "base/result.hpp"

/// Control messages on a byte stream: magic, length, checksum, then the message. docs/protocol.md has the
/// layout.
namespace hawser {

inline constexpr std::size_t kControlFrameHeaderBytes = 16;

/// The message with its frame around it. At most limits::kControlMessageBytesMax bytes of message.
std::string frame_control(std::string_view message);

/// Cuts a byte stream into control messages. Holds no more memory than the bytes that came and are not yet
/// taken; call next() until it has nothing after each feed().
class ControlFrameReader {
 public:
  /// The longest message from now on; at first limits::kControlMessageBytesMax.
  void set_message_bytes_max(std::size_t bytes) { message_bytes_max_ = bytes; }
  /// Adds what was received, in pieces of any size.
  void feed(std::span<const std::byte> bytes);

  /// The next whole message, or none while bytes are missing. Errors: refused, when the stream is not one of
  /// control messages; the stream is lost then and every further call gives the same error.
  Result<std::optional<std::string>> next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;  ///< Of what is not yet taken.
  std::size_t message_bytes_max_ = limits::kControlMessageBytesMax;
  std::optional<Error> error_;
};

}  // namespace hawser
