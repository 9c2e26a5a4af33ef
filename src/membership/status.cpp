#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// What the master tells about the run to whoever asks, from a connection that is no peer's. Nothing of it
/// changes anything but the count of answers. Secrets (of links, of peers) are not told.
namespace hawser {
namespace {

constexpr Duration kStatusKept = milliseconds(100);
/// Of as many groups, and so many bytes of each, as surely fit into one message.
constexpr std::size_t kMismatchesShown = 64;
constexpr std::size_t kMismatchBytesMax = 512;

std::uint64_t milliseconds_since(Instant then, Instant now) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(whole_milliseconds(now - then), 0));
}

}  // namespace

void MasterMachine::State::tell_status(Instant now, ConnectionId connection, const StatusRequest& message,
                                       MasterActions& out) {
  if (const auto error = version_refusal("who asks", message.protocol_version))
    return turn_away(connection, *error, out);
  if (!may_see_status(connections_.at(connection)))
    return turn_away(connection,
                     {Status::refused,
                      "the status of this run is for keys with the role observer, member or operator; this key has " +
                          std::string(role_name(connections_.at(connection).badge->role))},
                     out);
  // Half of the answers are for addresses that have not asked lately, such as an operator's beside a flood from many.
  TokenBucket& own = source(connections_.at(connection).source).status;
  const double kept = own.is_full(now) ? 0 : limits::kStatusAnswersPerSecond / 2;
  if (!own.take(now) || !status_answers_.take(now, 1, kept))
    return turn_away(connection,
                     {Status::refused, "the master was asked for its status too often; ask again in a second"}, out);
  // Made anew only now and then: whoever asks costs the run as little as can be.
  if (!status_made_ || now >= status_made_at_ + kStatusKept) {
    status_made_ = status(now);
    status_made_at_ = now;
  }
  if (message.matrix) tell_matrices(connection, out);
  if (message.attested > 0) tell_attestations(now, connection, message.attested, out);
  out.emplace_back(SendToPeer{connection, *status_made_});
  // The answer may be long, and the way to whoever asks too.
  out.emplace_back(CloseConnection{connection, "it was told the status", config_.introduction});
  detach(connection);
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

std::string MasterMachine::State::why_it_waits() const {
  if (serves_) return {};
  if (config_.has_lease && !lease_term_ && !lease_seen_.words.empty()) return lease_seen_.words;
  return lacking_.empty() ? "no member has come to this master" : lacking_;
}

RunStatus MasterMachine::State::status(Instant now) const {
  RunStatus status{.run = run_,
                   .protocol_version = kProtocolVersion,
                   .version = HAWSER_RELEASE,
                   .up_ms = milliseconds_since(started_at_, now),
                   .world = world(),
                   .in_update = 0,
                   .update_ms = update_since_ ? milliseconds_since(*update_since_, now) : 0,
                   .groups = {},
                   .pending = {},
                   .collectives = {},
                   .peers_left_out = 0,
                   .collectives_left_out = 0,
                   .has_keys = config_.needs_keys,
                   .serves = serves_,
                   .gathered = gathered(),
                   .term = term_,
                   .totals = totals_,
                   .waits = why_it_waits()};
  std::size_t listed = 0;
  for (const auto& [number, group] : groups_) {
    GroupStatus of_group{
        .group = number,
        .epoch = group.view.epoch,
        .size = group.view.size(),
        .members = {},
        .view = group.view.id,
        .measures = group.measuring.version,
        .measures_age_ms = group.measuring.version == 0 ? 0 : milliseconds_since(group.measuring.published_at, now),
        .mismatches = group.mismatches.total,
        .last_mismatch = status.groups.size() < kMismatchesShown
                             ? group.mismatches.sentence.substr(0, kMismatchBytesMax)
                             : std::string(),
        .last_mismatch_age_ms = group.mismatches.total == 0 ? 0 : milliseconds_since(group.mismatches.at, now)};
    for (const Member& member : group.view.members) {
      status.in_update += peers_.at(member.id).in_update ? 1 : 0;
      if (listed == limits::kStatusPeersMax) continue;
      of_group.members.push_back(status_of(now, peers_.at(member.id)));
      ++listed;
    }
    status.peers_left_out += group.view.nodes() - static_cast<std::uint32_t>(of_group.members.size());
    if (!of_group.members.empty()) status.groups.push_back(std::move(of_group));
  }
  status.pending = pending_status(now);
  if (const std::size_t room = limits::kStatusPeersMax - listed; status.pending.size() > room) {
    status.peers_left_out += static_cast<std::uint32_t>(status.pending.size() - room);
    status.pending.resize(room);
  }
  list_collectives(now, status);
  list_unreached(status);
  return status;
}

/// Pairs without a way of their own, as one of them says.
void MasterMachine::State::list_unreached(RunStatus& status) const {
  for (const auto& [id, peer] : peers_)
    for (const Unreached::Way& way : peer.unreached) {
      if (status.unreached.size() == limits::kStatusUnreachedMax) return;
      const auto other = peers_.find(way.to);
      if (other == peers_.end() || other->second.who.group != peer.who.group) continue;
      status.unreached.push_back({.from = id, .to = way.to, .by = way.by, .why = way.why});
    }
}

void MasterMachine::State::list_collectives(Instant now, RunStatus& status) const {
  struct InFlight {
    const Group* group;
    const OpKey* key;
    const Op* op;
  };
  std::vector<InFlight> all;
  for (const auto& [number, group] : groups_)
    for (const auto& [key, op] : group.ops.ops()) all.push_back({&group, &key, &op});
  std::stable_sort(all.begin(), all.end(),
                   [](const InFlight& a, const InFlight& b) { return a.op->first_call < b.op->first_call; });
  const std::size_t listed = std::min(all.size(), limits::kStatusCollectivesMax);
  for (std::size_t i = 0; i < listed; ++i)
    status.collectives.push_back(status_of(now, *all[i].group, *all[i].key, *all[i].op));
  status.collectives_left_out = static_cast<std::uint32_t>(all.size() - listed);
}

PeerStatus MasterMachine::State::status_of(Instant now, const Peer& peer) const {
  PeerStatus status{.member = as_member(peer),
                    .party = peer.who.party,
                    .heard_ms = 0,
                    .in_update = peer.in_update,
                    .opens_links = peer.role == Role::pending && peer.visit.announced && !is_proven(peer),
                    .is_away = peer.away.has_value()};
  if (peer.connection)
    status.heard_ms = milliseconds_since(connections_.at(*peer.connection).heard_at, now);
  else if (peer.away)
    status.heard_ms = milliseconds_since(peer.away->since, now);
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
  if (!recovering_) return pending;
  for (const auto& [number, recovery] : recovering_->groups) {
    std::set<PeerId> listed;
    for (const auto& [mark, view] : recovery.views)
      for (const Member& member : view.members)
        if (!recovery.claims.contains(member.id) && listed.insert(member.id).second)
          pending.push_back({.group = number, .peer = {.member = member}, .awaits = Awaits::nothing, .waits_ms = 0});
  }
  for (PendingStatus& one : pending)
    if (one.awaits == Awaits::others_back)
      one.peer.in_update = recovering_->groups.at(one.group).claims.at(one.peer.member.id).resume.in_update;
  return pending;
}

Awaits MasterMachine::State::awaits(Instant now, const Peer& peer, const Vote& of_whole_parties) const {
  if (peer.role == Role::recovering) return Awaits::others_back;
  if (!waits_for_admission(peer)) return Awaits::prefetch;
  if (!may_be_admitted(peer)) return Awaits::permission;
  if (!peer.visit.announced) return Awaits::turn;
  if (!is_proven(peer)) return Awaits::links;
  if (!of_whole_parties.has(peer.who.id)) return Awaits::party;
  if (recovering_ || (now < settled_at_ && !groups_.contains(peer.who.group))) return Awaits::recovery;
  return groups_.empty() ? Awaits::first_view : Awaits::update;
}

CollectiveStatus MasterMachine::State::status_of(Instant now, const Group& group, const OpKey& key, const Op& op) {
  const RankSet guilty = holds_up(group, op);
  const auto ranks_in = [](const RankSet& set) {
    std::vector<std::uint32_t> ranks;
    set.for_each([&](std::uint32_t rank) { ranks.push_back(rank); });
    return ranks;
  };
  return {.group = group.view.group,
          .tag = key.tag,
          .sequence = key.sequence,
          .signature = op.signature,
          .alike = !op.differs(),
          .since_ms = milliseconds_since(op.first_call, now),
          .group_size = group.view.size(),
          .called = ranks_in(op.called),
          .reported = ranks_in(op.reported),
          .waits_for = ranks_in(guilty),
          .stragglers = ranks_in(op.stragglers_announced)};
}

RankSet MasterMachine::State::holds_up(const Group& group, const Op& op) {
  const View& view = group.view;
  RankSet guilty;
  for (std::uint32_t rank = 0; rank < view.size(); ++rank)
    if (!op.called.contains(rank)) guilty.insert(rank);
  if (!guilty.empty()) return guilty;
  std::vector<PeerId> called;
  for (const Member& member : view.members) called.push_back(member.id);
  // A relay is nobody whom a call waits for: it goes, and the call begins again.
  if (const auto culprit = blame(view, op.grievances, called); culprit && !culprit->is_relay) {
    guilty.insert(*view.rank_of(culprit->id));
  } else if (op.straggler) {
    guilty.insert(op.straggler->found.rank);
  } else {
    for (std::uint32_t rank = 0; rank < view.size(); ++rank)
      if (!op.reported.contains(rank)) guilty.insert(rank);
  }
  return guilty;
}

}  // namespace hawser
