#include "membership/master_machine.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

namespace hawser {
namespace {

constexpr std::size_t kExpelledRemembered = 1024;
constexpr Duration kTickMayBeLate = milliseconds(50);

}  // namespace

std::string names_of(const std::vector<Member>& members) {
  constexpr std::size_t kNamed = 8;
  std::string names;
  for (std::size_t i = 0; i < members.size() && i < kNamed; ++i)
    names += (names.empty() ? "" : ", ") + members[i].name + " (" + to_string(members[i].address) + ")";
  if (members.size() > kNamed) names += " and " + std::to_string(members.size() - kNamed) + " more";
  return names;
}

MasterActions one_by_one(MasterActions actions) {
  MasterActions all;
  for (MasterAction& action : actions) {
    if (const auto* const send = std::get_if<SendToPeers>(&action))
      for (const ConnectionId connection : send->connections) all.emplace_back(SendToPeer{connection, send->message});
    else
      all.push_back(std::move(action));
  }
  return all;
}

MasterMachine::MasterMachine(MasterConfig config, std::uint64_t seed, Instant now, AdmissionRules rules)
    : state_(std::make_unique<State>(config, seed, now, std::move(rules))) {}
MasterMachine::~MasterMachine() = default;
MasterMachine::MasterMachine(MasterMachine&&) noexcept = default;
MasterMachine& MasterMachine::operator=(MasterMachine&&) noexcept = default;

void MasterMachine::step(Instant now, const MasterEvent& event, MasterActions& out) {
  state_->step(now, event, out);
  if (state_->is_over()) state_ = state_->successor(now);
}
std::optional<Duration> MasterMachine::looks_for_others() const { return state_->looks_for_others(); }
std::uint32_t MasterMachine::gathered() const { return state_->gathered(); }
std::optional<Instant> MasterMachine::next_deadline() const { return state_->next_deadline(); }
MasterMachine::Snapshot MasterMachine::snapshot() const { return state_->snapshot(); }
std::vector<AttestedCollective> MasterMachine::attested() const { return state_->attested(); }

MasterMachine::State::State(MasterConfig config, std::uint64_t seed, Instant now, AdmissionRules rules)
    : config_(config),
      rules_(std::move(rules)),
      stepped_at_(now),
      random_(seed),
      run_{random_.next()},
      link_secret_(random_.next()),
      started_at_(now),
      bootstrap_at_(now + config.bootstrap),
      news_at_(now),
      serves_(!config.has_others),
      status_made_at_(now) {}

void MasterMachine::State::step(Instant now, const MasterEvent& event, MasterActions& out) {
  // While there is anybody something happens at every pulse, unless the master itself stood still.
  const bool anybody = !connections_.empty() || !peers_.empty();
  if (anybody && now > stepped_at_ + config_.silence / 2)
    wake(now, out);
  else if (anybody && now > stepped_at_ + config_.silence / 4 + kTickMayBeLate)
    lose_time(now - stepped_at_ - config_.silence / 4);
  stepped_at_ = now;
  std::visit([&](const auto& one) { on(now, one, out); }, event);
  if (stepping_down_) return close_all(out);
  tell_news(now, out);
  // So that it is seen to have slept, whoever else is silent.
  if (connections_.empty() && peers_.empty())
    pulse_at_.reset();
  else if (!pulse_at_ || now >= *pulse_at_)
    pulse_at_ = now + config_.silence / 4;
  arm(Timer::pulse, 0, pulse_at_);
}

/// The master itself stood still (stopped, swapped, suspended): what its peers said meanwhile is not read
/// yet, and those who found it silent have to dial anew. So all that was measured against the clock is measured anew.
void MasterMachine::State::wake(Instant now, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "master-overslept",
                            "the master's process stood still for " +
                                std::to_string(whole_milliseconds(now - stepped_at_)) +
                                " ms, so all time-outs begin anew; look for a paused or overloaded machine"});
  for (auto& [id, connection] : connections_) connection.heard_at = now;
  for (auto& [number, group] : groups_) {
    if (group.mismatch_since) group.mismatch_since = now;
    group.ops.restart_bounds(now);
    for (const auto& [key, op] : group.ops.ops()) arm_op(group, key, op);
    arm_group(group);
  }
  for (auto& [id, peer] : peers_) {
    if (peer.away) peer.away->since = now;
    if (peer.away || peer.resuming) arm(Timer::away, id.value, now + config_.recovery);
    if (peer.visit.prove_by) {
      peer.visit.prove_by = now + config_.link_open;
      arm_visit(peer);
    }
  }
  if (recovering_) {
    recovering_->began = now;
    recovering_->deadline = now + config_.recovery;
    arm(Timer::recovery, 0, recovering_->deadline);
  }
  if (update_since_) {
    update_since_ = now;
    arm(Timer::update, 0, now + config_.call_wait);
  }
}

