#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/loggable_text.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// What becomes of collectives: committed once all members of the view have reported; aborted for all when
/// members called different things, when one holds up the rest, or when one never calls.
namespace hawser {
namespace {

/// Members that wait in collectives of which none was called by all may call the missing ones yet, from
/// other threads. After so long without any new call they will not.
constexpr Duration kCrossedCallsGrace = seconds(5);
/// A mismatch that comes again and again is told later and later: programs that call again at once would do nothing
/// else.
constexpr Duration kRepeatedPause = milliseconds(50);
constexpr Duration kRepeatedPauseMax = seconds(1);
/// So do calls that are given up. A member whose bounds are too short for the group holds up no call that takes less.
constexpr Duration kGivenUpPauseMax = seconds(30);
/// Calls of one member that are spelt out in one sentence.
constexpr std::size_t kCallsShown = 3;

Duration pause_of(std::uint32_t in_row, Duration max) {
  if (in_row == 0) return Duration::zero();
  return std::min<Duration>(max, kRepeatedPause * (1 << std::min<std::uint32_t>(in_row - 1, 10)));
}

}  // namespace

MasterMachine::State::Op* MasterMachine::State::called(Instant now, PeerId peer, const OpKey& key,
                                                       const Signature& signature, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || key.view != group->view.id) {
    out.emplace_back(
        LogEvent{LogLevel::debug, "stale-message", name_of(peer) + " sent a message about a view that is over"});
    return nullptr;
  }
  if (peers_.at(peer).who.is_relay) {
    relay_calls(now, peer, out);
    return nullptr;
  }
  const std::uint32_t rank = peers_.at(peer).rank;
  const Op* const known = group->ops.find(key);
  if (!(known && known->called.contains(rank)) && group->ops.open_calls(rank) >= limits::kOpsInFlightMax) {
    lose(now, peer, {Status::refused, "this peer has too many collectives in flight"},
         "it has too many collectives in flight", out);
    return nullptr;
  }
  const bool new_call = !(known && known->called.contains(rank));
  Op& op = group->ops.call(now, rank, key, signature);
  // From now on it can go on: what was complained of before is over.
  if (new_call && group->ops.called_by_all(op)) op.moved_at = now;
  arm_op(*group, key, op);
  return &op;
}

void MasterMachine::State::relay_calls(Instant now, PeerId relay, MasterActions& out) {
  lose(now, relay, {Status::refused, "a relay has no tensors, and calls nothing"}, "it is a relay, and called something",
       out);
}

