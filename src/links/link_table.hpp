#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/key_id.hpp"
#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "links/connection_count.hpp"
#include "links/link_actions.hpp"
#include "links/link_sides.hpp"
#include "links/reach.hpp"
#include "links/strangers.hpp"
#include "links/loss_judge.hpp"
#include "links/tcp_state.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::links {

/// The other end of a link.
struct LinkTarget {
  PeerId peer;
  std::string name;
  Address address;
  /// Both sides show and expect it.
  std::uint64_t secret = 0;
  /// How long to wait for the other side's dial before this side dials, too; none: it never does.
  std::optional<Duration> dial_after{};
  /// A go-between may be asked to reach it, and it may be asked to be one.
  bool may_ask = true;
  /// The peer's, where its connections prove who they are from; none: no connection is compared.
  std::optional<KeyId> key{};
};

struct LinkTableConfig {
  /// Of links that this side dials. 0: connections_same_machine to a peer on this machine, else as many as
  /// ConnectionCount says, connections_at_first() to begin with.
  std::uint32_t connections_per_link = 0;
  /// More than one only costs where one thread carries them all.
  std::uint32_t connections_same_machine = 1;
  /// Nobody has chosen a congestion control, and the system lets this process choose BBR: links whose ways lose
  /// segments get it.
  bool may_use_bbr = false;
  StrangerBounds strangers{};
  /// There is a master who can be asked that both sides dial each other at once.
  bool asks_both = false;
  /// For the jitter of redials.
  std::uint64_t seed = 0;
};

/// Bytes that came in on a socket which is not established.
struct Received {
  SocketId socket;
  std::span<const std::byte> bytes;  ///< One at least, bytes_wanted() at most.
  TcpState state{};                  ///< What the system says of it.
  std::optional<KeyId> key{};        ///< That the other side has proven to have; none: the connection proves nothing.
};

/// What the system says of an established connection.
struct ConnectionSample {
  SocketId socket;
  bool is_full = false;  ///< It has more to send than the system takes.
  TcpState state{};
};

/// What a connection between machines holds that the network cannot take yet: enough for the time that a wake-up takes.
inline constexpr std::size_t kUnsentBytesMax = 128 << 10;

/// All links of one peer, as a pure state machine: which connections there are, who dials them and when, what becomes
/// of accepted ones until they have sent a greeting, and how many connections each link has. Which side of a link dials
/// is decided by what comes through (LinkSides). It never sees a frame.
///
/// Where no side reaches the other, or a way has died, a **go-between** helps: another member that both have links to.
/// One side asks it (GreetingKind::asks_through), it invites the other, which comes, and it joins the two connections
/// end to end. What passes is theirs alone: under TLS they prove their keys to each other through it. Such a link has
/// one connection, and the straight way is tried again now and then.
///
/// Before that, both are told by the master to dial each other at once, each from the port that it listens on, to the
/// address that the other's NAT shows (AskBothDial, dial_at_once). Where the dials cross, both are one connection, and
/// the smaller id greets. Such a link has one connection: others would have ports that nobody knows. Where one of the
/// two dials has simply come through, it is one like any other, and further ones go to the same address.
///
/// Getters; commands of the engine; events of sockets; time. Each command and event appends what is to be done to
/// `out`, to be done in that order before the next command or event, but for events that an action names as its answer:
/// these may come while the rest is still to be done. Whatever concerns a socket or link that is no more is ignored.
/// After each, next_deadline() may be another.
class LinkTable {
 public:
  explicit LinkTable(const LinkTableConfig& config);

  // Getters.
  PeerId self() const { return self_; }
  /// When tick() is to be called at the latest.
  std::optional<Instant> next_deadline() const;
  /// Accepted connections of no link yet.
  std::size_t strangers() const { return strangers_.size(); }
  /// How many bytes to read of a socket that is not established, at most. 0: none now. A dialled one is never to be
  /// read further: what follows are frames.
  std::size_t bytes_wanted(SocketId socket) const;
  /// The socket has a place here, in any state.
  bool knows(SocketId socket) const;
  /// The established connection of this name.
  std::optional<SocketId> established(ConnectionName name) const;
  /// Likewise, if it is of this incarnation, as its Up said.
  bool is_established(ConnectionName name, std::uint64_t incarnation) const;
  bool has_link(PeerId peer) const { return links_.contains(peer); }
  /// Of the link, established or not; 0 where there is none.
  std::size_t connections(PeerId peer) const;
  /// The link stands, by way of a go-between.
  bool is_through(PeerId peer) const;
  /// How the link stands, and what has failed; none: there is no such link.
  std::optional<Reach> reach(PeerId peer) const;
  /// Pairs of other peers that this one has joined.
  std::size_t joined() const { return joined_.size() / 2; }
  /// Whose dial came through; undecided, too, where there is no such link.
  LinkSides::Dialler dialler(PeerId peer) const;
  /// Samples of links between machines are taken until none of them is full: used() begins anew.
  bool is_sampling() const { return sample_at_.has_value(); }

