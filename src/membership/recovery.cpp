#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// A master that lost its memory learns the run from its members: each presents its view and the collectives
/// whose outcome it does not know. The newest view holds. A collective is committed if some member was told
/// so, or if all members that came back had reported it (a former master can have committed only such);
/// anything else is aborted by the next view.
namespace hawser {

Resume* MasterMachine::State::recovering(PeerId peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.role != Role::recovering) return nullptr;
  const auto recovery = recoveries_.find(found->second.who.group);
  if (recovery == recoveries_.end()) return nullptr;
  const auto known = recovery->second.resumed.find(peer);
  return known == recovery->second.resumed.end() ? nullptr : &known->second;
}

void MasterMachine::State::expel_stranger(ConnectionId connection, const Error& error, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "late-member-expelled", error.sentence});
  out.emplace_back(SendToPeer{connection, Expelled{error}});
  out.emplace_back(CloseConnection{connection, error.sentence});
  connections_.erase(connection);
}

void MasterMachine::State::resume(Instant now, ConnectionId connection, const Resume& message,
                                  MasterActions& out) {
  const Introduction& who = message.who;
  if (const auto error = refusal(who)) return turn_away(connection, *error, out);
  if (!message.view.find(who.id) || message.view.group != who.group)
    return turn_away(connection, {Status::refused, "a member resumes with a view that it is in"}, out);
  if (const auto known = peers_.find(who.id); known != peers_.end()) {
    if (known->second.who.token != who.token || known->second.role == Role::pending)
      return turn_away(connection, {Status::refused, "a peer of the same id is connected; connect again"}, out);
    if (known->second.role == Role::member) return resume_member(now, connection, message, out);
    // It came back twice during the recovery: the newer connection counts.
    forget_peer(who.id);
    recoveries_.at(who.group).resumed.erase(who.id);
  }
  if (const auto gone = expelled_.find(who.id); gone != expelled_.end())
    return expel_stranger(connection, gone->second, out);
  if (run_has_lived_ && message.run != run_)
    return expel_stranger(
        connection, {Status::expelled, "this master serves another run now; connect again to join it"}, out);
  if (groups_.contains(who.group))
    return expel_stranger(
        connection, {Status::expelled, "the members went on without this peer while it was away; connect again to rejoin"},
        out);
  begin_recovery(now, connection, message, out);
}

void MasterMachine::State::adopt_run(Instant now, const Resume& message) {
  // Newcomers that were about to be admitted wait until it is clear who is back.
  cancel_admission();
  if (run_has_lived_) return;
  run_has_lived_ = true;
  run_ = message.run;
  link_secret_ = message.view.link_secret;
  settled_at_ = now + config_.recovery;
}

/// Counts a returning member's call of update-topology, unless that call succeeded and the word was lost.
void MasterMachine::State::resume_vote(Instant now, PeerId peer, const Resume& message, MasterActions& out) {
  if (!message.in_update) return update_.withdraw(peer);
  const std::uint64_t round = group_of(peer)->update_round;
  if (message.update_round < round)
    return tell(peer, UpdateDone{.error = {Status::success, {}},
                                 .update_round = round,
                                 .measures = group_of(peer)->measuring.at_update}, out);
  update_.cast(peer);
  if (!update_since_) update_since_ = now;
}

void MasterMachine::State::begin_recovery(Instant now, ConnectionId connection, const Resume& message,
                                          MasterActions& out) {
  adopt_run(now, message);
  Introduction who = message.who;
  Connection& link = connections_.at(connection);
  if (who.address.host.empty()) who.address.host = link.host;
  link.peer = who.id;
  peers_[who.id] = {.who = who, .connection = connection, .role = Role::recovering, .arrival = arrivals_++};
  auto [found, fresh] = recoveries_.try_emplace(who.group);
  Recovery& recovery = found->second;
  if (fresh) {
    recovery.deadline = now + config_.recovery;
    out.emplace_back(LogEvent{LogLevel::warning, "recovery-begun",
                              "members of a run that lost its master come back; resuming it"});
  }
  if (fresh || recovery.best.epoch < message.view.epoch) recovery.best = message.view;
  recovery.resumed[who.id] = message;
  last_epoch_ = std::max(last_epoch_, message.view.epoch);
  tell(who.id, Welcome{.run = run_, .seen_host = link.host}, out);
  check_recovery(now, who.group, out);
}

void MasterMachine::State::check_recovery(Instant now, std::uint32_t number, MasterActions& out) {
  const auto found = recoveries_.find(number);
  if (found == recoveries_.end()) return;
  const Recovery& recovery = found->second;
  const bool all = std::all_of(recovery.best.members.begin(), recovery.best.members.end(),
                               [&](const Member& member) { return recovery.resumed.contains(member.id); });
  if (all || now >= recovery.deadline) finish_recovery(now, number, out);
}

