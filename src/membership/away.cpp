#include <algorithm>
#include <utility>

#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// A connection is not a member: one whose connection to the master broke has time to come back, and what is under way
/// goes on meanwhile. Whether it is gone its links tell sooner: if it has died, all of them are broken, and whoever
/// dials it is refused.
namespace hawser {
namespace {

/// A living peer's links are established again by then.
constexpr Duration kLinksRepaired = milliseconds(300);
/// The same, where some say that nobody listens there any more, which may be wrong.
constexpr Duration kRefusalDenied = milliseconds(100);
/// A master that works comes to what is due within the first, and reads what has come within the second.
constexpr Duration kMayBeLate = milliseconds(20);
constexpr Duration kUnreadIsRead = milliseconds(100);

}  // namespace

void MasterMachine::State::go_away(Instant now, Peer& peer, const std::string& reason, MasterActions& out) {
  peer.away = {.since = now, .reason = reason};
  count_absent(now, peer);
  arm(Timer::away, peer.who.id.value, now + config_.recovery);
  const bool is_member = peer.role == Role::member;
  out.emplace_back(LogEvent{is_member ? LogLevel::notice : LogLevel::info, is_member ? "member-away" : "newcomer-away",
                            name_of(peer) + " has lost its connection to the master (" + reason + "); it has " +
                                std::to_string(whole_milliseconds(config_.recovery)) + " ms to come back"});
  if (planted(PlantedFault::lost_connection) && is_member)
    return lose(now, peer.who.id, {Status::expelled, "the connection of this peer broke"}, "its connection broke", out);
  judge_away(now, peer.who.id, out);
}

/// Whether calls of its group may be judged: what a member called while it was away is not known.
void MasterMachine::State::count_absent(Instant now, Peer& peer) {
  const auto found = groups_.find(peer.who.group);
  if (found == groups_.end()) return;
  Group& group = found->second;
  const bool is_member = peer.role == Role::member && !peer.who.is_relay;
  if (const bool is_unconnected = is_member && !peer.connection; peer.is_unconnected != is_unconnected) {
    peer.is_unconnected = is_unconnected;
    group.unconnected += is_unconnected ? 1 : -1;
  }
  const bool is_absent = is_member && !hears(peer);
  if (peer.is_absent == is_absent) return;
  peer.is_absent = is_absent;
  group.absent += is_absent ? 1 : -1;
  if (group.absent == 0) group.complete_since = now;
  arm_group(group);
}

/// What this member says of its link to another one; none: it is established.
void MasterMachine::State::set_down(Peer& from, PeerId to, std::optional<LinkDown> link) {
  if (const auto known = from.down.find(to); known != from.down.end()) {
    if (from.connection) count_doubt(from, to, known->second, false);
    from.down.erase(known);
  }
  if (!link) return;
  from.down.emplace(to, *link);
  if (from.connection) count_doubt(from, to, *link, true);
}

bool MasterMachine::State::are_neighbours(const Group& group, const Peer& a, const Peer& b) const {
  return config_.links.has_link(a.rank, b.rank, group.view.size());
}

/// In a view that has not all links a member's word on those that are not its neighbours any more means nothing.
void MasterMachine::State::forget_doubts_of_others(const Group& group) {
  for (const Member& member : group.view.members) {
    Peer& peer = peers_.at(member.id);
    for (const auto& [to, link] : std::map<PeerId, LinkDown>(peer.down))
      if (!are_neighbours(group, peer, peers_.at(to))) set_down(peer, to, std::nullopt);
  }
}

/// Whether most of those that have a link to it, and are connected and can tell, say that it is down. When most of them
/// are away, as after a stop of the master, the few that are back do not speak for all.
bool MasterMachine::State::is_doubted(const Group& group, const Peer& peer) const {
  const std::size_t members = group.view.size();
  const std::size_t down = peer.doubts.by.size();
  if (config_.links.has_all_links(group.view.size())) {
    // One that has just come back has not said yet how it stands with its links: it counts for those that have theirs.
    const std::size_t present = members - group.unconnected;
    return 2 * present >= members && 2 * down > present;
  }
  const std::size_t links = config_.links.links_of(peer.rank, group.view.size());
  // Those that are away are looked for only where it matters.
  if (2 * down + group.unconnected <= links) return false;
  std::size_t present = 0;
  for (const std::uint32_t rank : config_.links.neighbours(peer.rank, group.view.size()))
    present += peers_.at(group.view.members[rank].id).is_unconnected ? 0 : 1;
  return 2 * present >= links && 2 * down > present;
}

/// It has a connection, so that what it says of its links counts, or has none any more.
void MasterMachine::State::doubt_others(const Peer& from, bool counts) {
  for (const auto& [to, link] : from.down) count_doubt(from, to, link, counts);
}

void MasterMachine::State::count_doubt(const Peer& from, PeerId to, const LinkDown& link, bool counts) {
  const auto found = peers_.find(to);
  // A relay's word on members means nothing: it need not reach all of them.
  if (found == peers_.end() || from.who.is_relay) return;
  Doubts& doubts = found->second.doubts;
  const std::pair doubt(link.at, from.who.id);
  const bool changed = counts ? doubts.by.insert(doubt).second : doubts.by.erase(doubt) > 0;
  if (changed && link.refused) doubts.refused += counts ? 1 : -1;
}

/// One alone may lie.
Duration MasterMachine::State::patience_with(const BrokenLinks& links) {
  return 2 * links.refused > links.down ? Duration::zero() : links.refused > 0 ? kRefusalDenied : kLinksRepaired;
}

/// What the other members say of their links to it.
void MasterMachine::State::judge_away(Instant now, PeerId id, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !found->second.away) return;
  Peer& peer = found->second;
  const Group* const group = group_of(id);
  if (!group) return;
  const std::size_t down = peer.doubts.by.size();
  const Duration patience = patience_with({.down = down, .refused = peer.doubts.refused});
  const Instant last = down == 0 ? peer.away->since : std::max(peer.away->since, peer.doubts.by.rbegin()->first);
  if (!is_doubted(*group, peer)) return arm(Timer::away, id.value, peer.away->since + config_.recovery);
  const Instant due = std::min(last + patience, peer.away->since + config_.recovery);
  if (now < due) return arm(Timer::away, id.value, due);
  // The master stood still when this was due: that the peer is back may wait to be read.
  if (now > due + kMayBeLate && !std::exchange(peer.away->was_spared, true))
    return arm(Timer::away, id.value, now + kUnreadIsRead);
  lose(now, id,
       {Status::expelled, "the connection of this peer to the master broke (" + peer.away->reason +
                              "), and so did its links to the other members, who went on without it; connect again to "
                              "rejoin"},
       "its connection to the master ended (" + peer.away->reason + "), and so did its links to the other members",
       out);
}

