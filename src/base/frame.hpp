#pragma once

#include <cstdint>

#include "base/signature.hpp"

namespace hawser {

/// Which way a chunk goes along its trees.
enum class Direction : std::uint8_t {
  up = 0,    ///< A partial sum on its way to the chunk's root.
  down = 1,  ///< The result on its way from the root.
};

enum class FrameKind : std::uint8_t {
  chunk = 1,  ///< Payload: what collective/planned_collective.hpp says.
  /// "I have called this collective: send, chunks on their way up below the limit." Comes again when the
  /// limit has grown. No payload.
  ready = 2,
  /// "I have received so many frames, other than this kind and the transport's own, on this connection." No payload.
  acknowledge = 3,
  // Control frames about the slices of a shared-state transfer (shared_state/swarm.hpp), by chunk. No payload.
  want = 4,     ///< Send me the chunk.
  wish = 5,     ///< Send it unless you have sent it to somebody else.
  unwant = 6,   ///< I have it: don't send it.
  decline = 7,  ///< Somebody else has it from me.
  have = 8,     ///< I have `count` chunks from this one on, and send them to who wants them.
  // Of messages (is_message): `have` announces one of `count` bytes, `ready` requests its chunks, which all say
  // `count`, too. `unwant`: the receiver has given it up. `decline`: the sender has.
  /// "This link should have `count` connections." To the side that dials them. The transport's own: all other fields
  /// are 0, and it is not counted by acknowledge.
  connections = 9,
  /// "The peer whose id is `count` waits for you at my port: it cannot reach you." Of the transport likewise.
  invitation = 10,
};
/// The transport's own.
constexpr bool is_of_transport(FrameKind kind) { return kind >= FrameKind::connections; }

/// What travels on a connection between two peers, before its payload. Byte layout: wire/frame_codec.hpp.
struct FrameHeader {
  FrameKind kind = FrameKind::chunk;
  Direction direction = Direction::up;    ///< Of a chunk.
  OpKey key;                              ///< Of all but an acknowledge.
  std::uint64_t signature = 0;            ///< fingerprint() of the call, of all but an acknowledge.
  std::uint64_t chunk = 0;                ///< Index of the chunk in the plan.
  /// Of an acknowledge: frames. Of a ready: the first chunk that may not be sent up yet. Of a have: chunks.
  std::uint64_t count = 0;
  std::uint32_t payload_bytes = 0;        ///< Of a chunk, as it travels.
  bool compressed = false;                ///< Of a chunk: kernels/payload_codec.hpp.
  bool unchecked = false;  ///< Of a chunk: its payload has no checksum, since it never leaves the machine.
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

}  // namespace hawser
