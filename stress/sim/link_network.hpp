#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/frame.hpp"
#include "base/key_id.hpp"
#include "engine/peer_engine.hpp"
#include "links/link_table.hpp"
#include "links/payload_trust.hpp"
#include "sim/control_network.hpp"
#include "sim/lane.hpp"
#include "sim/profile.hpp"
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
  enum class Kind {
    accepted,  ///< The connection waits at the listener.
    greeting,  ///< Bytes of a greeting, or of its answer.
    asked,     ///< For so many connections.
    invited,   ///< To meet another peer at the other side.
    piece,     ///< Of a frame.
    down,
  } kind = Kind::piece;
  std::shared_ptr<FrameInFlight> frame;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  bool first = false;
  bool last = false;
  const char* reason = "";
  std::vector<std::byte> said{};  ///< A greeting or an answer.
  std::uint32_t connections = 0;  ///< That are asked for.
  PeerId who{};                   ///< Who waits at the other side.
};

struct LinkTransport;

/// One side of a TCP connection between data ports.
struct LinkEnd {
  Process* process = nullptr;  ///< Null: a stranger.
  links::SocketId socket;      ///< As this side's table numbers it; none until it is accepted.
  LinkTransport* transport = nullptr;
  LinkEnd* other = nullptr;
  LinkConnection name;   ///< As this side's engine knows it, once it is established.
  bool attached = true;  ///< This side still has it.
  bool up = false;       ///< It is established for this side.
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
  std::uint64_t bytes_sent = 0;  ///< Into the other side's lane.
  std::uint64_t segments_sent = 0;
  std::uint64_t segments_repeated = 0;
  bool uses_bbr = false;
  bool flip_next = false;  ///< The next payload is to be damaged.
  /// It waits at a go-between: for this dial, or because it was invited (none).
  bool meets = false;
  links::SocketId dial;
  links::SocketId yields;  ///< It has crossed this dial of its own, and the other side greets.
  // The frame that is being read.
  std::shared_ptr<FrameInFlight> reading;
  std::byte* landing = nullptr;
  WorkToken landing_after{};  ///< Nothing is read before this work is done.
  LinkItem held;              ///< What was being read then.
};

struct LinkTransport {
  std::array<LinkEnd, 2> ends;  ///< The dialer's first.
  PayloadTrust trust;           ///< Of both.
  std::uint64_t number = 0;
  std::string source;  ///< The dialer's address.
  std::optional<KeyId> stranger_key{};  ///< Of a dialer that is no process of the run.
  Process* through = nullptr;  ///< A go-between, which has joined two connections to this one.
  std::array<links::SocketId, 2> joined{};  ///< As its table numbers these.
};

/// Where a process has its links: the very table that decides about real sockets, and simulated ones.
struct DataPort {
  explicit DataPort(const links::LinkTableConfig& config) : table(config) {}

  links::LinkTable table;
  std::map<links::SocketId, LinkEnd*> sockets;  ///< All that the table knows, save those that are being dialled.
  std::set<links::SocketId> dials;
  std::map<links::SocketId, links::Punch> punches;  ///< That are under way, and the peer that each is for.
  std::map<links::SocketId, LinkEnd*> joined;  ///< Of others: the end that lies beyond each.
  std::map<PeerId, std::uint64_t> secrets;  ///< Of the links that are kept.
  std::set<PeerId> woken;  ///< Links whose connections are to be pumped soon.
  Instant used_at = Instant::min();
  std::optional<Instant> timer_at;
  int barren_ticks = 0;
};

/// What a stranger does at a data port.
struct Knock {
  std::string host;
  std::vector<std::byte> says;
  std::optional<KeyId> key{};  ///< That it has proven to have.
  std::optional<Duration> hangs_up_after{};
};

/// Links: several connections between two peers, each FIFO with its own random delays.
class LinkNetwork {
 public:
  explicit LinkNetwork(World& world) : world_(world) {}

  // What an engine asks for.
  void open(Process& process, const OpenLink& wish);
  void dial_at_once(Process& process, const DialPeer& wish);
  void close(Process& process, PeerId peer);
  void wake(Process& process, PeerId peer);
  void release_send(Process& process, LinkConnection name);
  void release_receive(Process& process, LinkConnection name);
  void drop(Process& process, const DropConnection& wish);
  void widen(Process& process, const WidenLink& wish);
  /// The process goes by another id from now on.
  void set_self(Process& process);
  /// Whether the connection that this LinkUp tells of is established still.
  bool is_established(const Process& process, const LinkUp& up) const;
  /// The engine has been told that it is: what waited can go.
  void up_told(Process& process, LinkConnection name);
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
  /// All other ways are there, and a third member has links to both of these.
  bool may_lose_way(const Process& a, const Process& b) const;
  void refuse_dials(Process& a, Process& b) { refused_.insert(pair(a, b)); }
  void heal();
  /// One that is not of the run connects to a data port. It is never to be let in.
  void knock(Process& at, Knock knock);
  /// A frame that the engine at the other side never sent; the connection is lost to honest use.
  void inject(LinkEnd& receiver, FrameInFlight frame);
  /// A fault keeps this process apart from another one.
  bool hampered(const Process& process) const;
  /// All connections that stand for both sides, in a stable order.
  std::vector<LinkEnd*> established() const;