/// They learn of a collective in no other way: nobody calls it there.
void MasterMachine::State::call_relays(const Group& group, const OpKey& key, Op& op, MasterActions& out) {
  if (std::exchange(op.needs_relays, true)) return;
  const std::vector<Member> relays(group.view.members.begin() + group.view.size(), group.view.members.end());
  tell_all(relays, RelayCall{.key = key, .signature = op.signature}, out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Begun& message, MasterActions& out) {
  if (Claim* const known = claim_of(peer)) {
    if (!known->outcomes) return;
    auto& undecided = known->outcomes->undecided;
    const bool is_known = std::any_of(undecided.begin(), undecided.end(),
                                      [&](const UndecidedOp& op) { return op.key == message.key; });
    if (!is_known && undecided.size() < limits::kOpsInFlightMax)
      undecided.push_back({.key = message.key, .signature = message.signature, .reported = false});
    return;
  }
  if (const Group* const group = group_of(peer); group && group->committed.contains(message.key))
    return attested_late(peer, message);
  Op* const op = called(now, peer, message.key, message.signature, out);
  if (!op) return;
  if (message.needs_relays) call_relays(*group_of(peer), message.key, *op, out);
  // The first one counts: nobody takes back what it has said once it knows the result.
  if (message.attestation && config_.needs_keys) {
    const std::uint32_t rank = peers_.at(peer).rank;
    const std::uint32_t other = (rank + 1) % (*group_of(peer)).view.size();
    const bool is_new =
        op->attestations.emplace(planted(PlantedFault::misplaced_contribution) ? other : rank, *message.attestation)
            .second;
    if (is_new && op->reported.contains(rank)) op->attested_late.insert(rank);
  }
  watch_group(now, peers_.at(peer).who.group, out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Report& message, MasterActions& out) {
  if (Claim* const known = claim_of(peer)) {
    if (!known->outcomes) return;
    auto& undecided = known->outcomes->undecided;
    const auto found = std::find_if(undecided.begin(), undecided.end(),
                                    [&](const UndecidedOp& op) { return op.key == message.key; });
    if (found != undecided.end())
      found->reported = true;
    else if (undecided.size() < limits::kOpsInFlightMax)
      undecided.push_back({.key = message.key, .signature = message.signature, .reported = true});
    return;
  }
  OpKey key = message.key;
  if (Group* const group = group_of(peer); planted(PlantedFault::stale_commit) && group)
    for (const auto& [current, op] : group->ops.ops())
      if (current.tag == key.tag && current.sequence == key.sequence) key = current;
  reported(now, peer, key, message.signature, out);
}

void MasterMachine::State::reported(Instant now, PeerId peer, const OpKey& key, const Signature& signature,
                                    MasterActions& out) {
  if (const Group* const group = group_of(peer); group && group->committed.contains(key)) return;
  Op* const op = called(now, peer, key, signature, out);
  if (!op) return;
  Group& group = *group_of(peer);
  const std::uint32_t rank = peers_.at(peer).rank;
  op->reported.insert(rank);
  op->slow_links.forget(rank);
  op->grievances.erase(peer);
  op->moved_at = now;
  if (!op->lone_since && op->reported.size() + 1 == group.view.size()) op->lone_since = now;
  if (op->reported.size() == group.view.size() && !op->differs()) {
    // What an optimize-topology has measured is told with its commit.
    if (signature.collective == Collective::optimize) group.measuring.publish_at = now;
    publish_measures(now, group, out);
    commit_to(group, key, group.view.members, out);
    return arm_group(group);
  }
  if (op->straggler) suspect_straggler(now, now, *op);
  arm_op(group, key, *op);
  watch_group(now, group.view.group, out);
}

void MasterMachine::State::remember_commit(Group& group, const Committed& committed) {
  if (!group.committed.emplace(committed.key, committed).second) return;
  group.committed_order.push_back(committed.key);
  if (group.committed_order.size() <= limits::kOutcomesRememberedMax) return;
  group.committed.erase(group.committed_order.front());
  group.committed_order.pop_front();
}

void MasterMachine::State::commit_to(Group& group, const OpKey& key, const std::vector<Member>& whom,
                                     MasterActions& out) {
  const std::uint64_t made = count_rounds(group);
  const Committed committed{.key = key,
                            .measures = group.measuring.version,
                            .update_round = group.update_round,
                            .updates_made = made};
  tell_all(whom, committed, out);
  remember_commit(group, committed);
  group.mismatches.in_row = 0;
  group.given_up_in_row = 0;
  if (const Op* const op = group.ops.find(key)) {
    const auto kind = static_cast<std::size_t>(op->signature.collective);
    ++totals_.committed[kind];
    totals_.bytes[kind] += op->signature.count * element_bytes(op->signature.type);
    if (!op->attestations.empty()) keep_attestations(group, key, *op);
  }
  group.ops.erase(key);
}

void MasterMachine::State::commit_what_all_reported(Group& group, const std::vector<Member>& survivors,
                                                    MasterActions& out) {
  if (survivors.empty()) return;
  std::vector<OpKey> whole;
  for (const auto& [key, op] : group.ops.ops()) {
    // Nobody contributes to a barrier or a broadcast who is not known to have come.
    const bool all_called = group.ops.called_by_all(op) || whole_means_all_called(op.signature.collective);
    const bool all_reported = std::all_of(survivors.begin(), survivors.end(), [&, &op = op](const Member& member) {
      return member.is_relay || op.reported.contains(peers_.at(member.id).rank);
    });
    if (all_called && all_reported && !op.differs()) whole.push_back(key);
  }
  for (const OpKey& key : whole) {
    out.emplace_back(LogEvent{LogLevel::debug, "committed-despite-loss", "all survivors had reported"});
    commit_to(group, key, survivors, out);
  }
}

void MasterMachine::State::said(Instant now, PeerId peer, const Complaint& message, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || message.key.view != group->view.id || peers_.at(peer).who.is_relay) return;
  Op* const op = group->ops.find(message.key);
  if (!op) return;
  if (message.waiting_for.empty() && message.unresponsive.empty()) {
    op->grievances.erase(peer);
    op->moved_at = now;
    hear_flows(now, peers_.at(peer), message, *group, *op);
    arm_op(*group, message.key, *op);
    return watch_op(now, *group, message.key, out);
  }
  const auto stalled = milliseconds(std::min<std::uint64_t>(message.stalled_ms, 1ULL << 40));
  op->grievances[peer] = {.since = now - stalled,
                          .heard_at = now,
                          .waiting_for = message.waiting_for,
                          .unresponsive = message.unresponsive};
  // Nobody can have waited for that long earlier, whatever it says.
  if (!op->judge_at) op->judge_at = std::max(now + config_.stall / 4, op->first_call + config_.stall);
  arm_op(*group, message.key, *op);
  arm_group(*group);
  out.emplace_back(LogEvent{LogLevel::info, "complaint",
                            name_of(peer) + " sees no progress for " + std::to_string(message.stalled_ms) + " ms"});
}

void MasterMachine::State::said(Instant now, PeerId peer, const GiveUp& message, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || message.key.view != group->view.id || peers_.at(peer).who.is_relay) return;
  if (planted(PlantedFault::deaf_master)) return;
  Op* const op = group->ops.find(message.key);
  if (!op || !op->called.contains(peers_.at(peer).rank) || op->given_up) return;
  op->given_up = {.by = peer, .after_ms = message.after_ms, .was_cancelled = message.cancelled, .since = now};
  watch_op(now, *group, message.key, out);
}