void MasterMachine::State::finish_recovery(Instant now, std::uint32_t number, MasterActions& out) {
  const Recovery recovery = std::move(recoveries_.at(number));
  recoveries_.erase(number);
  const std::set<PeerId> behind = members_behind(recovery);
  std::vector<Member> survivors;
  std::vector<Member> absent;
  for (const Member& member : recovery.best.members)
    (recovery.resumed.contains(member.id) && !behind.contains(member.id) ? survivors : absent).push_back(member);
  const Error gone{Status::expelled,
                   "the members went on without this peer before the master was restarted; connect again"};
  for (const auto& [peer, message] : recovery.resumed) {
    if (recovery.best.find(peer) && !behind.contains(peer)) continue;
    dismiss(peer, gone, false, out);
    remember_expelled(peer, gone);
  }
  if (!survivors.empty()) {
    Group& group = groups_[number];
    group.view = recovery.best;
    group.committed = settle_recovered_ops(recovery, survivors, out);
    for (const Member& member : survivors) {
      peers_.at(member.id).role = Role::member;
      peers_.at(member.id).guests_told.reset();
      group.update_round = std::max(group.update_round, recovery.resumed.at(member.id).update_round);
    }
    start_view(group, survivors,
               {Status::master_restarted,
                "the master was restarted and the members resumed" +
                    (absent.empty() ? std::string() : ", without " + names_of(absent)) +
                    "; what was under way is undone, and the inputs are intact: call again"},
               out);
    for (const Member& member : survivors)
      resume_vote(now, member.id, recovery.resumed.at(member.id), out);
    out.emplace_back(LogEvent{LogLevel::warning, "recovered",
                              "the run goes on with " + std::to_string(survivors.size()) + " members"});
  }
  check_update(now, out);
  maybe_bootstrap(now, out);
}

/// Members that lack the result of a collective which others know as committed: the former master had lost them
/// when it committed that, and nobody lived to tell.
std::set<PeerId> MasterMachine::State::members_behind(const Recovery& recovery) {
  std::set<OpKey> committed;
  for (const auto& [peer, known] : recovery.resumed)
    if (recovery.best.find(peer)) committed.insert(known.committed.begin(), known.committed.end());
  std::set<PeerId> behind;
  for (const auto& [peer, known] : recovery.resumed)
    for (const UndecidedOp& op : known.undecided)
      if (!op.reported && committed.contains(op.key)) behind.insert(peer);
  return behind;
}

std::deque<MasterMachine::State::Done> MasterMachine::State::settle_recovered_ops(const Recovery& recovery,
                                                             const std::vector<Member>& survivors,
                                                             MasterActions& out) {
  std::set<OpKey> committed;
  struct Reports {
    Vote from;
    Signature signature;
    bool alike = true;
  };
  std::map<OpKey, Reports> reported;
  for (const Member& member : survivors) {
    const Resume& known = recovery.resumed.at(member.id);
    committed.insert(known.committed.begin(), known.committed.end());
    for (const UndecidedOp& op : known.undecided)
      if (op.reported && op.key.view == recovery.best.id) {
        const auto [known_op, first] = reported.try_emplace(op.key, Reports{.from = {}, .signature = op.signature});
        known_op->second.from.cast(member.id);
        known_op->second.alike = known_op->second.alike && known_op->second.signature == op.signature;
      }
  }
  const bool complete = survivors.size() == recovery.best.members.size();
  for (const auto& [key, reports] : reported)
    if (reports.alike && (complete || whole_means_all_called(reports.signature.collective)) &&
        reports.from.unanimous(survivors))
      committed.insert(key);
  for (const Member& member : survivors)
    for (const UndecidedOp& op : recovery.resumed.at(member.id).undecided)
      if (op.reported && committed.contains(op.key)) {
        out.emplace_back(LogEvent{LogLevel::debug, "committed-in-recovery", "all survivors had reported"});
        tell(member.id, Committed{.key = op.key}, out);
      }
  std::deque<Done> recent;
  for (const OpKey& key : committed) recent.push_back({.key = key});
  while (recent.size() > limits::kOutcomesRememberedMax) recent.pop_front();
  return recent;
}

/// The peer noticed a dead connection before the master did: it goes on where it was.
void MasterMachine::State::resume_member(Instant now, ConnectionId connection, const Resume& message,
                                         MasterActions& out) {
  const PeerId id = message.who.id;
  Peer& peer = peers_.at(id);
  if (connections_.erase(peer.connection) > 0)
    out.emplace_back(CloseConnection{peer.connection, "the peer opened a new connection"});
  peer.connection = connection;
  connections_.at(connection).peer = id;
  news_told_.erase(id);
  peer.guests_told.reset();
  tell(id, Welcome{.run = run_, .seen_host = connections_.at(connection).host}, out);
  out.emplace_back(LogEvent{LogLevel::info, "member-reconnected", name_of(id) + " opened a new connection"});
  const Group& group = *group_of(id);
  if (message.view.id == group.view.id)
    for (const Measures& published : group.measuring.published) tell(id, published, out);
  for (const UndecidedOp& op : message.undecided)
    if (const Done* const done = find_committed(group, op.key))
      tell(id, Committed{.key = op.key, .measures = done->measures}, out);
  if (message.view.id != group.view.id)
    tell(id,
         StartView{.view = group.view,
                   .world = world(),
                   .cause = cause_of_end(group, message.view.id),
                   .update_round = group.update_round},
         out);
  if (admission_)
    for (const auto& [number, view] : admission_->proposed)
      if (view.find(id)) tell(id, Prepare{view}, out);
  resume_vote(now, id, message, out);
  for (const UndecidedOp& op : message.undecided) {
    // Any of these may end the view, or this peer's membership.
    const Group* const now_in = group_of(id);
    if (!now_in || op.key.view != now_in->view.id || find_committed(*now_in, op.key)) continue;
    if (op.reported)
      reported(now, id, op.key, op.signature, out);
    else if (called(now, id, op.key, op.signature, out))
      watch_group(now, message.who.group, out);
  }
  check_update(now, out);
}

}  // namespace hawser
