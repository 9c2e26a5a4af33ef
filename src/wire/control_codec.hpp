#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"
#include "membership/messages.hpp"

/// Control messages to bytes and back; protobuf inside, see control.proto. A frame goes around them on a
/// stream: wire/control_frame.hpp.
namespace hawser {

/// The largest epoch and update round that a resuming peer may claim. The master goes on from there by ones,
/// so that no claim can bring it to the end of the numbers.
inline constexpr std::uint64_t kResumedNumberMax = std::uint64_t{1} << 62;

/// Sentences are made fit for a log line and clipped to limits::kSentenceBytesMax; everything else goes out
/// as it is. A message within the limits takes at most limits::kControlMessageBytesMax bytes.
std::string encode(const PeerMessage& message);
std::string encode(const MasterMessage& message);

/// Decoding judges everything that the bytes alone can tell: sizes against base/limits.hpp (before memory is
/// taken for lists), enum values, ports, texts fit for a log line, no member twice in a view or list, no success as
/// the reason of a refusal or expulsion. Whether a message makes sense now is the state machines' matter.
/// Fields that this version does not know are skipped. Errors: refused, with a sentence that says what is
/// wrong.
Result<PeerMessage> decode_peer_message(std::span<const std::byte> bytes);
Result<MasterMessage> decode_master_message(std::span<const std::byte> bytes);

}  // namespace hawser
