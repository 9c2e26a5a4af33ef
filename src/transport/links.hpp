#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "links/link_table.hpp"
#include "transport/data_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/frame_traffic.hpp"
#include "transport/meeting.hpp"
#include "transport/name_lookup.hpp"
#include "transport/punch.hpp"
#include "transport/splice.hpp"
#include "transport/stream.hpp"

namespace hawser::transport {

using links::LinkTarget;

struct LinksConfig {
  links::LinkTableConfig table{};
  /// Payloads between peers on one machine carry a checksum too.
  bool check_same_host = false;
  TcpOptions tcp = {};
  TlsPtr tls{};  ///< Null: in plain.
  bool insecure = true;  ///< In plain also to other machines.
  /// Links between peers on one machine stay under TLS, too.
  bool tls_same_host = false;
  /// Where the listener listens, if it shares its port; port 0: it does not.
  Address listens{};
  /// Gives the io_context whose thread carries the next connection, and says whether a thread is that of one; null: all
  /// are carried by the thread of Links.
  std::function<asio::io_context&()> next_lane{};
  std::function<bool(asio::io_context& io)> is_own_thread{};
};

/// The sockets of all links of one peer. A LinkTable decides everything about them; this gives it what comes from
/// sockets and timers, and does what it asks for, in order. Frames pass it by: DataConnection carries them. Lives on
/// one io_context; not thread-safe, save what is said to be. Nothing here blocks. Everything that happens is told to a
/// FrameTraffic.
class Links {
 public:
  Links(asio::io_context& io, NameLookup& names, LinksConfig config, FrameTraffic& traffic);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  // As LinkTable has them. close_all() takes no memory.
  void set_self(PeerId self);
  void open(const LinkTarget& target);
  void close(PeerId peer);
  void close_all();
  void dial_at_once(PeerId peer, const std::vector<Address>& to);
  void drop(ConnectionName connection);
  void resize(PeerId peer, std::uint32_t connections);
  void ask(PeerId peer, std::uint32_t connections);
  void widen(PeerId peer, std::uint32_t connections);
  bool is_established(ConnectionName connection, std::uint64_t incarnation) const;
  std::optional<links::Reach> reach(PeerId peer) const { return table_.reach(peer); }
  std::size_t strangers() const { return table_.strangers(); }

  /// A connection that the listener accepted, or that a go-between has brought.
  void accepted(Stream stream, const std::string& remote_host, PeerId go_between = {});
  /// The traffic knows of this connection, and takes its frames.
  void begin(ConnectionName connection);

  // From any thread.

  /// There may be frames for this link, or for this connection of it.
  void wake(PeerId peer);
  void wake(ConnectionName connection);
  /// See DataConnection. Unknown connections are ignored.
  void release_send(ConnectionName connection);
  void release_receive(ConnectionName connection);

  /// For tests: breaks every connection of every link as a network would.
  void shut_down_connections();

 private:
  struct Handshake;
  /// The connections of one link that carry frames, by their numbers; null where there is none.
  struct Carriers {
    std::vector<std::shared_ptr<DataConnection>> connections;
    bool between_machines = false;
    std::size_t turn = 0;  ///< Which connection is asked first, so that each has its share of single frames.
  };

  void perform(links::Actions& actions);
  void perform_one(const links::Dial& action, links::Actions& next);
  void perform_one(const links::Come& action, links::Actions& next);
  void perform_one(const links::AskBothDial& action, links::Actions& next);
  void perform_one(const links::Punch& action, links::Actions& next);
  void perform_one(const links::Invite& action, links::Actions& next);
  void perform_one(const links::Join& action, links::Actions& next);
  void perform_one(const links::Send& action, links::Actions& next);
  void perform_one(const links::Close& action, links::Actions& next);
  void perform_one(const links::Establish& action, links::Actions& next);
  void perform_one(links::Up& action, links::Actions& next);
  void perform_one(links::Down& action, links::Actions& next);
  void perform_one(const links::Refused& action, links::Actions& next);
  void perform_one(links::StraightFailed& action, links::Actions& next);
  void perform_one(const links::RoundTrips& action, links::Actions& next);
  void perform_one(const links::TakeSamples& action, links::Actions& next);
  void perform_one(const links::LimitQueue& action, links::Actions& next);
  void perform_one(const links::UseBbr& action, links::Actions& next);
  TcpState connecting_state(Stream& stream) const;
  void perform_one(const links::AskConnections& action, links::Actions& next);
  void perform_one(LogEvent& action, links::Actions& next);

  /// Lets the table do something, and performs what it asks for.
  template <class Ask>
  void ask_table(const Ask& ask);
  void arm();
  void dialled(links::SocketId socket, Result<Stream> result, bool was_refused, bool is_through = false);
  void punched(links::SocketId socket, Punch::Outcome outcome);
  void wait_readable(const std::shared_ptr<Handshake>& handshake);
  bool read(const std::shared_ptr<Handshake>& handshake);
  static bool has_read_preface(Handshake& handshake, std::error_code& error);
  void broke(links::SocketId socket, const std::string& reason);
  void forget(const DataConnection& connection);
  void use();
  std::shared_ptr<DataConnection> find(ConnectionName connection) const;

  asio::io_context& io_;
  NameLookup& names_;
  LinksConfig config_;
  FrameTraffic& traffic_;
  links::LinkTable table_;
  std::unordered_map<links::SocketId, std::shared_ptr<Dial>> dials_;
  std::unordered_map<links::SocketId, std::shared_ptr<Meeting>> meetings_;  ///< Of dials by a go-between.
  std::unordered_map<links::SocketId, std::shared_ptr<Punch>> punches_;
  std::set<std::shared_ptr<Meeting>> comings_;
  /// Connections of others that are joined here, and which end of it each is.
  std::unordered_map<links::SocketId, std::pair<std::shared_ptr<Splice>, std::size_t>> splices_;
  std::unordered_map<links::SocketId, std::shared_ptr<Handshake>> handshakes_;
  std::unordered_map<links::SocketId, std::shared_ptr<DataConnection>> connections_;
  mutable std::mutex carriers_mutex_;
  std::unordered_map<PeerId, Carriers> carriers_;  ///< With their mutex.
  std::atomic<bool> is_sampling_{false};           ///< What the table says.
  asio::steady_timer timer_;
  std::optional<Instant> armed_;
};

}  // namespace hawser::transport
