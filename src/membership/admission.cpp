#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// Update-topology and admission: all members of all groups vote; then links to the newcomers are opened
/// (Prepare, Prepared), and only then the new views start. A newcomer that some member cannot reach is sent
/// away and the rest goes on. The first peers of a run are admitted without a vote.
namespace hawser {

void MasterMachine::State::said(Instant now, PeerId peer, const UpdateCall&, MasterActions& out) {
  if (Resume* const known = recovering(peer)) {
    known->in_update = true;
    return;
  }
  if (!group_of(peer)) return;
  update_.cast(peer);
  if (!update_since_) update_since_ = now;
  watch_group(now, peers_.at(peer).who.group, out);
  check_update(now, out);
}

void MasterMachine::State::check_update(Instant now, MasterActions& out) {
  if (update_.empty()) forget_update();
  if (!update_since_ || admission_ || !recoveries_.empty()) return;
  const auto electors = members_of_all_groups();
  if (electors.empty()) return;
  if (update_.unanimous(electors)) {
    if (!admissible(now).empty()) return begin_admission(now, out);
    return end_update({Status::success, {}}, electors, out);
  }
  if (now < *update_since_ + config_.call_wait) return;
  end_update({Status::timeout, "not all members called update-topology within " +
                                   std::to_string(whole_milliseconds(config_.call_wait)) +
                                   " ms; missing: " + names_of(update_.missing(electors))},
             electors, out);
}

void MasterMachine::State::end_update(const Error& error, const std::vector<Member>& whom,
                                      MasterActions& out) {
  if (error.status == Status::success)
    for (auto& [number, group] : groups_) {
      ++group.update_round;
      group.measuring.at_update = group.measuring.version;
    }
  for (const Member& member : whom) {
    if (!update_.has(member.id)) continue;
    update_.withdraw(member.id);
    const Group& group = *group_of(member.id);
    tell(member.id,
         UpdateDone{.error = error, .update_round = group.update_round, .measures = group.measuring.at_update}, out);
  }
  if (update_.empty()) forget_update();
}

void MasterMachine::State::forget_update() {
  update_since_.reset();
  update_admits_before_.reset();
}

bool MasterMachine::State::bootstrap_waits() const {
  return groups_.empty() && recoveries_.empty() && !admission_ && waiting_count() > 0;
}

/// Guests that came in time are waited for: there is nobody to fetch from, so they say at once that it is
/// over, or are broken.
Instant MasterMachine::State::bootstrap_due() const {
  const Instant window_ends = std::max(bootstrap_at_, settled_at_);
  const bool guests_to_come = std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    return is_guest(entry.second) && !waits_for_admission(entry.second) && entry.second.came_at < window_ends;
  });
  return guests_to_come ? window_ends + config_.bootstrap : window_ends;
}

void MasterMachine::State::maybe_bootstrap(Instant now, MasterActions& out) {
  if (bootstrap_waits() && now >= bootstrap_due()) begin_admission(now, out);
}

/// Pending peers in order of arrival. Those of a group without members wait while former members of it may
/// still come back to a restarted master.
std::vector<const MasterMachine::State::Peer*> MasterMachine::State::admissible(Instant now) const {
  std::vector<const Peer*> newcomers;
  for (const auto& [id, peer] : peers_)
    if (waits_for_admission(peer) && (now >= settled_at_ || groups_.contains(peer.who.group)) &&
        peer.arrival < update_admits_before_.value_or(arrivals_))
      newcomers.push_back(&peer);
  keep_whole_parties(newcomers);
  std::sort(newcomers.begin(), newcomers.end(),
            [](const Peer* a, const Peer* b) { return a->arrival < b->arrival; });
  return newcomers;
}

void MasterMachine::State::begin_admission(Instant now, MasterActions& out) {
  const std::vector<const Peer*> newcomers = admissible(now);
  if (!update_.empty() && !update_admits_before_) update_admits_before_ = arrivals_;
  admission_.emplace();
  admission_->deadline = now + config_.link_open;
  std::vector<PeerId> crowded_out;
  for (const Peer* const newcomer : newcomers) {
    const std::uint32_t number = newcomer->who.group;
    auto [found, fresh] = admission_->proposed.try_emplace(number);
    View& view = found->second;
    if (fresh) {
      if (const auto group = groups_.find(number); group != groups_.end()) view.members = group->second.view.members;
      view.epoch = last_epoch_ = {last_epoch_.value + 1};
      view.id = {random_.next()};
      view.group = number;
      view.link_secret = link_secret_;
    }
    if (view.size() < limits::kGroupSizeMax)
      view.members.push_back(as_member(newcomer->who.id));
    else
      crowded_out.push_back(newcomer->who.id);
  }
  for (const PeerId peer : crowded_out)
    dismiss(peer, {Status::refused, "the group is full (" + std::to_string(limits::kGroupSizeMax) + " members)"},
            true, out);
  for (const auto& [number, view] : admission_->proposed)
    for (const Member& member : view.members) tell(member.id, Prepare{view}, out);
  out.emplace_back(LogEvent{LogLevel::info, "admission-begun",
                            std::to_string(newcomers.size()) + " peers wait; links are being opened"});
}

