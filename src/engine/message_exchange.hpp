#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/frame.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"

namespace hawser {

/// A message that was sent or received.
struct MessageInfo {
  PeerId other;  ///< To whom, or from whom.
  std::uint64_t tag = 0;
  std::uint64_t bytes = 0;
  Duration took{};  ///< From the call to its end.
};

/// Messages between two peers: all that one peer sends and receives, without the links. Messages of one tag from one
/// peer to another are received in the order in which they were sent. No master hears of them, and views that keep both
/// peers don't concern them.
///
/// Each is announced. A small one follows at once, as far as the receiver has promised room for what it has not asked
/// for. All others wait until it asks: then they go straight into its buffer. A send has ended when the receiver's
/// process has all of it. What the sender has given up takes its place there until the receiver comes to it, so no
/// sender ever has more there than it may.
///
/// Who is no member may be one by now, of a view that this peer has not heard of: a little of it is kept, and nobody
/// receives it before.
class MessageExchange {
 public:
  /// For the link to that peer.
  struct Sending {
    PeerId to;
    FrameHeader frame;
    bool first = false;  ///< A chunk that goes before those of others.
  };
  struct Ended {
    CallId call;
    Error error;
    MessageInfo info;
    bool receives = false;
  };
  struct Output {
    std::vector<Sending> sends;
    /// Frames of these that have not been written are not sent any more, and their memory is the caller's again.
    std::vector<std::pair<PeerId, OpKey>> sent;
    /// What still comes of these goes nowhere.
    std::vector<std::pair<PeerId, OpKey>> received;
    std::vector<Ended> ended;
  };
  enum class Heard { fine, impossible };
  /// What shall become of a chunk.
  struct Landing {
    enum class Use {
      place,       ///< It may be received into `into`.
      stage,       ///< It is received elsewhere, and chunk_came() brings it.
      discard,     ///< Read and forget.
      impossible,  ///< No correct peer sends this.
    };
    Use use = Use::discard;
    std::byte* into = nullptr;
  };

  /// For people.
  using NameOf = std::function<std::string(PeerId)>;
  explicit MessageExchange(NameOf name_of) : name_of_(std::move(name_of)) {}

  /// The memory of `data` and `into` stays valid until the call has ended. `until`: when it ends with a timeout.
  void send(Instant now, CallId call, PeerId to, std::uint64_t tag, std::span<const std::byte> data, Instant until,
            Output& out);
  /// Of that peer, or of whoever has sent one first. The message must have as many bytes; another one is left for the
  /// next call.
  void receive(Instant now, CallId call, std::optional<PeerId> from, std::uint64_t tag, std::span<std::byte> into,
               Instant until, Output& out);
  /// Calls that have not ended.
  std::size_t in_flight() const { return in_flight_; }
  /// Nothing is known here of anybody.
  bool idle() const { return peers_.empty() && receives_.empty(); }
  /// Whether messages to that peer may have that tag: not if they have as many others as there may be.
  bool may_send(PeerId to, std::uint64_t tag) const;
  /// Whether messages of that former member wait here.
  bool remembers(PeerId peer) const;

  // What comes over the link to a peer. `is_member`: of the view in force.
  Heard control_came(Instant now, PeerId from, bool is_member, const FrameHeader& header, Output& out);
  std::span<const std::byte> payload(PeerId to, const FrameHeader& header) const;
  /// That peer has got a chunk.
  void arrived(Instant now, PeerId to, const FrameHeader& header, Output& out);
  Landing chunk_begins(Instant now, PeerId from, bool is_member, const FrameHeader& header, Output& out);
  /// It is whole. `bytes`: null if it lies in its place.
  void chunk_came(Instant now, PeerId from, const FrameHeader& header, const std::byte* bytes, Output& out);

  /// Who is not among these any more is gone: what it has sent whole can still be received.
  void members(Instant now, const std::function<bool(PeerId)>& is_there, bool alone, Output& out);
  /// There is no link to that peer any more. If it never was a member nothing of it is kept.
  void unlinked(PeerId peer);
  /// Everything ends with this, and everybody is forgotten.
  void end_all(Instant now, const Error& error, Output& out);
  /// That call ends at once with a timeout. No call of that number: nothing happens.
  void cancel(Instant now, CallId call, Output& out);
  void tick(Instant now, Output& out);
  std::optional<Instant> next_deadline() const;

