#include <algorithm>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// What becomes of collectives: committed once all members of the view have reported; aborted for all when
/// members called different things, when one holds up the rest, or when one never calls.
namespace hawser {
namespace {

/// Members that wait in collectives of which none was called by all may call the missing ones yet, from
/// other threads. After so long without any new call they will not.
constexpr Duration kCrossedCallsGrace = seconds(5);

}  // namespace

MasterMachine::State::Op* MasterMachine::State::called(Instant now, PeerId peer, const OpKey& key,
                                                       const Signature& signature, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || key.view != group->view.id) {
    out.emplace_back(LogEvent{LogLevel::debug, "stale-message", name_of(peer) + " spoke of a view that is over"});
    return nullptr;
  }
  auto found = group->ops.find(key);
  if (found == group->ops.end()) {
    if (group->ops.size() >= limits::kOpsInFlightMax) {
      lose(now, peer, {Status::refused, "this peer has too many collectives in flight"},
           "it has too many collectives in flight", out);
      return nullptr;
    }
    found = group->ops.emplace(key, Op{}).first;
    found->second.first_call = now;
  }
  Op& op = found->second;
  if (op.called.emplace(peer, signature).second) op.last_call = now;
  return &op;
}

void MasterMachine::State::said(Instant now, PeerId peer, const Begun& message, MasterActions& out) {
  if (Resume* const known = recovering(peer)) {
    if (known->undecided.size() < limits::kOpsInFlightMax)
      known->undecided.push_back({.key = message.key, .signature = message.signature, .reported = false});
    return;
  }
  if (called(now, peer, message.key, message.signature, out)) watch_group(now, peers_.at(peer).who.group, out);
}

void MasterMachine::State::said(Instant now, PeerId peer, const Report& message, MasterActions& out) {
  if (Resume* const known = recovering(peer)) {
    auto& undecided = known->undecided;
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
    for (const auto& [current, op] : group->ops)
      if (current.tag == key.tag && current.sequence == key.sequence) key = current;
  reported(now, peer, key, message.signature, out);
}

void MasterMachine::State::reported(Instant now, PeerId peer, const OpKey& key, const Signature& signature,
                                    MasterActions& out) {
  Op* const op = called(now, peer, key, signature, out);
  if (!op) return;
  op->reported.cast(peer);
  Group& group = *group_of(peer);
  if (!op->lone_since && op->reported.missing(group.view.members).size() == 1) op->lone_since = now;
  if (op->reported.unanimous(group.view.members) && !differs(*op)) {
    // What an optimize-topology has measured is told with its commit.
    if (signature.collective == Collective::optimize) group.measuring.publish_at = now;
    publish_measures(now, group, out);
    commit_to(group, key, group.view.members, out);
  } else {
    if (op->straggler) suspect_straggler(now, now, group, *op);
    watch_group(now, peers_.at(peer).who.group, out);
  }
}

void MasterMachine::State::commit_to(Group& group, const OpKey& key, const std::vector<Member>& whom,
                                     MasterActions& out) {
  const Done done{.key = key, .measures = group.measuring.version};
  for (const Member& member : whom) tell(member.id, Committed{.key = done.key, .measures = done.measures}, out);
  group.ops.erase(key);
  group.committed.push_back(done);
  if (group.committed.size() > limits::kOutcomesRememberedMax) group.committed.pop_front();
}

void MasterMachine::State::commit_what_all_reported(Group& group, const std::vector<Member>& survivors,
                                                    MasterActions& out) {
  if (survivors.empty()) return;
  std::vector<OpKey> whole;
  for (const auto& [key, op] : group.ops) {
    // Nobody contributes to a barrier or a broadcast who is not known to have come.
    const bool all_called = op.called.size() == group.view.members.size() ||
                            (!op.called.empty() && whole_means_all_called(op.called.begin()->second.collective));
    if (all_called && op.reported.unanimous(survivors) && !differs(op)) whole.push_back(key);
  }
  for (const OpKey& key : whole) {
    out.emplace_back(LogEvent{LogLevel::debug, "committed-despite-loss", "all survivors had reported"});
    commit_to(group, key, survivors, out);
  }
}

void MasterMachine::State::said(Instant now, PeerId peer, const Complaint& message, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || message.key.view != group->view.id) return;
  const auto found = group->ops.find(message.key);
  if (found == group->ops.end()) return;
  Op& op = found->second;
  if (message.waiting_for.empty() && message.unresponsive.empty()) {
    op.grievances.erase(peer);
    op.moved_at = now;
    hear_flows(now, peer, message, *group, op);
    return watch_group(now, peers_.at(peer).who.group, out);
  }
  const auto stalled = milliseconds(std::min<std::uint64_t>(message.stalled_ms, 1ULL << 40));
  op.grievances[peer] = {.since = now - stalled, .heard_at = now, .waiting_for = message.waiting_for, .unresponsive = message.unresponsive};
  if (!op.judge_at) op.judge_at = now + config_.stall / 4;
  out.emplace_back(LogEvent{LogLevel::info, "complaint",
                            name_of(peer) + " sees no progress for " + std::to_string(message.stalled_ms) + " ms"});
}

