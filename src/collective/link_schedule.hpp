#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/frame.hpp"
#include "base/instant.hpp"
#include "base/limits.hpp"

namespace hawser {

/// What goes out over one link: a queue per collective, from which the link's connections pull. A connection
/// that can write takes the next frame, so a slow one carries less (work stealing). Collectives take turns.
///
/// Rendezvous: before the other side has said that it is ready for a collective, only a bounded amount is
/// sent (set_eager), which the other side keeps aside. Nothing else can block a link.
///
/// Repair: each frame is remembered until acknowledged; those of a broken connection go to the head of the queue.
class LinkSchedule {
 public:
  /// A chunk (whose payload is made when its turn comes; payload_bytes says how long it will be) or a frame
  /// without payload, which goes before all chunks.
  void enqueue(const FrameHeader& frame);
  /// The other side has called this collective, and takes chunks on their way up if they are below the limit.
  void set_ready(const OpKey& key, std::uint64_t limit);
  /// What may be sent before the other side has called; at first limits::kEagerBytesLeast, at most kEagerBytesMax.
  void set_eager(std::size_t bytes) { eager_bytes_max_ = bytes; }
  /// So many payload bytes of this collective may be under way upwards, or in both directions; at least one
  /// chunk.
  void set_window(const OpKey& key, std::size_t bytes, bool both_directions);
  /// The network's share of this collective: so many payload bytes, and a chunk for each connection, may be under
  /// way in both directions together. More would only wait in queues on the way, before the data of others.
  void set_pace(const OpKey& key, std::size_t bytes);
  /// Sums go before results: whoever has sent all of its own has results to go on with.
  void set_sums_first(const OpKey& key) { queues_[key].sums_first = true; }
  /// Takes a chunk on its way down out of the queue, if it is in there.
  void cancel(const OpKey& key, std::uint64_t chunk);
  /// Chunks of this collective leave the link's first connection to control frames, which wait behind no chunk there;
  /// unless it is the only one.
  void keep_first_free(const OpKey& key) { queues_[key].first_free = true; }
  /// The chunks of this message go before those of others.
  void set_first(const OpKey& key) { queues_[key].first = true; }
  /// Takes all chunks of this collective on their way down out of the queue, and sends none of those that a break
  /// loses again.
  void cancel_all(const OpKey& key);
  /// Forgets a collective. Answers the connections on which a frame of it may still be in the writing.
  std::vector<std::uint32_t> drop(const OpKey& key);

  void connection_up(std::uint32_t connection);
  void connection_down(std::uint32_t connection);
  /// Whether chunks of this collective wait to be sent or acknowledged.
  bool owes(const OpKey& key) const;
  bool has_connection() const { return !connections_.empty(); }
  std::size_t connections() const { return connections_.size(); }
  bool has_connection(std::uint32_t connection) const { return connections_.contains(connection); }

  /// The next frame for this connection, if there is one now.
  std::optional<FrameHeader> next(Instant now, std::uint32_t connection);
  /// The frame that next() gave last for this connection, of a collective that was dropped since, is not going to be
  /// written: the other side will never count it.
  void take_back(std::uint32_t connection);
  /// Keeps memory that the payload of the frame that next() gave last lies in, until the connection asks for the
  /// next one: then it is written whole.
  void keep(std::uint32_t connection, std::shared_ptr<const void> memory);
  /// True if next() would give a connection other than a resting one something to do.
  bool has_work() const;
  /// True if only a pace holds back what next() would give.
  bool is_held_back() const;

  /// A frame that wants an acknowledgement has come in whole. True if the connection should write soon.
  bool received(Instant now, std::uint32_t connection, std::size_t payload_bytes);
  /// Some of a long payload has come in. The other side hears of it now and then, lest it thinks that its
  /// data goes nowhere. True if the connection should write soon.
  bool receiving(Instant now, std::uint32_t connection);
  /// The other side has so many, and takes more. False if it never got so many: a protocol error.
  /// `progressed`: the collectives whose chunks it has got or is getting. `arrived`: the chunks that it has.
  bool acknowledged(std::uint32_t connection, std::uint64_t count, std::vector<OpKey>& progressed,
                    std::vector<FrameHeader>& arrived);
  /// Of chunks that the other side has acknowledged so far, those of dropped collectives included.
  std::uint64_t chunk_bytes_arrived() const { return chunk_bytes_arrived_; }
  /// When an acknowledgement that waits for company must go.
  std::optional<Instant> acknowledgement_due() const;
  /// Lets acknowledgements go whose time has come. True if there are such.
  bool release_acknowledgements(Instant now);

 private:
  struct Sent {
    FrameHeader frame;
    bool alive = true;  ///< False once its collective was dropped.
    bool eager = false;
  };
  struct Connection {
    std::deque<Sent> unacknowledged;
    /// Of the chunk that was given last, which may be in the writing yet, whatever the other side acknowledges.
    std::optional<OpKey> writing;
    std::shared_ptr<const void> memory;
    std::uint64_t acknowledged = 0;  ///< Frames sent on it that the other side has.
    std::uint64_t received = 0;
    std::uint64_t received_acknowledged = 0;
    std::size_t bytes_unacknowledged = 0;
    std::optional<Instant> tell_by;
    Instant told_at{};
    bool tell_now = false;
  };
  struct Queue {
    /// Chunks on their way up go in the order of their numbers: so all members are busy with the same ones,
    /// and a limit stops none that somebody needs first.
    std::map<std::uint64_t, FrameHeader> up;
    std::deque<FrameHeader> down;
    bool ready = false;
    bool sums_first = false;
    bool first_free = false;  ///< The first connection takes none of it.
    bool first = false;       ///< Goes before the others.
    bool cancelled = false;  ///< What is on its way down need not arrive.
    std::uint64_t limit = 0;
    std::size_t window = 0;  ///< 0: none.
    bool window_for_both = false;
    std::size_t under_way = 0;  ///< Bytes that count for the window.
    std::size_t pace = 0;       ///< 0: none.
    std::size_t in_flight = 0;  ///< All bytes under way.
    std::size_t eager_bytes = 0;
    std::size_t eager_frames = 0;

    bool empty() const { return up.empty() && down.empty(); }
    bool counts(const FrameHeader& frame) const { return window_for_both || frame.direction == Direction::up; }
  };

  static void put_back(Queue& queue, const FrameHeader& frame);
  bool may_send(const Queue& queue, const FrameHeader& frame) const;
  bool is_paced(const Queue& queue, const FrameHeader& frame) const;
  /// What goes next of this collective, if anything may.
  const FrameHeader* head(const Queue& queue) const;
  std::optional<FrameHeader> next_chunk(std::uint32_t index, Connection& connection);
  std::optional<FrameHeader> take_from(Queue& queue, std::uint32_t index, Connection& connection);

  std::map<OpKey, Queue> queues_;
  std::optional<OpKey> last_served_;
  std::deque<FrameHeader> control_;  ///< Control frames: small, and others wait for them.
  std::map<std::uint32_t, Connection> connections_;
  std::size_t eager_bytes_max_ = limits::kEagerBytesLeast;
  std::size_t eager_bytes_ = 0;
  std::size_t eager_frames_ = 0;
  std::uint64_t chunk_bytes_arrived_ = 0;
};

}  // namespace hawser