  // Commands of the engine.
  /// Who this side is from now on. Forgets all links and strangers: whoever drives it closes all sockets.
  void set_self(PeerId self);
  /// Keeps a link from now on. For a link that is kept already: takes address and secret for the connections to come,
  /// and leaves those that are established.
  void open(Instant now, const LinkTarget& target, Actions& out);
  /// Closes its connections and forgets it, without Down.
  void close(PeerId peer, Actions& out);
  /// Likewise. Takes no memory.
  void close_all();
  /// The master has told both sides: dial each other now. These are the addresses that the other one may have.
  void dial_at_once(Instant now, PeerId peer, const std::vector<Address>& to, Actions& out);
  /// Closes one connection as broken, without Down.
  void drop(Instant now, ConnectionName name, Actions& out);
  /// So many connections at least, for as long as the link is probed: they need less time to fill the way. 0: the probe
  /// is over, as many as before. Nothing happens if the other side dials, or the number is fixed.
  void widen(Instant now, PeerId peer, std::uint32_t connections, Actions& out);
  /// So many connections of a link that this side dials, at least one. Frames that one of those that go has not got
  /// through go over its sisters (Down is told).
  void resize(Instant now, PeerId peer, std::uint32_t connections, Actions& out);
  /// The same of a link that the other side dials, which does so unless its number is fixed.
  void ask(PeerId peer, std::uint32_t connections, Actions& out);
  /// There are frames for a link between machines.
  void used(Instant now);

  // Events of sockets.
  struct Newcomer {
    std::string source;  ///< Of its address; of IPv6 the first 64 bits.
    std::string remote_host;
    Digest128 machine_proof{};
    bool is_through = false;  ///< A Come led to it: a go-between has joined it to one that another peer dialled.
    bool is_punched = false;  ///< As yielded() has it.
    PeerId by{};              ///< That go-between.
  };
  /// A connection was accepted. None: its source opens too many, and it is to be closed unread.
  std::optional<SocketId> accepted(Instant now, Newcomer newcomer, Actions& out);
  void received(Instant now, const Received& received, Actions& out);
  /// All bytes of a Send were taken.
  void sent(Instant now, SocketId socket, const TcpState& state, Actions& out);
  void dialled(Instant now, SocketId socket, const Digest128& machine_proof, Actions& out);
  struct DialFailure {
    std::string why;
    bool was_refused = false;  ///< Nobody listens there.
    std::vector<std::pair<Address, std::string>> each{};  ///< Of several addresses: why each one failed.
  };
  /// A Punch has come through.
  struct Punched {
    SocketId socket;
    Digest128 machine_proof{};
    Address to;               ///< Which of its addresses.
    bool is_crossed = false;  ///< It has met the other side's dial; else the other side's listener has taken it.
  };
  void punched(Instant now, const Punched& how, Actions& out);
  /// Likewise, crossed, and the other side greets: it is as one that was accepted from now on, by the number that is
  /// returned. None: as accepted(), or the Punch is over.
  std::optional<SocketId> yielded(Instant now, SocketId socket, Newcomer newcomer, Actions& out);
  void dial_failed(Instant now, SocketId socket, const DialFailure& failure, Actions& out);
  /// It was closed or reset, in any state after the dial. It is closed at this end already.
  void broke(Instant now, SocketId socket, const std::string& reason, Actions& out);
  /// The other side of an established connection would have so many connections for the link.
  void asked(Instant now, SocketId socket, std::uint64_t connections, Actions& out);
  /// The other side of an established connection says that this peer waits there to be connected with this one.
  void invited(Instant now, SocketId socket, PeerId who, Actions& out);
  void sampled(Instant now, std::span<const ConnectionSample> samples, Actions& out);

  // Time.
  void tick(Instant now, Actions& out);

 private:
  static constexpr Duration kRedialFirst = milliseconds(20);

  /// What arrives of what is sent on a connection.
  struct Progress {
    /// Whether something is under way.
    bool look(Instant now, const TcpState& state);
    /// Nothing has arrived for so long that the way is dead.
    bool is_stuck(Instant now, Duration round_trip) const;