// ---------------------------------------------------------------------------------- what is to be watched

/// The next moment at which this collective alone is to be looked at.
void MasterMachine::State::arm_op(Group& group, const OpKey& key, const Op& op) {
  std::optional<Instant> next = op.judge_at;
  if (!group.ops.called_by_all(op))
    next = earlier(next, op.first_call + config_.call_wait);
  else
    next = earlier(next, straggler_deadline(group, op));
  if (op.given_up) next = earlier(next, ends_given_up_at(group, op));
  group.ops.due.set(key, next);
}

void MasterMachine::State::arm_group(const Group& group) {
  arm(Timer::group, group.view.group, earlier(group.ops.due.next(), mismatch_deadline(group)));
}

/// After a call, or a complaint about one: do the calls of all members go together?
void MasterMachine::State::watch_group(Instant now, std::uint32_t number, MasterActions& out) {
  const auto found = groups_.find(number);
  if (found == groups_.end()) return;
  Group& group = found->second;
  release_followers(group, out);
  // After which it has another view.
  if (judge_mismatch(now, group, out)) return;
  arm_group(group);
}

/// Each of these may replace the view, after which the collective is gone.
void MasterMachine::State::watch_op(Instant now, Group& group, const OpKey& key, MasterActions& out) {
  Op* const op = group.ops.find(key);
  if (!op) return;
  if (judge_stall(now, group, *op, out)) return;
  if (judge_given_up(now, group, key, *op, out)) return;
  if (group.ops.called_by_all(*op) && judge_stragglers(now, group, key, *op, out)) return;
  if (judge_call_wait(now, group, key, *op, out)) return;
  arm_op(group, key, *op);
  arm_group(group);
}

void MasterMachine::State::group_due(Instant now, std::uint32_t number, MasterActions& out) {
  const auto find = [&]() -> Group* {
    const auto found = groups_.find(number);
    return found == groups_.end() ? nullptr : &found->second;
  };
  while (Group* const group = find()) {
    const auto key = group->ops.due.pop_due(now);
    if (!key) break;
    watch_op(now, *group, *key, out);
  }
  watch_group(now, number, out);
}

/// No way to go on: two called one collective differently, or one waits in update-topology, which it can't
/// leave before the others call it, and another in a collective. An optimize-topology is alone among the collectives.
bool MasterMachine::State::conflict(const Group& group) {
  if (group.ops.empty()) return false;
  if (group.ops.any_optimizes() && group.ops.ops().size() > 1) return true;
  return group.in_update > 0 || group.ops.any_differs();
}

/// Nobody waits in update-topology and in a collective at one time.
bool MasterMachine::State::all_heard(const Group& group) {
  return group.ops.callers() + group.in_update >= group.view.size();
}

/// Every member waits in some collective, and none of these was called by all.
bool MasterMachine::State::deadlocked(const Group& group) {
  return !group.ops.empty() && all_heard(group) && !group.ops.any_called_by_all();
}

std::optional<Instant> MasterMachine::State::mismatch_deadline(const Group& group) const {
  if (group.mismatch_since) {
    const Instant told_again = *group.mismatch_since + pause_of(group.mismatches.in_row, kRepeatedPauseMax);
    return all_heard(group) ? told_again : std::max(told_again, *group.mismatch_since + config_.mismatch_grace);
  }
  if (!deadlocked(group) || group.absent > 0) return std::nullopt;
  const Instant deadline = std::max(group.ops.last_call(), group.complete_since) + kCrossedCallsGrace;
  if (stepped_at_ < deadline) return deadline;
  // A connection may be dead and not known to be: what its member calls meanwhile does not come. It is silent then.
  const Instant heard_at = least_heard(group);
  return stepped_at_ <= heard_at + config_.silence / 2 ? deadline : heard_at + config_.silence / 4 * 5;
}