void MasterMachine::State::watch_group(Instant now, std::uint32_t number, MasterActions& out) {
  const auto found = groups_.find(number);
  if (found == groups_.end()) return;
  Group& group = found->second;
  // Each of these may replace the view, after which there is nothing left to watch.
  if (judge_mismatch(now, group, out)) return;
  if (judge_stall(now, group, out)) return;
  if (judge_stragglers(now, group, out)) return;
  judge_call_wait(now, group, out);
}

bool MasterMachine::State::differs(const Op& op) {
  return std::any_of(op.called.begin(), op.called.end(),
                     [&](const auto& one) { return one.second != op.called.begin()->second; });
}

/// No way to go on: two called one collective differently, or one waits in update-topology, which it can't
/// leave before the others call it, and another in a collective.
bool MasterMachine::State::conflict(const Group& group) const {
  if (group.ops.empty()) return false;
  const bool optimizes = std::any_of(group.ops.begin(), group.ops.end(), [](const auto& entry) {
    return entry.second.called.begin()->second.collective == Collective::optimize;
  });
  // It is alone among the collectives of its members.
  if (optimizes && group.ops.size() > 1) return true;
  const bool in_update = std::any_of(group.view.members.begin(), group.view.members.end(),
                                     [&](const Member& member) { return update_.has(member.id); });
  return in_update || std::any_of(group.ops.begin(), group.ops.end(),
                                  [](const auto& entry) { return differs(entry.second); });
}

bool MasterMachine::State::all_heard(const Group& group) const {
  return std::all_of(group.view.members.begin(), group.view.members.end(), [&](const Member& member) {
    return update_.has(member.id) || std::any_of(group.ops.begin(), group.ops.end(), [&](const auto& entry) {
             return entry.second.called.contains(member.id);
           });
  });
}

/// Every member waits in some collective, and none of these was called by all.
bool MasterMachine::State::deadlocked(const Group& group) const {
  return !group.ops.empty() && all_heard(group) &&
         std::none_of(group.ops.begin(), group.ops.end(), [&](const auto& entry) {
           return entry.second.called.size() == group.view.members.size();
         });
}

std::optional<Instant> MasterMachine::State::mismatch_deadline(const Group& group) const {
  if (group.mismatch_since) return *group.mismatch_since + config_.mismatch_grace;
  if (!deadlocked(group)) return std::nullopt;
  Instant last = Instant::min();
  for (const auto& [key, op] : group.ops) last = std::max(last, op.last_call);
  return last + kCrossedCallsGrace;
}

