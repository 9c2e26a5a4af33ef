#include <algorithm>
#include <iterator>
#include <utility>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// What the master tells about the run to whoever asks, from a connection that is no peer's. Nothing of it
/// changes anything but the count of answers. Secrets (of links, of peers) are not told.
namespace hawser {
namespace {

std::uint64_t milliseconds_since(Instant then, Instant now) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(whole_milliseconds(now - then), 0));
}

/// The ranks of the members that `has` is true for.
template <class Has>
std::vector<std::uint32_t> ranks_of(const View& view, Has has) {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < view.size(); ++rank)
    if (has(view.members[rank].id)) ranks.push_back(rank);
  return ranks;
}

}  // namespace

void MasterMachine::State::tell_status(Instant now, ConnectionId connection, const StatusRequest& message,
                                       MasterActions& out) {
  if (const auto error = version_refusal("who asks", message.protocol_version))
    return turn_away(connection, *error, out);
  if (!answers_again(now))
    return turn_away(connection,
                     {Status::refused, "the master was asked for its status " +
                                           std::to_string(limits::kStatusAnswersPerSecondMax) +
                                           " times within a second and tells no more; ask again in a second"},
                     out);
  if (message.matrix) tell_matrices(connection, out);
  out.emplace_back(SendToPeer{connection, status(now)});
  // The answer may be long, and the way to whoever asks too.
  out.emplace_back(CloseConnection{connection, "it was told the status", config_.introduction});
  connections_.erase(connection);
}

/// Of as many groups as a bounded answer holds, the first ones by number.
void MasterMachine::State::tell_matrices(ConnectionId connection, MasterActions& out) const {
  std::size_t pairs = 0;
  for (const auto& [number, group] : groups_) {
    if (group.measuring.published.empty()) continue;
    const Measures& newest = group.measuring.published.back();
    pairs += newest.rows.size() * newest.rows.size();
    if (pairs > limits::kStatusPairsMax) return;
    out.emplace_back(SendToPeer{connection, newest});
  }
}

/// So many in a second, each for a bounded time: so is the memory for answers that nobody takes.
bool MasterMachine::State::answers_again(Instant now) {
  if (now >= status_second_ + seconds(1)) {
    status_second_ = now;
    status_answers_ = 0;
  }
  return ++status_answers_ <= limits::kStatusAnswersPerSecondMax;
}

RunStatus MasterMachine::State::status(Instant now) const {
  RunStatus status{.run = run_,
                   .protocol_version = kProtocolVersion,
                   .version = HAWSER_RELEASE,
                   .up_ms = milliseconds_since(bootstrap_at_ - config_.bootstrap, now),
                   .world = world(),
                   .in_update = 0,
                   .update_ms = update_since_ ? milliseconds_since(*update_since_, now) : 0,
                   .groups = {},
                   .pending = {},
                   .collectives = {},
                   .peers_left_out = 0,
                   .collectives_left_out = 0};
  std::size_t listed = 0;
  for (const auto& [number, group] : groups_) {
    GroupStatus of_group{
        .group = number,
        .epoch = group.view.epoch,
        .size = group.view.size(),
        .members = {},
        .view = group.view.id,
        .measures = group.measuring.version,
        .measures_age_ms =
            group.measuring.version == 0 ? 0 : milliseconds_since(group.measuring.published_at, now)};
    for (const Member& member : group.view.members) {
      status.in_update += update_.has(member.id) ? 1 : 0;
      if (listed == limits::kStatusPeersMax) continue;
      of_group.members.push_back(status_of(now, peers_.at(member.id)));
      ++listed;
    }
    status.peers_left_out += of_group.size - static_cast<std::uint32_t>(of_group.members.size());
    if (!of_group.members.empty()) status.groups.push_back(std::move(of_group));
  }
  status.pending = pending_status(now);
  if (const std::size_t room = limits::kStatusPeersMax - listed; status.pending.size() > room) {
    status.peers_left_out += static_cast<std::uint32_t>(status.pending.size() - room);
    status.pending.resize(room);
  }
  list_collectives(now, status);
  return status;
}

void MasterMachine::State::list_collectives(Instant now, RunStatus& status) const {
  struct InFlight {
    const Group* group;
    const OpKey* key;
    const Op* op;
  };
  std::vector<InFlight> all;
  for (const auto& [number, group] : groups_)
    for (const auto& [key, op] : group.ops) all.push_back({&group, &key, &op});
  std::stable_sort(all.begin(), all.end(),
                   [](const InFlight& a, const InFlight& b) { return a.op->first_call < b.op->first_call; });
  const std::size_t listed = std::min(all.size(), limits::kStatusCollectivesMax);
  for (std::size_t i = 0; i < listed; ++i)
    status.collectives.push_back(status_of(now, *all[i].group, *all[i].key, *all[i].op));
  status.collectives_left_out = static_cast<std::uint32_t>(all.size() - listed);
}