/// When the one was heard who has been silent for longest. All members are connected.
Instant MasterMachine::State::least_heard(const Group& group) const {
  Instant least = Instant::max();
  for (const Member& member : group.view.members) {
    const auto& connection = peers_.at(member.id).connection;
    if (connection) least = std::min(least, connections_.at(*connection).heard_at);
  }
  return least;
}

bool MasterMachine::State::judge_mismatch(Instant now, Group& group, MasterActions& out) {
  const bool certain = conflict(group);
  if (certain && !group.mismatch_since) group.mismatch_since = now;
  if (!certain) group.mismatch_since.reset();
  const auto deadline = mismatch_deadline(group);
  if (!deadline || now < *deadline) return false;
  // What is told of it has more words, and must fit into a message.
  const std::string calls = make_loggable(who_called_what(group), limits::kSentenceBytesMax * 2 / 3);
  Mismatches& known = group.mismatches;
  known.sentence = calls;
  known.at = now;
  ++known.total;
  ++known.in_row;
  const std::string again =
      known.in_row > 1 ? " This has happened " + std::to_string(known.in_row) + " times in a row." : std::string();
  out.emplace_back(LogEvent{LogLevel::warning, "mismatch",
                            "the members of group " + std::to_string(group.view.group) + " called different things: " +
                                calls + "." + again});
  abort_all(now, group,
            {Status::mismatch, "the members called different things: " + calls +
                                   ". Nothing was changed; make all of them call the same." + again},
            out);
  return true;
}

std::string MasterMachine::State::who_called_what(const Group& group) const {
  std::map<std::string, std::string> names_by_call;
  for (std::uint32_t rank = 0; rank < group.view.size(); ++rank) {
    const Member& member = group.view.members[rank];
    std::string calls = peers_.at(member.id).in_update ? "update-topology" : "";
    std::size_t left = group.ops.open_calls(rank);
    std::size_t told = 0;
    for (auto op = group.ops.ops().begin(); left > 0 && told < kCallsShown; ++op) {
      if (!op->second.called.contains(rank)) continue;
      --left;
      ++told;
      calls += (calls.empty() ? "" : " and ") + describe(op->second.called_by(rank)) + " (tag " +
               std::to_string(op->first.tag) + ")";
    }
    if (left > 0) calls += " and " + std::to_string(left) + " more";
    std::string& names = names_by_call[calls.empty() ? "nothing yet" : calls];
    names += (names.empty() ? "" : ", ") + member.name;
  }
  std::string text;
  for (const auto& [call, names] : names_by_call) text += (text.empty() ? "" : "; ") + names + " called " + call;
  return text;
}

std::vector<Member> MasterMachine::State::who_lacks_result(const Group& group, const Op& op) {
  std::vector<Member> lacking;
  for (std::uint32_t rank = op.reported.first_missing(); rank < group.view.size(); ++rank)
    if (!op.reported.contains(rank)) lacking.push_back(group.view.members[rank]);
  return lacking;
}

bool MasterMachine::State::judge_stall(Instant now, Group& group, Op& op, MasterActions& out) {
  if (!op.judge_at || now < *op.judge_at) return false;
  op.judge_at.reset();
  std::erase_if(op.grievances, [&](const auto& entry) {
    return entry.second.heard_at + config_.stall + config_.stall / 2 < now;
  });
  if (!group.ops.called_by_all(op)) return false;
  std::vector<PeerId> callers;
  for (const Member& member : group.view.members) callers.push_back(member.id);
  // What still moves somewhere may free the rest; a dead link will not.
  if (op.moved_at && now < *op.moved_at + config_.stall)
    std::erase_if(op.grievances, [](const auto& entry) { return entry.second.unresponsive.empty(); });
  auto culprit = blame(group.view, op.grievances, callers);
  if (!culprit) return false;
  // All others have the result: without the one that lacks it, it is theirs, and a single complaint about one of them
  // is no reason to lose it.
  const std::vector<Member> lacking = who_lacks_result(group, op);
  if (lacking.size() == 1 && lacking.front().id != culprit->id && !culprit->is_relay) {
    const std::string what = describe(op.signature);
    const Member alone = lacking.front();
    out.emplace_back(LogEvent{LogLevel::info, "stalled-peer-expelled", alone.name});
    lose(now, alone.id,
         {Status::expelled, "this peer alone had no result of an " + what + ", and no data from " + culprit->name +
                                " reached it; check its links, then connect again to rejoin"},
         "it alone had no result of an " + what, out);
    return true;
  }
  if (lose_cut_off(now, group, op, out)) return true;
  std::vector<Member> accusers;
  for (const auto& [accuser, grievance] : op.grievances)
    if (const Member* const member = group.view.find(accuser); member && accuser != culprit->id)
      accusers.push_back(*member);
  const std::string what = describe(op.signature);
  out.emplace_back(LogEvent{LogLevel::info, "stalled-peer-expelled", culprit->name});
  lose(now, culprit->id,
       {Status::expelled, "this peer held up an " + what + ": no data from it reached " + names_of(accusers) +
                              "; check its links, then connect again to rejoin"},
       "it held up an " + what + " that others waited in", out);
  return true;
}

