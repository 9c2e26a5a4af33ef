#include "membership/master_machine.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "membership/master_state.hpp"

namespace hawser {
namespace {

constexpr std::size_t kExpelledRemembered = 1024;
/// A tick that comes so late was not merely delayed.
constexpr Duration kOversleep = seconds(1);

}  // namespace

std::string names_of(const std::vector<Member>& members) {
  std::string names;
  for (const Member& member : members)
    names += (names.empty() ? "" : ", ") + member.name + " (" + to_string(member.address) + ")";
  return names;
}

MasterMachine::MasterMachine(MasterConfig config, std::uint64_t seed, Instant now)
    : state_(std::make_unique<State>(config, seed, now)) {}
MasterMachine::~MasterMachine() = default;
MasterMachine::MasterMachine(MasterMachine&&) noexcept = default;
MasterMachine& MasterMachine::operator=(MasterMachine&&) noexcept = default;

void MasterMachine::step(Instant now, const MasterEvent& event, MasterActions& out) {
  state_->step(now, event, out);
}
std::optional<Instant> MasterMachine::next_deadline() const { return state_->next_deadline(); }
MasterMachine::Snapshot MasterMachine::snapshot() const { return state_->snapshot(); }

MasterMachine::State::State(MasterConfig config, std::uint64_t seed, Instant now)
    : config_(config),
      random_(seed),
      run_{random_.next()},
      link_secret_(random_.next()),
      bootstrap_at_(now + config.bootstrap) {}

void MasterMachine::State::step(Instant now, const MasterEvent& event, MasterActions& out) {
  if (awaited_ && now > *awaited_ + kOversleep) wake(now, out);
  std::visit([&](const auto& one) { on(now, one, out); }, event);
  tell_hosts_and_guests(out);
  awaited_ = next_deadline();
}

/// The master itself stood still (stopped, swapped, suspended): what its peers said meanwhile is not read
/// yet, so all that was measured against the clock is measured anew.
void MasterMachine::State::wake(Instant now, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "master-overslept",
                            "the master itself stood still for " + std::to_string(whole_milliseconds(now - *awaited_)) +
                                " ms; its bounds start anew"});
  for (auto& [id, connection] : connections_) connection.heard_at = now;
  for (auto& [number, group] : groups_) {
    if (group.mismatch_since) group.mismatch_since = now;
    for (auto& [key, op] : group.ops) {
      op.first_call = op.last_call = now;
      op.grievances.clear();
      op.judge_at.reset();
      op.flows.clear();
      op.straggler.reset();
      if (op.lone_since) op.lone_since = now;
    }
  }
  for (auto& [number, recovery] : recoveries_) recovery.deadline = now + config_.recovery;
  if (update_since_) update_since_ = now;
  if (admission_) admission_->deadline = now + config_.link_open;
}

void MasterMachine::State::on(Instant now, const ConnectionOpened& event, MasterActions&) {
  connections_[event.connection] = {.host = event.remote_host, .heard_at = now, .peer = {}};
}

void MasterMachine::State::on(Instant now, const ConnectionClosed& event, MasterActions& out) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  const auto peer = found->second.peer;
  connections_.erase(found);
  if (!peer) return;
  const std::string why = "its connection to the master ended (" + event.reason + ")";
  lose(now, *peer,
       {Status::expelled, "the connection to the master broke, and the members went on without this peer; "
                          "connect again to rejoin"},
       why, out);
  tell_news(out);
}

void MasterMachine::State::on(Instant now, const PeerSaid& event, MasterActions& out) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  found->second.heard_at = now;
  const auto peer = found->second.peer;
  if (!peer) {
    introduce(now, event.connection, event.message, out);
  } else {
    std::visit([&](const auto& message) { said(now, *peer, message, out); }, event.message);
  }
  tell_news(out);
}

void MasterMachine::State::introduce(Instant now, ConnectionId connection, const PeerMessage& message,
                                     MasterActions& out) {
  if (const auto* const newcomer = std::get_if<Hello>(&message)) return hello(now, connection, *newcomer, out);
  if (const auto* const member = std::get_if<Resume>(&message)) return resume(now, connection, *member, out);
  if (const auto* const asked = std::get_if<StatusRequest>(&message)) return tell_status(now, connection, *asked, out);
  turn_away(connection, {Status::refused, "the first message of a peer must say who it is"}, out);
}

std::optional<Error> MasterMachine::State::refusal(const Introduction& who) const {
  if (auto error = version_refusal("this peer", who.protocol_version)) return error;
  if (who.address.port == 0)
    return Error{Status::refused, "this peer does not say where it listens for other peers"};
  return std::nullopt;
}

