#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/frame.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/log_event.hpp"
#include "links/connection_name.hpp"

namespace hawser::transport {

using hawser::ConnectionName;

/// A frame to write. The payload stays valid until it is written whole or released.
struct FrameToSend {
  FrameHeader header;
  std::span<const std::byte> payload;
};

/// What data connections ask and tell the one who gives them frames and takes theirs. All calls come from
/// the io_context's thread. The callee may close, release or drop any connection meanwhile.
/// What is known of a connection when it stands.
struct Standing {
  Duration round_trip{};   ///< As the handshake showed; 0: the system does not tell.
  bool same_host = false;  ///< Both ends have proven that they are on one machine.
  std::uint64_t incarnation = 0;  ///< Tells it from earlier and later connections of this number.
};

class FrameTraffic {
 public:
  virtual ~FrameTraffic() = default;

  /// A header came in. Returns memory for the payload, or null: read and throw away, do not verify.
  virtual std::byte* frame_begins(ConnectionName connection, const FrameHeader& header) = 0;
  /// Some of a payload came in, not all.
  virtual void frame_moved(ConnectionName connection) = 0;
  /// The payload is in place, or thrown away; `intact` is false if its checksum is wrong.
  virtual void frame_ends(ConnectionName connection, bool intact) = 0;
  /// A connection can write. The next frame for it, if there is one now.
  virtual std::optional<FrameToSend> next_frame(ConnectionName connection) = 0;

  /// A connection of a link stands. Frames come and are asked for only once this was called, and wake()d.
  virtual void link_up(ConnectionName connection, const Standing& standing) = 0;
  /// The one of this incarnation broke.
  virtual void link_down(ConnectionName connection, std::uint64_t incarnation, std::string reason) = 0;
  /// No connection of the link stands, and where this side had got through to the other before it was refused now.
  virtual void link_refused(PeerId peer) = 0;
  /// Ten times a second while a link between hosts is in use: the mean of its connections' round trips of late, and
  /// the shortest there ever was.
  virtual void link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) = 0;

  /// Called at the end of every handler of the io_context that called one of the above: time to do what
  /// they led to.
  virtual void settle() = 0;
  virtual void log(LogEvent event) = 0;
};

}  // namespace hawser::transport