PeerStatus MasterMachine::State::status_of(Instant now, const Peer& peer) const {
  const PeerId id = peer.who.id;
  PeerStatus status{.member = as_member(id),
                    .party = peer.who.party,
                    .heard_ms = 0,
                    .in_update = update_.has(id),
                    .opens_links = opens_links(id)};
  if (const auto found = connections_.find(peer.connection); found != connections_.end())
    status.heard_ms = milliseconds_since(found->second.heard_at, now);
  return status;
}

/// Everybody who is in no view: the latest to come last, then former members that are missed.
std::vector<PendingStatus> MasterMachine::State::pending_status(Instant now) const {
  std::vector<const Peer*> waiting;
  for (const auto& [id, peer] : peers_)
    if (peer.role != Role::member) waiting.push_back(&peer);
  std::sort(waiting.begin(), waiting.end(),
            [](const Peer* a, const Peer* b) { return a->arrival < b->arrival; });
  std::vector<const Peer*> whole;
  std::copy_if(waiting.begin(), waiting.end(), std::back_inserter(whole),
               [](const Peer* peer) { return waits_for_admission(*peer); });
  keep_whole_parties(whole);
  Vote of_whole_parties;
  for (const Peer* const peer : whole) of_whole_parties.cast(peer->who.id);
  std::vector<PendingStatus> pending;
  for (const Peer* const peer : waiting)
    pending.push_back({.group = peer->who.group,
                       .peer = status_of(now, *peer),
                       .awaits = awaits(now, *peer, of_whole_parties),
                       .waits_ms = peer->role == Role::pending ? milliseconds_since(peer->came_at, now) : 0});
  for (const auto& [number, recovery] : recoveries_)
    for (const Member& member : recovery.best.members)
      if (!recovery.resumed.contains(member.id))
        pending.push_back(
            {.group = number, .peer = {.member = member}, .awaits = Awaits::nothing, .waits_ms = 0});
  for (PendingStatus& one : pending) {
    const auto recovery = recoveries_.find(one.group);
    if (one.awaits == Awaits::others_back && recovery != recoveries_.end())
      one.peer.in_update = recovery->second.resumed.at(one.peer.member.id).in_update;
  }
  return pending;
}

Awaits MasterMachine::State::awaits(Instant now, const Peer& peer, const Vote& of_whole_parties) const {
  if (peer.role == Role::recovering) return Awaits::others_back;
  if (!waits_for_admission(peer)) return Awaits::prefetch;
  if (admission_)
    for (const auto& [number, view] : admission_->proposed)
      if (view.find(peer.who.id)) return Awaits::links;
  if (!of_whole_parties.has(peer.who.id)) return Awaits::party;
  if (!recoveries_.empty() || (now < settled_at_ && !groups_.contains(peer.who.group)))
    return Awaits::recovery;
  return groups_.empty() ? Awaits::first_view : Awaits::update;
}

bool MasterMachine::State::opens_links(PeerId peer) const {
  if (!admission_ || admission_->prepared.has(peer)) return false;
  return std::any_of(admission_->proposed.begin(), admission_->proposed.end(),
                     [&](const auto& entry) { return entry.second.find(peer) != nullptr; });
}

CollectiveStatus MasterMachine::State::status_of(Instant now, const Group& group, const OpKey& key,
                                                 const Op& op) const {
  const Vote guilty = holds_up(group, op);
  return {.group = group.view.group,
          .tag = key.tag,
          .sequence = key.sequence,
          .signature = op.called.begin()->second,
          .alike = !differs(op),
          .since_ms = milliseconds_since(op.first_call, now),
          .group_size = group.view.size(),
          .called = ranks_of(group.view, [&](PeerId peer) { return op.called.contains(peer); }),
          .reported = ranks_of(group.view, [&](PeerId peer) { return op.reported.has(peer); }),
          .waits_for = ranks_of(group.view, [&](PeerId peer) { return guilty.has(peer); }),
          .stragglers = ranks_of(group.view, [&](PeerId peer) { return op.straggler_told.contains(peer); })};
}

Vote MasterMachine::State::holds_up(const Group& group, const Op& op) {
  const View& view = group.view;
  Vote guilty;
  for (const Member& member : view.members)
    if (!op.called.contains(member.id)) guilty.cast(member.id);
  if (!guilty.empty()) return guilty;
  std::vector<PeerId> called;
  for (const auto& [peer, signature] : op.called) called.push_back(peer);
  if (const auto culprit = blame(view, op.grievances, called))
    guilty.cast(culprit->id);
  else if (op.straggler)
    guilty.cast(op.straggler->found.member.id);
  else
    for (const Member& member : op.reported.missing(view.members)) guilty.cast(member.id);
  return guilty;
}

}  // namespace hawser