std::optional<Error> MasterMachine::State::version_refusal(const char* who, std::uint32_t protocol_version) {
  if (protocol_version == kProtocolVersion) return std::nullopt;
  return Error{Status::refused, std::string(who) + " speaks protocol version " + std::to_string(protocol_version) +
                                    ", the master version " + std::to_string(kProtocolVersion) +
                                    "; install the same Hawser release on both"};
}

void MasterMachine::State::hello(Instant now, ConnectionId connection, const Hello& message,
                                 MasterActions& out) {
  Introduction who = message.who;
  if (const auto error = refusal(who)) return turn_away(connection, *error, out);
  if (peers_.contains(who.id))
    return turn_away(connection, {Status::refused, "a peer of the same id is connected; connect again"}, out);
  if (pending_count() >= limits::kPendingPeersMax)
    return turn_away(connection, {Status::refused, "too many peers wait for admission; try again later"}, out);
  Connection& link = connections_.at(connection);
  if (who.address.host.empty()) who.address.host = link.host;
  link.peer = who.id;
  peers_[who.id] = {.who = who,
                    .connection = connection,
                    .role = Role::pending,
                    .prefetch = message.prefetches ? Prefetch::under_way : Prefetch::none,
                    .came_at = now,
                    .arrival = arrivals_++};
  tell(who.id, Welcome{.run = run_, .seen_host = link.host}, out);
  if (message.prefetches)
    out.emplace_back(LogEvent{LogLevel::info, "peer-prefetches",
                              who.name + " (" + to_string(who.address) + ") fetches state before its admission"});
  else
    out.emplace_back(LogEvent{LogLevel::info, "peer-pending",
                              who.name + " (" + to_string(who.address) + ") waits for admission"});
  let_party_go(now, who, out);
  maybe_bootstrap(now, out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Hello&, MasterActions& out) {
  lose(now, peer, {Status::refused, "a peer introduces itself once"}, "it introduced itself twice", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Resume&, MasterActions& out) {
  lose(now, peer, {Status::refused, "a peer introduces itself once"}, "it introduced itself twice", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Leave&, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "peer-left", name_of(peer) + " left"});
  lose(now, peer, {Status::closed, "this peer left the run"}, "it left", out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const StatusRequest&, MasterActions& out) {
  lose(now, peer, {Status::refused, "who asks for the status does so over a connection of its own"},
       "it asked for the status as a peer", out);
}

void MasterMachine::State::said(Instant, PeerId peer, const Ping&, MasterActions& out) {
  tell(peer, Pong{}, out);
}

void MasterMachine::State::tell(PeerId peer, MasterMessage message, MasterActions& out) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  out.emplace_back(SendToPeer{found->second.connection, std::move(message)});
}

/// Ends a connection that is no peer's with a word.
void MasterMachine::State::turn_away(ConnectionId connection, const Error& error, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "turned-away", error.sentence});
  out.emplace_back(SendToPeer{connection, Refused{error}});
  out.emplace_back(CloseConnection{connection, error.sentence});
  connections_.erase(connection);
}

/// Removes a peer that is in no view (any more) and closes its connection with a word.
void MasterMachine::State::dismiss(PeerId peer, const Error& error, bool as_refusal, MasterActions& out) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const ConnectionId connection = found->second.connection;
  if (connections_.contains(connection)) {
    if (as_refusal)
      out.emplace_back(SendToPeer{connection, Refused{error}});
    else
      out.emplace_back(SendToPeer{connection, Expelled{error}});
    out.emplace_back(CloseConnection{connection, error.sentence});
  }
  forget_peer(peer);
}

void MasterMachine::State::forget_peer(PeerId peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  connections_.erase(found->second.connection);
  news_told_.erase(peer);
  update_.withdraw(peer);
  peers_.erase(found);
}

void MasterMachine::State::remember_expelled(PeerId peer, const Error& error) {
  if (!expelled_.emplace(peer, error).second) return;
  expelled_order_.push_back(peer);
  if (expelled_order_.size() <= kExpelledRemembered) return;
  expelled_.erase(expelled_order_.front());
  expelled_order_.pop_front();
}

World MasterMachine::State::world() const {
  World world;
  for (const auto& [number, group] : groups_) {
    world.size += group.view.size();
    ++world.group_count;
    world.largest_group_size = std::max(world.largest_group_size, group.view.size());
  }
  return world;
}

std::uint32_t MasterMachine::State::pending_count() const {
  return static_cast<std::uint32_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const auto& entry) { return entry.second.role == Role::pending; }));
}