/// It was held up for a moment, perhaps again and again: that is nobody's silence or absence.
void MasterMachine::State::lose_time(Duration lost) {
  for (auto& [id, connection] : connections_) connection.heard_at += lost;
  for (auto& [id, peer] : peers_)
    if (peer.away) peer.away->since += lost;
}

// --------------------------------------------------------------------------------------- connections

void MasterMachine::State::on(Instant now, const ConnectionOpened& event, MasterActions& out) {
  const std::string& key = event.source.empty() ? event.remote_host : event.source;
  if (const auto why = cannot_open(now, key)) {
    out.emplace_back(CloseConnection{event.connection, *why, Duration::zero()});
    return;
  }
  Source& from = source(key);
  ++from.strangers;
  ++from.anonymous;
  strangers_.insert(event.connection);
  connections_[event.connection] = {
      .host = event.remote_host, .port = event.remote_port, .source = key, .heard_at = now, .peer = {}};
  arm(Timer::connection, event.connection.value, now + config_.introduction);
  if (strangers_.size() > limits::kStrangersMax)
    drop_connection(*strangers_.begin(), "too many connections have not said who they are, and it is the oldest", out);
}

/// Forgets a connection, whoever closes it.
void MasterMachine::State::detach(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  no_longer_stranger(id, found->second);
  if (!found->second.is_members) --source(found->second.source).anonymous;
  arm(Timer::connection, id.value, std::nullopt);
  connections_.erase(found);
}

/// Closes one that is nobody's, and says nothing.
void MasterMachine::State::drop_connection(ConnectionId id, const std::string& reason, MasterActions& out) {
  out.emplace_back(CloseConnection{id, reason, Duration::zero()});
  detach(id);
}

void MasterMachine::State::set_role(ConnectionId connection, ConnectionRole role, MasterActions& out) {
  out.emplace_back(SetConnectionRole{connection, role});
}

/// From now on this peer is on that connection; one that it had before is closed.
void MasterMachine::State::attach(Instant now, ConnectionId id, Peer& peer, MasterActions& out) {
  if (peer.connection) {
    out.emplace_back(CloseConnection{*peer.connection, "the peer opened a new connection"});
    detach(*peer.connection);
  }
  Connection& connection = connections_.at(id);
  no_longer_stranger(id, connection);
  connection.peer = peer.who.id;
  connection.heard_at = now;
  arm(Timer::connection, id.value, now + config_.silence);
  if (!peer.connection) doubt_others(peer, true);
  peer.connection = id;
  peer.seen_host = connection.host;
  peer.seen_port = connection.port;
  peer.ways = {};
  peer.badge = connection.badge;
  peer.view_sent = {};
  peer.group_members_sent = false;
  peer.visitors_sent.reset();
  peer.news_sent.reset();
  arm(Timer::away, peer.who.id.value, std::nullopt);
  peer.away.reset();
  peer.resuming.reset();
  count_absent(now, peer);
  news_changed();
}

