#include "sim/control_network.hpp"

#include <utility>

#include "base/limits.hpp"
#include "sim/wire_check.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

Duration ControlNetwork::delay() { return world_.profile.network.control_delay.draw(world_.random); }
Duration ControlNetwork::told() { return world_.profile.network.told.draw(world_.random); }

template <class Item>
void ControlNetwork::put_to_master(Connection& connection, Duration delay, Item item) {
  const Instant due = connection.to_master.put(world_.queue.now() + delay, std::move(item));
  world_.queue.at(due, [this, &connection] { read_as_master(connection); });
}

template <class Item>
void ControlNetwork::put_to_peer(Connection& connection, Duration delay, Item item) {
  const Instant due = connection.to_peer.put(world_.queue.now() + delay, std::move(item));
  world_.queue.at(due, [this, &connection] { read_as_peer(connection); });
}

void ControlNetwork::dial(ControlClient& peer, std::size_t which) {
  if (peer.control.connection || peer.control.dial != 0)
    throw Violation(peer.name() + " dials the master though it has a connection or a dial in progress");
  peer.control.dial = ++dials_;
  world_.queue.after(
      world_.profile.network.control_dial.draw(world_.random),
      [this, &peer, &master = *world_.masters().at(which), dial = dials_] { attempt(peer, master, dial); });
}

void ControlNetwork::attempt(ControlClient& peer, MasterProcess& master, std::uint64_t dial) {
  if (peer.gone() || peer.control.dial != dial) return;
  const auto cut = cut_off_.find({&peer, &master});
  if (cut != cut_off_.end() && !cut->second) return;
  if (!master.running() || cut != cut_off_.end()) {
    world_.coverage.saw("sim: dial while the master is down");
    peer.in_process(told(), [&peer, dial] {
      if (peer.control.dial != dial) return;
      peer.control.dial = 0;
      peer.hear(MasterDown{.reason = "connection refused"});
    });
    return;
  }
  peer.control.dial = 0;
  const ConnectionId id{connections_.size() + 1};
  auto& connection = *(connections_[id] = std::make_unique<Connection>());
  connection.id = id;
  connection.peer = &peer;
  connection.master = &master;
  connection.incarnation = master.incarnation();
  connection.service = master.service();
  peer.control.connection = &connection;
  put_to_master(connection, delay(), Connection::Up{});
  put_to_peer(connection, delay(), Connection::Up{});
}

void ControlNetwork::send(ControlClient& peer, PeerMessage message) {
  Connection* connection = peer.control.connection;
  if (!connection || !connection->peer_up)
    throw Violation(peer.name() + " sends " + kind_of(message) + " to the master without a connection");
  if (keeps_) kept_of_peers_[{&peer, kind_of(message)}] = message;
  if (connection->to_master.is_cut()) return;
  put_to_master(*connection, delay(), std::move(message));
  if (connection->to_master.size() > 20000)
    throw Violation(peer.name() + " has written 20,000 messages to the master that were not read");
}

void ControlNetwork::close(ControlClient& peer, const std::string& reason) {
  peer.control.dial = 0;
  Connection* connection = std::exchange(peer.control.connection, nullptr);
  if (!connection) return;
  connection->peer_up = false;
  connection->to_peer.clear();
  if (connection->to_master.is_cut()) return;
  put_to_master(*connection, delay(), Connection::Down{.reason = "closed by the peer: " + reason});
  connection->to_master.cut(world_.random, Keep::all);
}

void ControlNetwork::send(ConnectionId to, MasterMessage message) {
  const auto found = connections_.find(to);
  if (found == connections_.end() || !found->second->master_open)
    throw Violation(std::string("the master sends ") + kind_of(message) +
                    " over a connection that it has not");
  if (const auto* welcome = std::get_if<Welcome>(&message); welcome && !found->second->peer->may_lie())
    world_.hearsay.run = welcome->run;
  if (std::holds_alternative<GroupMembers>(message)) note_announced(*found->second);
  if (keeps_) kept_of_master_[{found->second->peer, kind_of(message)}] = message;
  if (found->second->to_peer.is_cut()) return;
  put_to_peer(*found->second, delay(), std::move(message));
}