    std::uint64_t delivered = 0;         ///< Segments, when it was last looked at,
    std::optional<Instant> stuck_since;  ///< and since when none are though some are under way.
    Instant moved_at{};                  ///< When some were last seen to be.
    Instant looked_at{};
    bool has_moved = false;              ///< Since something has been under way without a break.
  };
  /// One connection of a link, over all its lives.
  struct Slot {
    enum class Attempt { none, waiting, dialling, greeting, unanswered };

    SocketId established;
    Progress progress;
    std::uint64_t incarnation = 0;  ///< Of the one that is established, or was last.
    std::optional<Instant> established_at;  ///< None once its redial has been thought of.

    // Dialling side.
    Attempt attempt = Attempt::none;
    SocketId socket;             ///< Of the attempt.
    std::optional<Instant> due;  ///< Of the redial, or the bound of the answer.
    Instant greeted_at{};
    Digest128 proof{};           ///< That goes with the greeting.
    Address to;                  ///< That is dialled.
    bool is_crossed = false;     ///< As Punched has it.
    std::array<std::byte, kGreetingAnswerBytes> answer{};
    std::size_t answered = 0;
    Duration delay = kRedialFirst;  ///< Before the next redial.
  };
  struct Link {
    /// Another connection would not come to be.
    bool is_single() const { return is_through || is_punched; }
    bool dials() const { return sides.dialler() == LinkSides::Dialler::ours; }
    bool has_connection() const;

    LinkTarget target;
    LinkSides sides;
    bool is_through = false;  ///< Its only connection goes by a go-between,
    bool is_punched = false;  ///< or came of both sides dialling at once; or was so, and is down.
    std::optional<Address> dial_to{};  ///< What the target's address was not, and this one was: reached.
    Reach reach{};
    std::string straight_why;  ///< As StraightFailed has told it; empty once a straight connection is established.
    Instant down_since{};      ///< Its last connection is down.
    Instant established_at{};  ///< Its latest connection.
    Duration round_trip{};    ///< As its last handshake showed.
    // The attempt that is none of the slots': by a go-between, or straight while the link goes by one.
    Slot aside;
    bool aside_is_through = false;
    std::optional<Instant> aside_at;  ///< When the next one is made.
    std::size_t asides = 0;  ///< In a row that failed.
    // The attempt at which both sides dial.
    Slot punch;
    std::vector<Address> punch_to;
    std::optional<Instant> punch_at;  ///< When the master is asked next.
    std::size_t punches = 0;          ///< In a row that it was asked.
    TokenBucket punchings{{.burst = 4, .per_second = 0.5}};
    PeerId by{};             ///< Which go-between was asked last,
    PeerId unlucky_by{};     ///< and which one did not hold.
    // How often an invitation to meet it is followed, and how often one that comes from it.
    TokenBucket comings{{.burst = 8, .per_second = 2}};
    TokenBucket invitations{{.burst = 64, .per_second = 4}};
    std::optional<Instant> straight_not_before;  ///< The straight way takes connections, and nothing on them.
    Duration straight_pause{};
    std::optional<Instant> look_at;  ///< At the sides.
    std::vector<Slot> slots;
    bool between_machines = false;
    std::optional<ConnectionCount> count;  ///< Where the number follows what is measured.
    bool is_widened = false;  ///< For a probe; the number is not to be judged by what happens meanwhile.
    std::uint64_t segments_sent = 0;  ///< Of all its connections, when they were last looked at.
    std::uint64_t segments_repeated = 0;
    std::uint64_t segments_delivered = 0;
    LossJudge losses;
    bool uses_bbr = false;  ///< Its connections were told to.
    std::optional<Instant> armed;  ///< As in deadlines_.
  };
  struct LinkSum;

  Link* find(PeerId peer);
  const Link* find(PeerId peer) const;
  Slot* find_slot(ConnectionName name);
  const Slot* find_slot(ConnectionName name) const;
  SocketId new_socket() { return SocketId{++sockets_made_}; }
  void arm(Instant now, Link& link);
  void arm_if_kept(Instant now, PeerId peer);
  void disarm(Link& link);
  void close_link(Link& link, Actions& out);
  void forget_established(Slot& slot);
  void all_down(Instant now, Link& link);
  /// A slot leaves the link: its attempt is given up and its connection closed.
  void close_slot(Link& link, std::uint32_t index, const char* reason, Actions& out);
  void tick_link(Instant now, PeerId peer, Actions& out);