std::vector<Member> MasterMachine::State::admission_electors() const {
  std::vector<Member> electors;
  for (const auto& [number, view] : admission_->proposed)
    electors.insert(electors.end(), view.members.begin(), view.members.end());
  return electors;
}

void MasterMachine::State::said(Instant now, PeerId peer, const Prepared& message, MasterActions& out) {
  if (!admission_) return;
  const auto& proposed = admission_->proposed;
  const auto view = std::find_if(proposed.begin(), proposed.end(), [&](const auto& entry) {
    return entry.second.id == message.view && entry.second.find(peer);
  });
  if (view == proposed.end()) return;
  admission_->prepared.cast(peer);
  for (const PeerId other : message.unreachable)
    if (other != peer && view->second.find(other)) admission_->unreachable.emplace_back(peer, other);
  check_admission(now, out);
}

void MasterMachine::State::check_admission(Instant now, MasterActions& out) {
  if (!admission_) return;
  if (admission_->prepared.unanimous(admission_electors())) {
    if (admission_->unreachable.empty()) return finish_admission(out);
    drop_unreachable(out);
  } else if (now >= admission_->deadline) {
    drop_late(now, out);
  } else {
    return;
  }
  check_update(now, out);
  maybe_bootstrap(now, out);
}

/// Of two that cannot reach each other the younger goes, which is a newcomer.
void MasterMachine::State::drop_unreachable(MasterActions& out) {
  const Admission failed = *admission_;
  cancel_admission();
  for (const auto& [a, b] : failed.unreachable) {
    for (const auto& [number, view] : failed.proposed) {
      const auto rank_a = view.rank_of(a);
      const auto rank_b = view.rank_of(b);
      if (!rank_a || !rank_b) continue;
      const Member& newcomer = view.members[std::max(*rank_a, *rank_b)];
      const Member& elder = view.members[std::min(*rank_a, *rank_b)];
      // Gone already for the sake of another pair, which may also have spared this one.
      if (!peers_.contains(newcomer.id) || !peers_.contains(elder.id)) continue;
      if (peers_.at(newcomer.id).role != Role::pending) continue;
      out.emplace_back(LogEvent{LogLevel::warning, "newcomer-unreachable",
                                newcomer.name + " (" + to_string(newcomer.address) + ") and " + elder.name +
                                    " (" + to_string(elder.address) + ") cannot connect; the newcomer is refused"});
      dismiss(newcomer.id,
              {Status::refused, "no connection could be opened between this peer, at " + to_string(newcomer.address) +
                                    ", and " + elder.name + ", at " + to_string(elder.address) +
                                    "; check both addresses (advertise_address) and firewalls, then connect again"},
              true, out);
    }
  }
}

void MasterMachine::State::drop_late(Instant now, MasterActions& out) {
  const auto late = admission_->prepared.missing(admission_electors());
  cancel_admission();
  for (const Member& member : late)
    lose(now, member.id,
         {Status::refused, "this peer did not open its links to the other members in time; connect again"},
         "it did not open its links to the newcomers in time", out);
}

void MasterMachine::State::finish_admission(MasterActions& out) {
  const Admission done = std::move(*admission_);
  cancel_admission();
  run_has_lived_ = true;
  for (const auto& [number, view] : done.proposed) {
    Group& group = groups_[number];
    if (group.view.size() > 0) end_view(group, {Status::success, {}});
    group.view = view;
    group.ops.clear();
    begin_measuring(group);
    group.mismatch_since.reset();
    for (const Member& member : view.members) {
      Peer& peer = peers_.at(member.id);
      // The run's id may have been taken over from members that came back after this newcomer's welcome.
      if (peer.role == Role::pending)
        tell(member.id, Welcome{.run = run_, .seen_host = connections_.at(peer.connection).host}, out);
      peer.role = Role::member;
    }
  }
  const World sizes = world();
  for (const auto& [number, view] : done.proposed) {
    StartView start;
    start.view = view;
    start.world = sizes;
    start.cause.status = Status::success;
    start.update_round = groups_.at(number).update_round + (update_.empty() ? 0 : 1);
    for (const Member& member : view.members) tell(member.id, start, out);
  }
  out.emplace_back(LogEvent{LogLevel::info, "admitted", "the world has " + std::to_string(sizes.size) + " members"});
  // First, so that a call that has just ended sees nobody pending whom it admitted.
  tell_news(out);
  if (!update_.empty()) end_update({Status::success, {}}, members_of_all_groups(), out);
}

void MasterMachine::State::cancel_admission() { admission_.reset(); }

}  // namespace hawser