void MasterMachine::State::away_due(Instant now, PeerId id, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  const std::string bound = std::to_string(whole_milliseconds(config_.recovery)) + " ms";
  if (peer.resuming)
    return lose(now, id,
                {Status::expelled, "this peer came back to the master and did not tell within " + bound +
                                       " what it knows of its collectives; connect again to rejoin"},
                "it came back to the master and did not tell what it knows of its collectives", out);
  if (!peer.away) return;
  const Away& away = *peer.away;
  if (now < away.since + config_.recovery) return judge_away(now, id, out);
  lose(now, id,
       {Status::expelled, "the connection of this peer to the master broke (" + away.reason +
                              "), and it did not come back within " + bound +
                              "; the others went on without it, connect again to rejoin"},
       "its connection to the master ended (" + away.reason + "), and it did not come back within " + bound, out);
}

// ------------------------------------------------------------------------------------------- it comes back

/// It is asked for the collectives whose outcome it does not know, and told nothing else before it has answered: what
/// was committed while it was away must reach it before the view that ends the rest.
void MasterMachine::State::resume_member(Instant now, ConnectionId connection, const Resume& message,
                                         MasterActions& out) {
  Peer& peer = peers_.at(message.who.id);
  peer.who.connection = message.who.connection;
  attach(now, connection, peer, out);
  promote(peer, out);
  peer.resuming = message;
  count_absent(now, peer);
  arm(Timer::away, peer.who.id.value, now + config_.recovery);
  out.emplace_back(SendToPeer{connection, Welcome{.run = run_, .seen_host = peer.seen_host, .term = term_}});
  out.emplace_back(SendToPeer{connection, Present{.view = false, .outcomes = true}});
  out.emplace_back(LogEvent{LogLevel::notice, "member-back", name_of(peer) + " is connected to the master again"});
}

void MasterMachine::State::outcomes_of_member(Instant now, PeerId id, const OutcomesPresented& message,
                                              MasterActions& out) {
  Peer& peer = peers_.at(id);
  if (!peer.resuming) return;
  const Resume resumed = *std::exchange(peer.resuming, std::nullopt);
  count_absent(now, peer);
  arm(Timer::away, id.value, std::nullopt);
  news_changed();
  const std::uint32_t number = peer.who.group;
  const Group& group = groups_.at(number);
  peer.update_rounds = std::min(resumed.updates_made, group.update_round);
  peer.view_sent = resumed.whole && resumed.view.id != group.view.id ? ViewId{} : resumed.view.id;
  if (peer.view_sent == group.view.id)
    for (const Measures& published : group.measuring.published) tell(peer, published, out);
  for (const UndecidedOp& op : message.undecided)
    if (const auto done = group.committed.find(op.key); done != group.committed.end())
      tell(peer, done->second, out);
  if (peer.view_sent == group.view.id && !resumed.quorums.empty()) {
    if (group.footing.is_held) tell(peer, ViewHeld{group.view.id}, out);
    note_taken(groups_.at(number), id, out);
  }
  if (peer.view_sent != group.view.id)
    tell_view(group, {as_member(peer)}, cause_of_end(group, resumed.view.id), group.update_round, out);
  if (peer.who.is_relay) {
    for (const auto& [key, op] : group.ops.ops())
      if (op.needs_relays) tell(peer, RelayCall{.key = key, .signature = op.signature}, out);
    return;
  }
  resume_vote(now, id, resumed, out);
  for (const UndecidedOp& op : message.undecided) {
    // Any of these may end the view, or this peer's membership.
    const Group* const now_in = group_of(id);
    if (!now_in || op.key.view != now_in->view.id || now_in->committed.contains(op.key)) continue;
    if (op.reported)
      reported(now, id, op.key, op.signature, out);
    else
      called(now, id, op.key, op.signature, out);
  }
  watch_group(now, number, out);
  check_update(now, out);
}

/// Counts a returning member's call of update-topology, unless that call is over and the message was lost: it
/// succeeded, or it was a party to a mismatch that ended a view.
void MasterMachine::State::resume_vote(Instant now, PeerId id, const Resume& message, MasterActions& out) {
  Peer& peer = peers_.at(id);
  if (!message.in_update) return withdraw_vote(peer);
  const Group& group = groups_.at(peer.who.group);
  if (message.update_round < group.update_round)
    return tell_update_done(peer, group, {Status::success, {}}, group.round_was_over, out);
  if (const Error* const crossed = mismatch_since(group, message.view.id))
    return tell_update_done(peer, group, *crossed, false, out);
  cast_vote(now, peer, {.first = message.first, .was_over = message.was_over, .after_error = message.after_error});
}

}  // namespace hawser
