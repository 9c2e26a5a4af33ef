#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/frame.hpp"
#include "links/link_sides.hpp"
#include "links/payload_trust.hpp"
#include "engine/peer_engine.hpp"
#include "sim/control_network.hpp"
#include "sim/lane.hpp"
#include "sim/wire_check.hpp"

namespace hawser::sim {

class Process;

/// A frame on its way. The payload is copied piece by piece while it is written, as a socket does.
struct FrameInFlight {
  FrameHeader header;
  std::vector<std::byte> payload;
  HeaderBytes bytes{};            ///< Where the wire codecs take part.
  std::uint64_t fingerprint = 0;  ///< Of the payload when the engine handed it out; 0 where not taken.
  bool flipped = false;           ///< A bit of the payload changes on the way.
  /// The memory behind the payload changed while it was written. That may be, for a frame that is sent again
  /// though the other side has it; but then nobody may use it.
  bool changed = false;
  bool hostile = false;  ///< No engine sent it.
};

/// What lies in one direction of a connection of a link.
struct LinkItem {
  enum class Kind { up, piece, down } kind = Kind::piece;
  std::shared_ptr<FrameInFlight> frame;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  bool first = false;
  bool last = false;
  const char* reason = "";
};

struct LinkTransport;

/// One side of a connection of a link.
struct LinkEnd {
  Process* process = nullptr;
  LinkTransport* transport = nullptr;
  LinkEnd* other = nullptr;
  LinkConnection name;   ///< As this side's engine knows it.
  std::uint64_t incarnation = 0;  ///< Of the connection, among all that ever were.
  bool attached = true;  ///< This side still has it.
  bool up = false;       ///< The engine was told LinkUp.
  Lane<LinkItem> incoming;
  std::size_t unread_bytes = 0;  ///< In `incoming`; the other side's window.
  bool starved = false;          ///< The other side's writer waits for room in `incoming`.
  // The frame that is being written.
  std::shared_ptr<FrameInFlight> writing;
  std::span<const std::byte> source;
  std::size_t copied = 0;   ///< Of the payload, from `source`.
  std::size_t written = 0;  ///< Of the payload, into the other side's lane.
  bool header_written = false;
  bool pump_scheduled = false;
  Instant sampled_at = Instant::min();  ///< When its side was last told of round trips.
  bool flip_next = false;  ///< The next payload is to be damaged.
  // The frame that is being read.
  std::shared_ptr<FrameInFlight> reading;
  std::byte* landing = nullptr;
  WorkToken landing_after{};  ///< Nothing is read before this work is done.
  LinkItem held;              ///< What was being read then.
};

struct LinkTransport {
  std::array<LinkEnd, 2> ends;  ///< The dialer's first.
  PayloadTrust trust;           ///< Of both.
};

/// One connection of a link as a process sees it.
struct LinkSlot {
  LinkEnd* end = nullptr;
  std::uint64_t dial = 0;      ///< Number of the dial in progress; 0 if there is none.
  std::uint32_t failures = 0;  ///< Dials in a row that came to nothing.
};

/// A link that an engine has asked for.
struct Link {
  Member peer;
  std::uint64_t secret = 0;
  LinkSides sides;         ///< Which side dials: the very decisions of the real links.
  std::uint64_t look = 0;  ///< Number of the look at the sides that is scheduled.
  bool wake_scheduled = false;
  std::vector<LinkSlot> slots;
};

/// Links: several connections between two peers, each FIFO with its own random delays.
class LinkNetwork {
 public:
  explicit LinkNetwork(World& world) : world_(world) {}

  // What an engine asks for.
  void open(Process& process, const OpenLink& wish);
  void close(Process& process, PeerId peer);
  void wake(Process& process, PeerId peer);
  void release_send(Process& process, LinkConnection name);
  void release_receive(Process& process, LinkConnection name);
  void drop(Process& process, LinkConnection name, const std::string& reason);
  /// Whoever waits for this work reads on.
  void work_done(Process& process, WorkToken token);

  void process_gone(Process& process, Ending ending);
  /// After a stop or a silence: what waited is read and written.
  void process_awake(Process& process);

  // Faults.
  void cut(LinkEnd& end);
  void cut_pair(Process& a, Process& b);
  /// No byte passes between the two, in one direction or both; connections are given up in the end.
  void block(Process& from, Process& to);
  void refuse_dials(Process& a, Process& b) { refused_.insert(pair(a, b)); }
  void heal();
  /// A frame that the engine at the other side never sent; the connection is lost to honest use.
  void inject(LinkEnd& receiver, FrameInFlight frame);
  /// A fault keeps this process apart from another one.
  bool hampered(const Process& process) const;
  /// All connections that stand for both sides, in a stable order.
  std::vector<LinkEnd*> standing() const;

 private:
  using ProcessPair = std::pair<std::uint64_t, std::uint64_t>;
  struct Parked {
    Process* dialer;
    PeerId from;
    PeerId to;
    std::uint32_t index;
    std::uint64_t dial;
    std::uint64_t secret;
  };
  static ProcessPair pair(const Process& a, const Process& b);
  bool blocked(const Process& from, const Process& to) const;
  Link* find(Process& process, PeerId peer) const;
  LinkEnd* find(Process& process, LinkConnection name) const;

  void start_dial(Process& dialer, PeerId to, std::uint32_t index, Duration backoff);
  void attempt(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial);
  void dial_failed(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial, Duration after,
                   bool refused = false);
  Duration redial_delay(const LinkSlot& slot);
  void greeting_came(const Parked& greeting);
  bool is_held(const Process& acceptor, PeerId from) const;
  void park(const Parked& parked, Process& acceptor);
  void unpark_later(Process& acceptor, PeerId from);
  void unpark(Process& acceptor, PeerId from);
  void establish(Process& dialer, Process& acceptor, const Parked& dial);
  void leave_dialling(Process& process, Link& link);
  void dialled_stands(LinkEnd& end);
  void look(Process& process, PeerId peer);
  void look_later(Process& process, PeerId peer);
  /// This side is done with the connection; the other side is told in time.
  void detach(LinkEnd& end, bool flush, bool tell_other, const char* reason);
  /// A connection of this side is gone: it is dialled anew, or the other side's dial is waited for.
  void redial(Process& process, LinkConnection name);

  void put(LinkEnd& receiver, Instant earliest, LinkItem item);
  void read(LinkEnd& end);
  void read_piece(LinkEnd& end, LinkItem& item);
  void take_piece(LinkEnd& end, LinkItem& item);
  void begin_frame(LinkEnd& end, LinkItem& item);
  void break_off(LinkEnd& end);
  void end_frame(LinkEnd& end);
  void sample(LinkEnd& end);
  void pump(LinkEnd& end);
  void pump_later(LinkEnd& end, Duration delay);
  bool start_frame(LinkEnd& end);
  void flip(LinkEnd& end);
  std::size_t write_piece(LinkEnd& end, std::size_t room);

  World& world_;
  std::vector<std::unique_ptr<LinkTransport>> transports_;
  std::map<std::uint64_t, std::vector<Parked>> parked_;  ///< By acceptor's number.
  std::set<ProcessPair> blocked_;                        ///< (from, to)
  std::set<ProcessPair> refused_;                        ///< (smaller, greater)
  std::uint64_t dials_ = 0;
};

}  // namespace hawser::sim