/// It has become a member, or is known as one that comes back.
void MasterMachine::State::promote(Peer& peer, MasterActions& out) {
  if (!peer.connection) return;
  Connection& connection = connections_.at(*peer.connection);
  if (!connection.is_members) {
    connection.is_members = true;
    --source(connection.source).anonymous;
  }
  set_role(*peer.connection, ConnectionRole::member, out);
}

void MasterMachine::State::on(Instant now, const ConnectionClosed& event, MasterActions& out) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  const auto id = found->second.peer;
  detach(event.connection);
  const auto known = id ? peers_.find(*id) : peers_.end();
  if (known == peers_.end() || known->second.connection != event.connection) return;
  Peer& peer = known->second;
  doubt_others(peer, false);
  peer.connection.reset();
  peer.resuming.reset();
  if (peer.role == Role::recovering) {
    if (recovering_->chosen) {
      claim_of(*id)->outcomes.reset();
      return;
    }
    forget_claim(*id);
    forget_peer(*id);
    return check_recovery(now, out);
  }
  // Without a link one that waits has nothing to come back to, and would keep others from their turn.
  const bool is_linked = peer.visit.links_to_members + peer.visit.links_to_visitors > 0;
  if (peer.role == Role::pending && !(peer.visit.announced && (is_linked || !waits_for_admission(peer)))) {
    forget_peer(*id);
    return maybe_bootstrap(now, out);
  }
  go_away(now, peer, event.reason, out);
}

void MasterMachine::State::on(Instant now, const PeerSaid& event, MasterActions& out) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  found->second.heard_at = now;
  const auto peer = found->second.peer;
  if (!peer) return introduce(now, event.connection, event.message, out);
  std::visit([&](const auto& message) { said(now, *peer, message, out); }, event.message);
}

void MasterMachine::State::introduce(Instant now, ConnectionId connection, const PeerMessage& message,
                                     MasterActions& out) {
  const Connection& link = connections_.at(connection);
  if (config_.needs_keys && !link.badge) return drop_connection(connection, "it has not proven to hold a key", out);
  if (const auto* const newcomer = std::get_if<Hello>(&message)) {
    Hello proven_hello = *newcomer;
    proven_hello.who = proven(newcomer->who, link);
    return hello(now, connection, proven_hello, out);
  }
  if (const auto* const member = std::get_if<Resume>(&message)) {
    Resume proven_resume = *member;
    proven_resume.who = proven(member->who, link);
    return resume(now, connection, proven_resume, out);
  }
  if (const auto* const asked = std::get_if<StatusRequest>(&message)) return tell_status(now, connection, *asked, out);
  if (const auto* const command = std::get_if<OperatorCommand>(&message))
    return carry_out(now, connection, *command, out);
  turn_away(connection, {Status::refused, "the first message of a peer must say who it is"}, out);
}

std::optional<Error> MasterMachine::State::refusal(const Introduction& who) {
  if (auto error = version_refusal("this peer", who.protocol_version)) return error;
  if (who.address.port == 0)
    return Error{Status::refused, "this peer does not say where it listens for other peers"};
  return std::nullopt;
}

/// A message of a connection that its peer has given up for a newer one, which was read first.
bool MasterMachine::State::is_outdated(const Introduction& who) const {
  const auto known = peers_.find(who.id);
  return known != peers_.end() && known->second.who.is_same_peer(who) && who.connection < known->second.who.connection;
}

std::optional<Error> MasterMachine::State::version_refusal(const char* who, std::uint32_t protocol_version) {
  if (protocol_version == kProtocolVersion) return std::nullopt;
  return Error{Status::refused, std::string(who) + " speaks protocol version " + std::to_string(protocol_version) +
                                    ", the master version " + std::to_string(kProtocolVersion) +
                                    "; install the same Hawser release on both"};
}