bool MasterMachine::State::judge_mismatch(Instant now, Group& group, MasterActions& out) {
  const bool certain = conflict(group);
  if (certain && !group.mismatch_since) group.mismatch_since = now;
  if (!certain) group.mismatch_since.reset();
  const auto deadline = mismatch_deadline(group);
  if (!deadline) return false;
  if (now < *deadline && !(certain && all_heard(group))) return false;
  abort_all(group,
            {Status::mismatch, "the members called different things: " + who_called_what(group) +
                                   ". Nothing was changed; make all of them call the same"},
            out);
  return true;
}

std::string MasterMachine::State::who_called_what(const Group& group) const {
  std::map<std::string, std::string> names_by_call;
  for (const Member& member : group.view.members) {
    std::string calls = update_.has(member.id) ? "update-topology" : "";
    for (const auto& [key, op] : group.ops) {
      const auto call = op.called.find(member.id);
      if (call == op.called.end()) continue;
      calls += (calls.empty() ? "" : " and ") + describe(call->second) + " (tag " + std::to_string(key.tag) + ")";
    }
    std::string& names = names_by_call[calls.empty() ? "nothing yet" : calls];
    names += (names.empty() ? "" : ", ") + member.name;
  }
  std::string text;
  for (const auto& [call, names] : names_by_call) text += (text.empty() ? "" : "; ") + names + " called " + call;
  return text;
}

bool MasterMachine::State::judge_stall(Instant now, Group& group, MasterActions& out) {
  for (auto& [key, op] : group.ops) {
    if (!op.judge_at || now < *op.judge_at) continue;
    op.judge_at.reset();
    std::erase_if(op.grievances, [&](const auto& entry) {
      return entry.second.heard_at + config_.stall + config_.stall / 2 < now;
    });
    if (op.called.size() < group.view.members.size()) continue;
    std::vector<PeerId> callers;
    for (const auto& [peer, signature] : op.called) callers.push_back(peer);
    // What still moves somewhere may free the rest; a dead link will not.
    if (op.moved_at && now < *op.moved_at + config_.stall)
      std::erase_if(op.grievances, [](const auto& entry) { return entry.second.unresponsive.empty(); });
    const auto culprit = blame(group.view, op.grievances, callers);
    if (!culprit) continue;
    std::vector<Member> accusers;
    for (const auto& [accuser, grievance] : op.grievances)
      if (const Member* const member = group.view.find(accuser); member && accuser != culprit->id)
        accusers.push_back(*member);
    const std::string what = describe(op.called.begin()->second);
    out.emplace_back(LogEvent{LogLevel::info, "stalled-peer-expelled", culprit->name});
    lose(now, culprit->id,
         {Status::expelled, "this peer held up an " + what + ": no data of it reached " + names_of(accusers) +
                                "; check its links, then connect again to rejoin"},
         "it held up an " + what + " that others waited in", out);
    return true;
  }
  return false;
}

bool MasterMachine::State::judge_call_wait(Instant now, Group& group, MasterActions& out) {
  for (const auto& [key, op] : group.ops) {
    if (op.called.size() >= group.view.members.size() || now < op.first_call + config_.call_wait) continue;
    Vote callers;
    for (const auto& [peer, signature] : op.called) callers.cast(peer);
    const std::string what = describe(op.called.begin()->second);
    abort_all(group,
              {Status::timeout, "not all members called the " + what + " (tag " + std::to_string(key.tag) +
                                    ") within " + std::to_string(whole_milliseconds(config_.call_wait)) +
                                    " ms; missing: " + names_of(callers.missing(group.view.members)) +
                                    ". The inputs are intact; call again"},
              out);
    return true;
  }
  return false;
}

/// Ends everything that is under way in a group without changing who is in it.
void MasterMachine::State::abort_all(Group& group, const Error& cause, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, cause.status == Status::mismatch ? "mismatch" : "call-timeout",
                            cause.sentence});
  const std::vector<Member> members = group.view.members;
  start_view(group, members, cause, out);
  end_update(cause, members, out);
}

}  // namespace hawser