void ControlNetwork::close(ConnectionId id, const std::string& reason) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second->master_open)
    throw Violation("the master closes a connection that it has not");
  Connection& connection = *found->second;
  connection.master_open = false;
  connection.to_master.clear();
  connection.to_master.cut(world_.random, Keep::all);
  if (connection.to_peer.is_cut()) return;
  put_to_peer(connection, delay(), Connection::Down{.reason = "closed by the master: " + reason});
  connection.to_peer.cut(world_.random, Keep::all);
}

void ControlNetwork::read_as_master(Connection& connection) {
  MasterProcess& master = *connection.master;
  if (connection.incarnation != master.incarnation() || !master.running()) return connection.to_master.clear();
  if (master.stopped() || !connection.to_master.readable(world_.queue.now())) return;
  auto item = connection.to_master.take();
  if (std::holds_alternative<Connection::Up>(item)) {
    connection.master_open = true;
    // It may have stepped down since it was dialled: whoever comes now is told by another one.
    connection.service = master.service();
    connection.master->deliver(
        ConnectionOpened{.connection = connection.id, .remote_host = connection.peer->host(), .remote_port = 1});
    authenticate(connection);
  } else if (!connection.master_open) {
    return;
  } else if (auto* message = std::get_if<PeerMessage>(&item)) {
    hear_as_master(connection, std::move(*message));
  } else {
    connection.master_open = false;
    connection.master->deliver(
        ConnectionClosed{.connection = connection.id, .reason = std::get<Connection::Down>(item).reason});
  }
}

/// As the master's driver does: nothing is read of whoever has no key of the run.
void ControlNetwork::authenticate(Connection& connection) {
  if (!world_.profile.network.keys || !connection.master_open) return;
  const auto badge = connection.peer->badge();
  if (badge) return connection.master->deliver(Authenticated{.connection = connection.id, .badge = *badge});
  world_.coverage.saw("stranger: without a key");
  cut_by_master(connection, "it has no key of this run");
}

/// As the master's driver does: what is too long for a connection of its kind, or no message at all, ends that
/// connection.
void ControlNetwork::hear_as_master(Connection& connection, PeerMessage message) {
  if (connection.peer->may_lie()) {
    const auto decoded = message_of_a_liar(message, connection.role);
    if (!decoded) {
      world_.coverage.saw("sim: message refused by its codec");
      return cut_by_master(connection, decoded.error().sentence);
    }
    message = *decoded;
    if (const auto* hello = std::get_if<Hello>(&message)) connection.prefetches = hello->prefetches;
  } else if (world_.profile.network.wire_codecs) {
    message = through_bytes(message);
  }
  connection.master->deliver(PeerSaid{.connection = connection.id, .message = std::move(message)});
}

/// Members open links to few newcomers of one address at a time.
void ControlNetwork::note_announced(Connection& connection) {
  if (!connection.peer->may_lie() || connection.prefetches || std::exchange(connection.announced, true)) return;
  std::size_t of_host = 0;
  for (const auto& [id, one] : connections_)
    if (one->master_open && one->announced && one->peer->host() == connection.peer->host()) ++of_host;
  if (of_host > limits::kUnprovenPerSourceMax && world_.profile.faults.gentle)
    throw Violation("the members are to open links to " + std::to_string(of_host) + " strangers of one address");
}

void ControlNetwork::cut_by_master(Connection& connection, const std::string& reason) {
  close(connection.id, reason);
  connection.master->deliver(ConnectionClosed{.connection = connection.id, .reason = reason});
}

void ControlNetwork::set_role(ConnectionId id, ConnectionRole role) { connections_.at(id)->role = role; }

void ControlNetwork::read_as_peer(Connection& connection) {
  ControlClient& peer = *connection.peer;
  if (peer.gone() || peer.control.connection != &connection) return connection.to_peer.clear();
  if (peer.stopped() || !connection.to_peer.readable(world_.queue.now())) return;
  auto item = connection.to_peer.take();
  if (std::holds_alternative<Connection::Up>(item)) {
    connection.peer_up = true;
    peer.hear(MasterUp{{.port = 1, .hosts = {}, .is_from_port = true}});
  } else if (auto* message = std::get_if<MasterMessage>(&item)) {
    if (world_.profile.network.wire_codecs) *message = through_bytes(*message);
    peer.control.heard_service = connection.service;
    peer.hear(MasterSaid{std::move(*message)});
  } else {
    peer.control.connection = nullptr;
    connection.peer_up = false;
    peer.hear(MasterDown{.reason = std::get<Connection::Down>(item).reason});
  }
}