void MasterMachine::State::said(Instant now, PeerId peer, const Hello&, MasterActions& out) {
  lose(now, peer, {Status::refused, "a peer introduces itself once"}, "it introduced itself twice", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Resume&, MasterActions& out) {
  lose(now, peer, {Status::refused, "a peer introduces itself once"}, "it introduced itself twice", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Leave&, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::notice, "peer-left", name_of(peer) + " left"});
  leave_recovery(peers_.at(peer));
  if (Group* const group = group_of(peer)) group->left.insert(peer);
  lose(now, peer, {Status::closed, "this peer left the run"}, "it left", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const StatusRequest&, MasterActions& out) {
  lose(now, peer, {Status::refused, "who asks for the status does so over a connection of its own"},
       "it asked for the status as a peer", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const OperatorCommand&, MasterActions& out) {
  lose(now, peer, {Status::refused, "an operator's command comes over a connection of its own"},
       "it gave an operator's command as a peer", out);
}

void MasterMachine::State::said(Instant, PeerId peer, const Ping&, MasterActions& out) {
  out.emplace_back(SendToPeer{*peers_.at(peer).connection, Pong{}});
}

void MasterMachine::State::tell(PeerId peer, MasterMessage message, MasterActions& out) {
  if (const auto found = peers_.find(peer); found != peers_.end()) tell(found->second, std::move(message), out);
}

/// Nothing is kept for a peer whose connection broke: it is told all anew when it comes back.
void MasterMachine::State::tell(const Peer& peer, MasterMessage message, MasterActions& out) {
  if (hears(peer)) out.emplace_back(SendToPeer{*peer.connection, std::move(message)});
}

/// To those of them that are still here and hear it.
void MasterMachine::State::tell_all(const std::vector<Member>& whom, MasterMessage message, MasterActions& out) const {
  std::vector<ConnectionId> connections;
  for (const Member& member : whom)
    if (const auto found = peers_.find(member.id); found != peers_.end() && hears(found->second))
      connections.push_back(*found->second.connection);
  send_to(std::move(connections), std::move(message), out);
}

void MasterMachine::State::send_to(std::vector<ConnectionId> connections, MasterMessage message, MasterActions& out) {
  if (!connections.empty())
    out.emplace_back(SendToPeers{.connections = std::move(connections), .message = std::move(message)});
}

/// Ends a connection that is no peer's, and says why.
void MasterMachine::State::turn_away(ConnectionId connection, const Error& error, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "turned-away", error.sentence});
  out.emplace_back(SendToPeer{connection, Refused{.error = error, .term = term_}});
  out.emplace_back(CloseConnection{connection, error.sentence});
  detach(connection);
}

/// Removes a peer that is in no view (any more) and closes its connection, and says why.
void MasterMachine::State::dismiss(PeerId id, const Error& error, bool as_refusal, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  if (const auto connection = found->second.connection) {
    if (as_refusal)
      out.emplace_back(SendToPeer{*connection, Refused{.error = error, .term = term_}});
    else
      out.emplace_back(SendToPeer{*connection, Expelled{.error = error, .term = term_}});
    out.emplace_back(CloseConnection{*connection, error.sentence});
  }
  forget_peer(id);
}

void MasterMachine::State::forget_peer(PeerId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (peer.connection) {
    doubt_others(peer, false);
    detach(*peer.connection);
  }
  withdraw_vote(peer);
  forget_links(peer);
  if (peer.is_absent) --groups_.at(peer.who.group).absent;
  if (peer.is_unconnected) --groups_.at(peer.who.group).unconnected;
  if (peer.role == Role::pending) {
    end_visit(peer);
    --source(peer.source).pending;
    --pending_;
  }
  arm(Timer::away, id.value, std::nullopt);
  if (const auto party = parties_.find(peer.who.party.id); party != parties_.end()) {
    party->second.erase(id);
    if (party->second.empty()) parties_.erase(party);
  }
  peers_.erase(found);
  news_changed();
}

void MasterMachine::State::remember_expelled(const Introduction& who, const Error& error) {
  const FormerPeer former{.who = who, .error = error};
  if (!expelled_.insert_or_assign(who.id, former).second) return;
  expelled_order_.push_back(who.id);
  if (expelled_order_.size() <= kExpelledRemembered) return;
  expelled_.erase(expelled_order_.front());
  expelled_order_.pop_front();
}