 private:
  struct Outgoing {
    CallId call;
    std::uint64_t tag = 0;
    std::span<const std::byte> data;
    Instant began{};
    Instant until{};
    bool eager = false;    ///< Sent before it is requested.
    bool wanted = false;   ///< Requested, skipped or given up by the receiver: its place there is free.
    bool whole = false;    ///< The receiver has it all. The caller is told when all of its tag before it are.
    bool ended = false;    ///< The caller has been told,
    bool failed = false;   ///< that it was given up: then the receiver passes it, and those after it may end.
    std::uint64_t chunks_left = 0;
  };
  struct Receive {
    CallId call;
    std::optional<PeerId> from;
    std::uint64_t tag = 0;
    std::span<std::byte> into;
    Instant began{};
    Instant until{};
  };
  struct Incoming {
    std::uint64_t bytes = 0;
    std::uint64_t order = 0;  ///< Of all announcements here.
    bool is_void = false;     ///< Its sender has given it up.
    std::optional<Receive> receive;  ///< That it goes to.
    std::vector<bool> has;           ///< Chunks, once any may come.
    std::uint64_t chunks_left = 0;
    std::vector<std::byte> aside;  ///< What has come before it was received.
  };
  struct Peer {
    std::map<OpKey, Outgoing> outgoing;  ///< Announced, and not forgotten yet.
    std::deque<Outgoing> held;           ///< Not announced: too many wait at the receiver.
    std::map<std::uint64_t, std::uint64_t> next_out;
    std::size_t waiting = 0;      ///< Announced, and not requested yet.
    std::size_t eager_bytes = 0;  ///< Of these.
    std::map<OpKey, Incoming> incoming;
    std::map<std::uint64_t, std::uint64_t> next_in;
    std::size_t unreceived = 0;   ///< Of `incoming`: nobody has called for them yet.
    std::size_t aside_bytes = 0;
    bool is_member = false;
    std::uint64_t former = 0;  ///< Not 0: it was a member, is gone, and was the how-manieth to go.
  };
  using Receives = std::list<Receive>;

  static std::uint64_t chunks_of(std::uint64_t bytes);
  enum class Known { here, over, impossible };
  std::pair<Known, Incoming*> announced(Peer& peer, const FrameHeader& header);
  void announce(PeerId to, Peer& peer, Outgoing message, Output& out);
  void announce_held(PeerId to, Peer& peer, Output& out);
  void send_chunks(PeerId to, const OpKey& key, const Outgoing& message, Output& out);
  void was_wanted(Peer& peer, Outgoing& message);
  void end_in_order(Instant now, PeerId to, Peer& peer, const OpKey& first, Output& out);
  std::optional<std::pair<PeerId, OpKey>> next_for(const Receive& receive, Output& out);
  Incoming* next_from(PeerId from, Peer& peer, std::uint64_t tag, Output& out);
  Error lost_before(PeerId from, std::uint64_t tag) const;
  void match(Instant now, std::uint64_t tag, Output& out);
  void begin_to_receive(Instant now, PeerId from, const OpKey& key, Receive receive, Output& out);
  void received_whole(Instant now, PeerId from, const OpKey& key, Output& out);
  void end(Instant now, const Outgoing& message, PeerId to, Error error, Output& out);
  void end(Instant now, const Receive& receive, PeerId from, Error error, Output& out);
  void go(Instant now, PeerId id, Peer& peer, Output& out);
  void end_due(Instant now, std::optional<CallId> cancelled, Output& out);
  void forget_former();

  NameOf name_of_;
  std::map<PeerId, Peer> peers_;
  Receives receives_;  ///< Without a message yet, in the order of the calls.
  std::multiset<Instant> deadlines_;  ///< Of all calls.
  std::size_t in_flight_ = 0;
  std::uint64_t announcements_ = 0;
  std::uint64_t gone_ = 0;
};

}  // namespace hawser