void ControlNetwork::process_gone(ControlClient& peer, Ending ending) {
  peer.control.dial = 0;
  Connection* connection = std::exchange(peer.control.connection, nullptr);
  if (!connection) return;
  connection->peer_up = false;
  connection->to_peer.clear();
  connection->to_peer.cut(world_.random, Keep::all);
  if (connection->to_master.is_cut()) return;
  connection->to_master.cut(world_.random,
                            ending == Ending::flushed ? Keep::all : world_.profile.network.cut_keeps);
  if (ending != Ending::vanished)
    put_to_master(*connection, told(), Connection::Down{.reason = "closed by the peer"});
}

void ControlNetwork::process_awake(ControlClient& peer) {
  Connection* connection = peer.control.connection;
  if (!connection) return;
  connection->to_peer.wake(world_.queue.now() + delay(), [&](Instant due) {
    world_.queue.at(due, [this, connection] { read_as_peer(*connection); });
  });
}

void ControlNetwork::master_awake(const MasterProcess& master) {
  for (const auto& entry : connections_) {
    Connection& connection = *entry.second;
    if (connection.incarnation != master.incarnation()) continue;
    connection.to_master.wake(world_.queue.now() + delay(), [&](Instant due) {
      world_.queue.at(due, [this, &connection] { read_as_master(connection); });
    });
  }
}

void ControlNetwork::master_gone(const MasterProcess& master, Ending ending) {
  for (const auto& [id, connection] : connections_) {
    if (connection->incarnation != master.incarnation()) continue;
    connection->master_open = false;
    connection->to_master.clear();
    connection->to_master.cut(world_.random, Keep::all);
    if (connection->to_peer.is_cut()) continue;
    connection->to_peer.cut(world_.random,
                            ending == Ending::flushed ? Keep::all : world_.profile.network.cut_keeps);
    if (ending != Ending::vanished)
      put_to_peer(*connection, told(), Connection::Down{.reason = "connection reset"});
  }
}

void ControlNetwork::cut(ControlClient& peer, CutSeenBy who) {
  Connection* connection = peer.control.connection;
  if (!connection) return;
  if (!connection->to_master.is_cut()) {
    connection->to_master.cut(world_.random, world_.profile.network.cut_keeps);
    if (who == CutSeenBy::both || who == CutSeenBy::master)
      put_to_master(*connection, told(), Connection::Down{.reason = "connection reset"});
  }
  if (!connection->to_peer.is_cut()) {
    connection->to_peer.cut(world_.random, world_.profile.network.cut_keeps);
    if (who == CutSeenBy::both || who == CutSeenBy::peer)
      put_to_peer(*connection, told(), Connection::Down{.reason = "connection reset"});
  }
}

void ControlNetwork::cut_off(ControlClient& peer, MasterProcess& master, CutSeenBy told, bool refuses) {
  cut_off_[{&peer, &master}] = refuses;
  if (peer.control.connection && peer.control.connection->master == &master) cut(peer, told);
}

void ControlNetwork::cut_off(const MasterProcess& a, const MasterProcess& b) {
  apart_.insert({&a, &b});
  apart_.insert({&b, &a});
}

void ControlNetwork::heal() {
  cut_off_.clear();
  apart_.clear();
}

bool ControlNetwork::repeat_of_peer(ControlClient& peer, const std::string& kind) {
  const auto kept = kept_of_peers_.find({&peer, kind});
  Connection* connection = peer.control.connection;
  if (kept == kept_of_peers_.end() || !connection || !connection->peer_up) return false;
  put_to_master(*connection, delay(), kept->second);
  return true;
}

bool ControlNetwork::repeat_of_master(ControlClient& peer, const std::string& kind) {
  const auto kept = kept_of_master_.find({&peer, kind});
  Connection* connection = peer.control.connection;
  if (kept == kept_of_master_.end() || !connection || !connection->master_open) return false;
  put_to_peer(*connection, delay(), kept->second);
  return true;
}

}  // namespace hawser::sim