Member MasterMachine::State::as_member(const Peer& peer) const {
  const Introduction& who = peer.who;
  return {.id = who.id,
          .name = who.name,
          .address = who.address,
          .machine = who.machine,
          .key = who.key,
          .is_relay = who.is_relay,
          .relay_bytes_per_second = who.relay_bytes_per_second};
}

MasterMachine::State::Group* MasterMachine::State::group_of(PeerId peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.role != Role::member) return nullptr;
  const auto group = groups_.find(found->second.who.group);
  return group == groups_.end() ? nullptr : &group->second;
}

const View* MasterMachine::State::view_of(std::uint32_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second.view;
}

std::optional<std::uint32_t> MasterMachine::State::rank_in(const Group& group, PeerId peer) const {
  const auto found = peers_.find(peer);
  const bool is_in = found != peers_.end() && found->second.role == Role::member &&
                     found->second.who.group == group.view.group;
  return is_in ? std::optional(found->second.rank) : std::nullopt;
}

std::string MasterMachine::State::name_of(const Peer& peer) {
  return peer.who.name + " (" + to_string(peer.who.address) + ")";
}

std::string MasterMachine::State::name_of(PeerId peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? "a former peer" : name_of(found->second);
}

// -------------------------------------------------------------------------------------------- time

void MasterMachine::State::on(Instant now, const Tick&, MasterActions& out) {
  std::vector<Loss> losses;
  while (const auto due = timers_.pop_due(now)) {
    const auto [timer, which] = *due;
    switch (timer) {
      case Timer::connection: connection_due(now, {which}, losses, out); break;
      case Timer::group: group_due(now, static_cast<std::uint32_t>(which), out); break;
      case Timer::visit: visit_due(now, {which}, out); break;
      case Timer::away: away_due(now, {which}, out); break;
      case Timer::update: check_update(now, out); break;
      case Timer::bootstrap: maybe_bootstrap(now, out); break;
      case Timer::recovery: check_recovery(now, out); break;
      case Timer::parties: settle_parties(now, out); break;
      case Timer::news: news_changed(); break;
      case Timer::pulse: break;
    }
  }
  if (!losses.empty()) lose_all(now, std::move(losses), out);
}

void MasterMachine::State::connection_due(Instant now, ConnectionId id, std::vector<Loss>& losses, MasterActions& out) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection& connection = found->second;
  const Instant silent_at = connection.heard_at + (connection.peer ? config_.silence : config_.introduction);
  if (now < silent_at) return arm(Timer::connection, id.value, silent_at);
  if (!connection.peer) {
    out.emplace_back(LogEvent{LogLevel::info, "stranger-closed",
                              "a connection from " + connection.host +
                                  " is closed: it did not introduce itself in time"});
    return drop_connection(id, "it did not introduce itself in time", out);
  }
  const std::string ms = std::to_string(whole_milliseconds(now - connection.heard_at));
  Loss loss;
  loss.peer = *connection.peer;
  loss.for_it = {Status::expelled, "the master heard nothing from this peer for " + ms +
                                       " ms and the members went on without it; connect again to rejoin"};
  loss.for_others = "the master heard nothing from it for " + ms + " ms";
  losses.push_back(std::move(loss));
}

MasterMachine::Snapshot MasterMachine::State::snapshot() const {
  const auto is_guest = [](const auto& entry) {
    return entry.second.role == Role::pending && entry.second.prefetch != Prefetch::none;
  };
  Snapshot snapshot{.views = {},
                    .pending = static_cast<std::uint32_t>(pending_),
                    .guests = static_cast<std::uint32_t>(std::count_if(peers_.begin(), peers_.end(), is_guest)),
                    .connections = static_cast<std::uint32_t>(connections_.size()),
                    .recovering = recovering_.has_value(),
                    .rules = rules_,
                    .serves = serves_,
                    .term = term_,
                    .run = run_};
  for (const auto& [number, group] : groups_) snapshot.views.push_back(group.view);
  return snapshot;
}

}  // namespace hawser
