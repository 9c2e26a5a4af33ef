#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "transport/data_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/frame_traffic.hpp"
#include "transport/name_lookup.hpp"
#include "transport/socket_options.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::transport {

struct LinksConfig {
  /// Of links that this side dials. 0: one to a peer on this host, where more would only cost, else as many as
  /// ConnectionCount says, connections_at_first() to begin with.
  std::uint32_t connections_per_link = 0;
  /// Payloads between peers on one host carry a checksum too.
  bool check_same_host = false;
  TcpOptions tcp = {};
  /// An accepted connection must have said who it is after so long.
  std::chrono::milliseconds greeting_bound{5000};
  /// One that has, waits so long for its link to be opened here.
  std::chrono::milliseconds held_bound{5000};
  /// Accepted connections of no link yet: all, and those of one address.
  std::size_t strangers_max = limits::kStrangersMax;
  std::size_t strangers_per_source_max = limits::kHandshakesPerSourceMax;
  /// How many one address may open.
  TokenBucket::Rate opens_per_source{.burst = limits::kHandshakesBurst, .per_second = limits::kHandshakesPerSecond};
  /// For the jitter of redials.
  std::uint64_t seed = 0;
};

/// The other end of a link.
struct LinkTarget {
  PeerId peer;
  std::string name;
  Address address;
  /// Both sides show and expect it.
  std::uint64_t secret = 0;
  /// How long to wait for the other side's dial before this side dials, too; none: it never does.
  std::optional<Duration> dial_after{};
};

/// All links of one peer: keeps the connections of each, dials, redials, accepts, and keeps strangers off. Which side of a
/// link dials is decided by what comes through (LinkSides).
/// Lives on one io_context; not thread-safe. Everything that happens is told to a FrameTraffic.
class Links {
 public:
  Links(asio::io_context& io, NameLookup& names, LinksConfig config, FrameTraffic& traffic);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Who this side is from now on. Closes all links.
  void set_self(PeerId self);

  /// Keeps a link from now on. For a link that is kept already: takes address and secret for the connections to come,
  /// and leaves those that stand.
  void open(const LinkTarget& target);
  /// Closes its connections and forgets it. No link_down is told.
  void close(PeerId peer);
  /// Closes all links and strangers.
  void close_all();

  /// A connection that the listener accepted.
  void accepted(Tcp::socket socket, const std::string& remote_host);

  /// There may be frames for this link.
  void wake(PeerId peer);
  /// See DataConnection. Unknown connections are ignored.
  void release_send(ConnectionName connection);
  void release_receive(ConnectionName connection);
  /// Closes one connection as broken, without telling link_down or the log.
  void drop(ConnectionName connection);
  /// Whether this incarnation of a connection, as link_up told of it, stands still.
  bool stands(ConnectionName connection, std::uint64_t incarnation) const;

  /// So many connections of a link that this side dials, at least one. Frames that one of those that go has not got
  /// through go over its sisters (link_down is told).
  void resize(PeerId peer, std::uint32_t connections);
  /// The same of a link that the other side dials, which does so unless its number is fixed.
  void ask(PeerId peer, std::uint32_t connections);

  /// So many connections at least, for as long as the link is probed: they need less time to fill the way. 0: it is
  /// over, as many as before. Nothing happens if the other side dials, or the number is fixed.
  void widen(PeerId peer, std::uint32_t connections);

  /// For tests: breaks every connection of every link as a network would.
  void shut_down_connections();
  std::size_t strangers() const { return strangers_.size(); }

 private:
  struct Stranger;
  struct Slot;
  struct Link;
  using StrangerList = std::list<std::shared_ptr<Stranger>>;

  // Accepting side.
  void read_greeting(const std::shared_ptr<Stranger>& stranger);
  void judge(const std::shared_ptr<Stranger>& stranger);
  void admit(const std::shared_ptr<Stranger>& stranger, Link& link);
  void judge_waiting(PeerId peer);
  void refuse(const std::shared_ptr<Stranger>& stranger, GreetingAnswer answer, const std::string& why);
  void turn_away(const std::shared_ptr<Stranger>& stranger, const std::string& why);
  bool may_open(const std::string& source);
  void make_room(const std::string& source);
  void arm_sweep();
  void sweep();
  void forget(const std::shared_ptr<Stranger>& stranger);

  // Dialling side.
  void arm_sides(Link& link);
  void look_at_sides(Link& link);
  void leave_dialling(Link& link);
  void dial(Link& link, std::uint32_t index);
  void dial_up_to(Link& link, std::size_t connections);
  void greet(const std::shared_ptr<Slot>& slot, Tcp::socket socket);
  void read_answer(const std::shared_ptr<Slot>& slot);
  void attempt_failed(const std::shared_ptr<Slot>& slot, const std::string& why, bool was_refused = false);
  void redial_later(const std::shared_ptr<Slot>& slot);
  void stop_attempt(Slot& slot);

  // How many connections.
  void arm_count();
  void asked(const std::shared_ptr<Slot>& slot, std::uint64_t connections);
  void count();

  void stand(const std::shared_ptr<Slot>& slot, Tcp::socket socket, bool same_machine);
  void broke(const std::shared_ptr<Slot>& slot, const std::string& reason);
  void close_link(Link& link);
  Link* find(PeerId peer) const;
  Slot* find_slot(ConnectionName connection) const;
  void log(LogLevel level, const char* what, std::string text);

  asio::io_context& io_;
  NameLookup& names_;
  LinksConfig config_;
  FrameTraffic& traffic_;
  Random random_;
  PeerId self_;
  std::unordered_map<PeerId, std::unique_ptr<Link>> links_;
  std::uint64_t incarnations_ = 0;  ///< Of all connections that ever stood.
  StrangerList strangers_;  ///< Oldest first.
  std::map<std::string, TokenBucket> opens_;  ///< By source.
  asio::steady_timer sweep_;
  bool sweeping_ = false;
  asio::steady_timer counting_;
  bool is_counting_ = false;
};

}  // namespace hawser::transport
