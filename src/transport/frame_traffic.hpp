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
#include "wire/recent_checksums.hpp"

namespace hawser::transport {

using hawser::ConnectionName;

/// A frame to write. The payload stays valid until it is written whole or released.
struct FrameToSend {
  FrameHeader header;
  std::span<const std::byte> payload;
  RecentChecksums* recent = nullptr;  ///< Of a payload that goes to several peers: where its checksum may be known.
};

class DataConnection;

/// What is known of a connection when it is established.
struct EstablishedConnection {
  Duration round_trip{};   ///< As the handshake showed; 0: the system does not tell.
  bool same_host = false;  ///< Both ends have proven that they are on one machine.
  std::uint64_t incarnation = 0;  ///< Tells it from earlier and later connections of this number.
  PeerId by{};             ///< The go-between that it goes by; none: it has a way of its own.
};

/// What data connections ask and tell the one who gives them frames and takes theirs. The callee may close, release or
/// drop any connection meanwhile.
///
/// Calls about frames come from the thread of the connection's io_context, which may be another one for each. The
/// callee then has a lock of its own. Under that it finds out that the connection is not closed(), decides, and calls
/// receive_into() or write(). So whoever releases the memory under the same lock finds it there, or never given.
/// All other calls come from the thread of Links.
class FrameTraffic {
 public:
  virtual ~FrameTraffic() = default;

  /// A header came in. Calls receive_into() with memory for the payload; else the payload is read and thrown away, and
  /// not verified.
  virtual void frame_begins(DataConnection& connection, const FrameHeader& header) = 0;
  /// Some of a payload came in, not all.
  virtual void frame_moved(DataConnection& connection) = 0;
  /// The payload is in place, or thrown away; `intact` is false if its checksum is wrong.
  virtual void frame_ends(DataConnection& connection, bool intact) = 0;
  /// A connection can write. Calls write() with the next frame for it, if there is one now, and answers whether it did.
  virtual bool next_frame(DataConnection& connection) = 0;

  /// A connection of a link is established. On Links' own thread, frames come and are asked for once this was called
  /// and the link woken; on another one only after Links::begin().
  virtual void link_up(ConnectionName connection, const EstablishedConnection& established) = 0;
  /// The one of this incarnation broke.
  virtual void link_down(ConnectionName connection, std::uint64_t incarnation, std::string reason) = 0;
  /// No connection of the link is established, and where this side had got through to the other before it was refused
  /// now.
  virtual void link_refused(PeerId peer) = 0;
  /// No dial has come through on this link: the master may tell both sides to dial at once. `why` the other side's
  /// address was not reached; empty: not known yet.
  virtual void link_unreached(PeerId peer, std::string why) = 0;
  /// The link has no connection but perhaps one that a third peer passes on; why the last try to get through ended so.
  virtual void straight_failed(PeerId peer, std::string why) = 0;
  /// Ten times a second while a link between hosts is in use: the mean of its connections' round trips of late, and
  /// the shortest there ever was.
  virtual void link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) = 0;

  /// Called at the end of every handler that called one of the above, on its thread: time to do what they led to.
  virtual void settle() = 0;
  virtual void log(LogEvent event) = 0;
};

}  // namespace hawser::transport