/// Pending peers that an update-topology would admit.
std::uint32_t MasterMachine::State::waiting_count() const {
  std::vector<const Peer*> waiting;
  for (const auto& [id, peer] : peers_)
    if (waits_for_admission(peer)) waiting.push_back(&peer);
  keep_whole_parties(waiting);
  return static_cast<std::uint32_t>(waiting.size());
}

void MasterMachine::State::tell_news(MasterActions& out) {
  const WorldNews news{.world = world(), .pending = waiting_count()};
  for (const auto& [id, peer] : peers_) {
    if (peer.role != Role::member) continue;
    WorldNews& told = news_told_[id];
    if (told == news) continue;
    told = news;
    tell(id, news, out);
  }
}

std::vector<Member> MasterMachine::State::members_of_all_groups() const {
  std::vector<Member> all;
  for (const auto& [number, group] : groups_)
    all.insert(all.end(), group.view.members.begin(), group.view.members.end());
  return all;
}

Member MasterMachine::State::as_member(PeerId peer) const {
  const Introduction& who = peers_.at(peer).who;
  return {.id = who.id, .name = who.name, .address = who.address};
}

MasterMachine::State::Group* MasterMachine::State::group_of(PeerId peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.role != Role::member) return nullptr;
  const auto group = groups_.find(found->second.who.group);
  return group == groups_.end() ? nullptr : &group->second;
}

std::string MasterMachine::State::name_of(PeerId peer) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return "a former peer";
  return found->second.who.name + " (" + to_string(found->second.who.address) + ")";
}

void MasterMachine::State::on(Instant now, const Tick&, MasterActions& out) {
  std::vector<ConnectionId> silent;
  for (const auto& [id, connection] : connections_)
    if (now >= connection.heard_at + (connection.peer ? config_.silence : config_.introduction))
      silent.push_back(id);
  std::vector<Loss> losses;
  for (const ConnectionId id : silent) {
    const auto found = connections_.find(id);
    if (const auto peer = found->second.peer) {
      const std::string ms = std::to_string(whole_milliseconds(now - found->second.heard_at));
      Loss loss;
      loss.peer = *peer;
      loss.for_it = {Status::expelled, "the master heard nothing from this peer for " + ms +
                                           " ms and the members went on without it; connect again to rejoin"};
      loss.for_others = "the master heard nothing from it for " + ms + " ms";
      losses.push_back(std::move(loss));
    } else {
      out.emplace_back(LogEvent{LogLevel::info, "stranger-closed", "closed a connection from " + found->second.host +
                                                                       " that did not say who it is"});
      out.emplace_back(CloseConnection{id, "it did not say who it is"});
      connections_.erase(found);
    }
  }
  if (!losses.empty()) lose_all(now, losses, out);
  std::vector<std::uint32_t> numbers;
  for (const auto& [number, group] : groups_) numbers.push_back(number);
  for (const std::uint32_t number : numbers) watch_group(now, number, out);
  numbers.clear();
  for (const auto& [number, recovery] : recoveries_) numbers.push_back(number);
  for (const std::uint32_t number : numbers) check_recovery(now, number, out);
  check_update(now, out);
  check_admission(now, out);
  maybe_bootstrap(now, out);
  tell_news(out);
}

std::optional<Instant> MasterMachine::State::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& [id, connection] : connections_)
    next = earlier(next, connection.heard_at + (connection.peer ? config_.silence : config_.introduction));
  for (const auto& [number, group] : groups_) {
    next = earlier(next, mismatch_deadline(group));
    next = earlier(next, straggler_deadline(group));
    for (const auto& [key, op] : group.ops) {
      next = earlier(next, op.judge_at);
      if (op.called.size() < group.view.size()) next = earlier(next, op.first_call + config_.call_wait);
    }
  }
  for (const auto& [number, recovery] : recoveries_) next = earlier(next, recovery.deadline);
  if (update_since_ && !admission_ && recoveries_.empty()) next = earlier(next, *update_since_ + config_.call_wait);
  if (admission_) next = earlier(next, admission_->deadline);
  if (bootstrap_waits()) next = earlier(next, bootstrap_due());
  return next;
}

MasterMachine::Snapshot MasterMachine::State::snapshot() const {
  Snapshot snapshot{.views = {},
                    .pending = pending_count(),
                    .guests = static_cast<std::uint32_t>(std::count_if(
                        peers_.begin(), peers_.end(), [](const auto& entry) { return is_guest(entry.second); })),
                    .connections = static_cast<std::uint32_t>(connections_.size()),
                    .recovering = !recoveries_.empty()};
  for (const auto& [number, group] : groups_) snapshot.views.push_back(group.view);
  return snapshot;
}

}  // namespace hawser