  // Both sides (link_table.cpp).
  struct Handshake {
    SocketId socket;
    bool same_machine = false;
    bool is_through = false;
    bool is_punched = false;
    Address address;
    PeerId by{};
    Duration round_trip{};
    bool fills_alone = false;  ///< As TcpState has it.
  };
  void establish(Instant now, ConnectionName name, const Handshake& handshake, Actions& out);
  void connection_broke(Instant now, ConnectionName name, const std::string& reason, Actions& out);

  // Accepting side (link_table_accept.cpp).
  void received_of_stranger(Instant now, Stranger& stranger, const Received& received, Actions& out);
  void judge(Instant now, SocketId socket, Actions& out);
  void judge_held(Instant now, PeerId peer, Actions& out);
  void accept_stranger(Instant now, SocketId socket, const TcpState& state, Actions& out);
  void refuse(SocketId socket, GreetingAnswer answer, const std::string& why, Actions& out);
  void turn_away(SocketId socket, const std::string& why, Actions& out);
  void make_room(const std::string& source, Actions& out);
  void sweep(Instant now, Actions& out);

  // Dialling side (link_table_dial.cpp).
  void look_at_sides(Instant now, Link& link, Actions& out);
  void leave_dialling(Link& link, Actions& out);
  void take_place_of_all(Link& link, Actions& out);
  void dial(Link& link, std::uint32_t index, Actions& out);
  void dial_up_to(Link& link, std::size_t connections, Actions& out);
  void received_answer(Instant now, ConnectionName name, const Received& received, Actions& out);
  void stop_attempt(Slot& slot, Actions& out);
  static void tell_straight_failed(Link& link, Actions& out);
  void attempt_failed(Instant now, ConnectionName name, const DialFailure& failure, Actions& out);
  void redial_later(Instant now, Link& link, Slot& slot, Actions& out);

  // By a go-between (link_table_aside.cpp).
  static constexpr std::uint32_t kAside = 0xffffffff;  ///< In the place of a slot's index.
  static bool is_go_between(const Link& link, PeerId to);
  bool has_go_between(PeerId to) const;
  std::vector<const Link*> go_betweens(PeerId to) const;
  void arm_those_that_are_down(Instant now);
  void plan_aside(Instant now, Link& link);
  void free_straight(Instant now, Link& link);
  void begin_aside(Instant now, Link& link, Actions& out);
  void aside_failed(Instant now, Link& link, const std::string& why, Actions& out);
  void judge_meeting(Instant now, Stranger& stranger, const Link& from, Actions& out);
  void part(SocketId socket, Actions& out);
  /// Those on which nothing has moved since then; without: all.
  void part_all_of(PeerId peer, std::optional<Instant> unmoved_since, Actions& out);
  Progress* progress_of(SocketId socket);
  void give_up_stuck(Instant now, SocketId socket, Actions& out);
  void give_up_way(Instant now, Link& link, Instant dead_since, Actions& out);
  void give_up_straight(Instant now, Link& link, Instant dead_since, bool was_good);

  // By both sides at once (link_table_punch.cpp).
  static constexpr std::uint32_t kPunch = 0xfffffffe;  ///< Likewise.
  void plan_punch(Instant now, Link& link);
  void ask_both(Link& link, Actions& out);
  void punch_failed(Instant now, Link& link, const DialFailure& failure, Actions& out);
  static bool comes_too_late(Instant now, const Stranger& stranger, const Link& link);
  static bool has_greeted(const Link& link);
  std::string describe_way(const Link& link) const;
  static void note_failure(Instant now, Link& link, const Address& to, const std::string& why, bool is_through = false);

  // How many connections (link_table_count.cpp).
  void use_bbr(Link& link, Actions& out);
  void add_sample(std::map<PeerId, LinkSum>& sums, const ConnectionSample& sample, Actions& out);
  std::optional<std::uint32_t> judge_count(Instant now, Link& link, LinkSum sum, bool& in_use, Actions& out);
  void take_samples(Actions& out);

  LinkTableConfig config_;
  Random random_;
  PeerId self_;
  std::map<PeerId, Link> links_;
  std::set<std::pair<Instant, PeerId>> deadlines_;  ///< Of links.
  std::map<SocketId, ConnectionName> sockets_;      ///< Of attempts and established connections.
  /// Connections of others that are joined here, each with the one that it is joined to.
  struct Joined {
    SocketId to;
    PeerId who;
    Progress progress{};
  };
  std::map<SocketId, Joined> joined_;
  Strangers strangers_;
  std::uint64_t sockets_made_ = 0;
  std::uint64_t incarnations_ = 0;  ///< Of all connections that ever were established.
  std::optional<Instant> sample_at_;
};

}  // namespace hawser::links
