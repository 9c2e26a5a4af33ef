#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "base/ids.hpp"
#include "membership/master_machine.hpp"
#include "sim/control_client.hpp"
#include "sim/lane.hpp"

namespace hawser::sim {

class MasterProcess;
class World;

/// How a process ends, as the other side of its connections sees it.
enum class Ending {
  flushed,   ///< The kernel sends what was written, then closes.
  reset,     ///< Part of what is on its way is lost; the other side is told.
  vanished,  ///< Likewise, and nobody is told: the host lost its power.
};

/// Who learns that a control connection broke. The others find out by their own bounds.
enum class CutSeenBy { both, peer, master, nobody };

/// A control connection between one client and one incarnation of the master.
struct ControlConnection {
  struct Up {};
  struct Down {
    std::string reason;
  };
  ConnectionId id;
  ControlClient* peer = nullptr;
  MasterProcess* master = nullptr;
  std::uint64_t incarnation = 0;
  std::uint64_t service = 0;
  ConnectionRole role = ConnectionRole::stranger;
  bool prefetches = false;  ///< As it said in its hello.
  bool announced = false;   ///< The members were told of it.
  Lane<std::variant<Up, PeerMessage, Down>> to_master;
  Lane<std::variant<Up, MasterMessage, Down>> to_peer;
  bool peer_up = false;      ///< The engine was told MasterUp, and neither it nor the network closed.
  bool master_open = false;  ///< Likewise for the machine.
};

/// Control connections: FIFO, each message with its own random delay.
class ControlNetwork {
 public:
  explicit ControlNetwork(World& world) : world_(world) {}

  // What a client asks for.
  void dial(ControlClient& peer, std::size_t which = 0);
  void send(ControlClient& peer, PeerMessage message);
  void close(ControlClient& peer, const std::string& reason);
  // What the master machine asks for.
  void send(ConnectionId to, MasterMessage message);
  void close(ConnectionId connection, const std::string& reason);
  void set_role(ConnectionId connection, ConnectionRole role);

  void process_gone(ControlClient& peer, Ending ending);
  void process_awake(ControlClient& peer);
  void master_awake(const MasterProcess& master);
  /// Called before the master's incarnation ends.
  void master_gone(const MasterProcess& master, Ending ending);
  /// From now on nothing passes between the two; dials are refused, or nothing comes of them.
  void cut_off(ControlClient& peer, MasterProcess& master, CutSeenBy told, bool refuses);
  void cut_off(const MasterProcess& a, const MasterProcess& b);
  bool are_cut(const MasterProcess& a, const MasterProcess& b) const { return apart_.contains({&a, &b}); }
  void heal();
  void cut(ControlClient& peer, CutSeenBy told);
  /// Sends the last message of this kind from or to the peer once more over its connection of now, as no
  /// honest sender does. False if there was none, or if there is no connection.
  bool repeat_of_peer(ControlClient& peer, const std::string& kind);
  bool repeat_of_master(ControlClient& peer, const std::string& kind);
  /// Keeps what is sent, for repeats.
  void keep_messages() { keeps_ = true; }

 private:
  using Connection = ControlConnection;
  void attempt(ControlClient& peer, MasterProcess& master, std::uint64_t dial);
  void read_as_master(Connection& connection);
  void read_as_peer(Connection& connection);
  void hear_as_master(Connection& connection, PeerMessage message);
  void note_announced(Connection& connection);
  void authenticate(Connection& connection);
  void cut_by_master(Connection& connection, const std::string& reason);
  template <class Item>
  void put_to_master(Connection& connection, Duration delay, Item item);
  template <class Item>
  void put_to_peer(Connection& connection, Duration delay, Item item);
  Duration delay();
  Duration told();

  World& world_;
  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::uint64_t dials_ = 0;
  std::map<std::pair<const ControlClient*, const MasterProcess*>, bool> cut_off_;  ///< Whether it refuses.
  std::set<std::pair<const MasterProcess*, const MasterProcess*>> apart_;
  bool keeps_ = false;
  std::map<std::pair<ControlClient*, std::string>, PeerMessage> kept_of_peers_;
  std::map<std::pair<ControlClient*, std::string>, MasterMessage> kept_of_master_;
};

}  // namespace hawser::sim