 private:
  using ProcessPair = std::pair<std::uint64_t, std::uint64_t>;
  static Duration time_to_write(const NetworkProfile& network, const LinkEnd& end, std::size_t bytes);
  static ProcessPair pair(const Process& a, const Process& b);
  bool blocked(const Process& from, const Process& to) const;
  bool blocked(const LinkEnd& from) const;
  static bool takes_way(const LinkTransport& transport, const Process& a, const Process& b);
  LinkEnd* find(Process& process, LinkConnection name) const;
  std::vector<LinkEnd*> ends_of(const Process& process) const;

  // How a table is driven (link_driving.cpp, link_punching.cpp).
  template <class Ask>
  void ask(Process& process, const Ask& ask);
  void perform(Process& process, links::Actions& actions);
  void perform_one(Process& process, const links::Dial& action, links::Actions& next);
  void perform_one(Process& process, const links::Come& action, links::Actions& next);
  void perform_one(Process& process, const links::AskBothDial& action, links::Actions& next);
  void perform_one(Process& process, const links::Punch& action, links::Actions& next);
  void perform_one(Process& process, const links::Invite& action, links::Actions& next);
  void perform_one(Process& process, const links::Join& action, links::Actions& next);
  void perform_one(Process& process, const links::Send& action, links::Actions& next);
  void perform_one(Process& process, const links::Close& action, links::Actions& next);
  void perform_one(Process& process, const links::Establish& action, links::Actions& next);
  void perform_one(Process& process, const links::Up& action, links::Actions& next);
  void perform_one(Process& process, const links::Down& action, links::Actions& next);
  void perform_one(Process& process, const links::Refused& action, links::Actions& next);
  void perform_one(Process& process, const links::StraightFailed& action, links::Actions& next);
  void perform_one(Process& process, const links::RoundTrips& action, links::Actions& next);
  void perform_one(Process& process, const links::TakeSamples& action, links::Actions& next);
  void perform_one(Process& process, const links::LimitQueue& action, links::Actions& next);
  void perform_one(Process& process, const links::UseBbr& action, links::Actions& next);
  void perform_one(Process& process, const links::AskConnections& action, links::Actions& next);
  void perform_one(Process& process, const LogEvent& action, links::Actions& next);
  void check(Process& process) const;
  void arm(Process& process);
  void tick(Process& process);
  void attempt(Process& dialer, PeerId to, links::SocketId socket);
  /// Why a dial from there to here fails now; none: it does not.
  struct DialFate {
    Duration after{};
    bool was_refused = false;
  };
  std::optional<DialFate> fate_of_dial(const Process& dialer, PeerId to, const Process* acceptor) const;
  void meet(Process& dialer, PeerId go_between, links::SocketId socket, const std::vector<std::byte>& greeting);
  void met(LinkEnd& end, std::span<const std::byte> answer);
  void met_in_vain(LinkEnd& end);
  void go_on_through(LinkEnd& end);
  void tell_go_between(LinkTransport& transport);
  void dial_failed(Process& dialer, links::SocketId socket, Duration after, bool was_refused);
  LinkTransport& connect(Process* dialer, Process& acceptor);
  void punch(Process& dialer, links::SocketId socket);
  void punch_is_accepted(Process& dialer, Process& acceptor, links::SocketId socket);
  void cross(Process& greeter, links::SocketId greets, Process& yielder, links::SocketId yields);
  Duration round_trip_least() const;
  TcpState state_of_way(const LinkEnd& from, bool is_blocked) const;
  /// That the other side of a connection has proven to have; none: the run has no keys.
  std::optional<KeyId> key_beyond(const LinkEnd& end) const;
  void read_accepted(LinkEnd& end);
  void read_greeting(LinkEnd& end, std::span<const std::byte> said);
  void read_asked(LinkEnd& end, std::uint32_t connections);
  /// The connection is gone, and this side has closed it.
  void broke(LinkEnd& end, const std::string& reason);
  /// This side is done with the connection; the other side is told in time.
  void detach(LinkEnd& end, bool flush, bool tell_other, const char* reason);

  void put(LinkEnd& receiver, Instant earliest, LinkItem item);
  void read_at(LinkEnd& end, Instant due);
  void read(LinkEnd& end);
  void read_piece(LinkEnd& end, LinkItem& item);
  void take_piece(LinkEnd& end, LinkItem& item);
  void begin_frame(LinkEnd& end, LinkItem& item);
  void break_off(LinkEnd& end);
  void end_frame(LinkEnd& end);
  void pump(LinkEnd& end);
  void pump_later(LinkEnd& end, Duration delay);
  bool start_frame(LinkEnd& end);
  void flip(LinkEnd& end);
  std::size_t write_piece(LinkEnd& end, std::size_t room);

  World& world_;
  bool scribbled_on_ = false;  ///< A state on offer was written to while it was sent: its checksum was wrong.
  std::vector<std::unique_ptr<LinkTransport>> transports_;
  std::set<ProcessPair> blocked_;  ///< (from, to)
  std::set<ProcessPair> refused_;  ///< (smaller, greater)
};

template <class Ask>
void LinkNetwork::ask(Process& process, const Ask& ask) {
  links::Actions actions;
  ask(actions);
  perform(process, actions);
}

}  // namespace hawser::sim