/// The group has fallen apart, and more than one member is on the other side: they go together, not one after the other.
bool MasterMachine::State::lose_cut_off(Instant now, const Group& group, const Op& op, MasterActions& out) {
  if (!config_.links.has_all_links(group.view.size())) return false;
  const std::vector<Member> lost = cut_off(group.view, op.grievances);
  if (lost.size() < 2) return false;
  std::vector<Member> staying = group.view.members;
  std::erase_if(staying, [&](const Member& member) {
    return std::any_of(lost.begin(), lost.end(), [&](const Member& one) { return one.id == member.id; });
  });
  // Where nobody reaches anybody, somebody who joins two of them may come meanwhile.
  if (View{.members = staying}.size() < 2) return false;
  std::vector<Loss> losses;
  for (const Member& member : lost) {
    out.emplace_back(LogEvent{LogLevel::info, "stalled-peer-expelled", member.name});
    losses.push_back(
        {.peer = member.id,
         .for_it = {Status::expelled,
                    "the group has fallen apart: this peer has a link to none of " + names_of(staying) +
                        ", and these are more, or have the eldest member; check the links to them, then connect again "
                        "to rejoin"},
         .for_others = "the group has fallen apart, and it has a link to nobody of this part"});
  }
  lose_all(now, std::move(losses), out);
  return true;
}

std::vector<Member> MasterMachine::State::who_has_not_called(const Group& group, const Op& op) {
  std::vector<Member> missing;
  for (std::uint32_t rank = 0; rank < group.view.size(); ++rank)
    if (!op.called.contains(rank)) missing.push_back(group.view.members[rank]);
  return missing;
}

Instant MasterMachine::State::ends_given_up_at(const Group& group, const Op& op) {
  return op.given_up->since + pause_of(group.given_up_in_row, kGivenUpPauseMax);
}

bool MasterMachine::State::judge_given_up(Instant now, Group& group, const OpKey& key, const Op& op,
                                          MasterActions& out) {
  if (!op.given_up || now < ends_given_up_at(group, op)) return false;
  ++group.given_up_in_row;
  const auto& [by, after_ms, was_cancelled, since] = *op.given_up;
  const std::vector<Member> missing = who_has_not_called(group, op);
  const std::string waited_for =
      missing.empty() ? "all had called it, and no result had come to " + names_of(who_lacks_result(group, op))
                      : "not called by " + names_of(missing);
  abort_all(now, group,
            {Status::timeout, name_of(by) + (was_cancelled ? " cancelled the " : " gave up the ") +
                                  describe(op.signature) + " (tag " + std::to_string(key.tag) + ") after " +
                                  std::to_string(after_ms) + " ms" + (was_cancelled ? "" : ", which was its bound") +
                                  "; " + waited_for + ". The inputs are intact; call again"},
            out);
  return true;
}

bool MasterMachine::State::judge_call_wait(Instant now, Group& group, const OpKey& key, const Op& op,
                                           MasterActions& out) {
  if (group.ops.called_by_all(op) || now < op.first_call + config_.call_wait) return false;
  abort_all(now, group,
            {Status::timeout, "not all members called the " + describe(op.signature) + " (tag " +
                                  std::to_string(key.tag) + ") within " +
                                  std::to_string(whole_milliseconds(config_.call_wait)) +
                                  " ms; missing: " + names_of(who_has_not_called(group, op)) +
                                  ". The inputs are intact; call again"},
            out);
  return true;
}

/// Ends everything that is under way in a group without changing who is in it.
void MasterMachine::State::abort_all(Instant now, Group& group, const Error& cause, MasterActions& out) {
  if (cause.status != Status::mismatch) out.emplace_back(LogEvent{LogLevel::warning, "call-timeout", cause.sentence});
  const std::vector<Member> members = group.view.members;
  start_view(now, group, members, cause, out);
  end_update(cause, members, out);
}

}  // namespace hawser
