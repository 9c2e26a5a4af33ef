#include <algorithm>

#include "membership/master_state.hpp"

/// A peer goes, for whatever reason, and the next view starts without it. What all survivors had reported
/// is committed first; everything else that was under way in its group is aborted by the new view.
namespace hawser {
namespace {

constexpr std::size_t kEndsRemembered = 64;
/// Losses spelt out in one sentence.
constexpr std::size_t kReasonsTold = 4;

}  // namespace

void MasterMachine::State::lose(Instant now, PeerId peer, const Error& for_it, const std::string& for_others,
                                MasterActions& out) {
  lose_all(now, {{.peer = peer, .for_it = for_it, .for_others = for_others}}, out);
}

/// However many are lost at one moment, each group starts one view.
void MasterMachine::State::lose_all(Instant now, std::vector<Loss> losses, MasterActions& out) {
  add_companions(losses);
  std::map<std::uint32_t, std::vector<std::string>> reasons_by_group;
  for (const Loss& loss : losses) {
    const auto found = peers_.find(loss.peer);
    if (found == peers_.end()) continue;
    const Role role = found->second.role;
    const std::uint32_t number = found->second.who.group;
    const std::string name = name_of(loss.peer);
    if (admission_) {
      const auto electors = admission_electors();
      if (std::any_of(electors.begin(), electors.end(), [&](const Member& one) { return one.id == loss.peer; }))
        cancel_admission();
    }
    dismiss(loss.peer, loss.for_it, role == Role::pending, out);
    if (role == Role::recovering) recoveries_.at(number).resumed.erase(loss.peer);
    if (role != Role::member) continue;
    remember_expelled(loss.peer, loss.for_it);
    out.emplace_back(LogEvent{LogLevel::info, "peer-lost", name + " is out: " + loss.for_others});
    reasons_by_group[number].push_back(name + " was lost: " + loss.for_others);
  }
  for (const auto& [number, reasons] : reasons_by_group) go_on_without(number, reasons, out);
  check_update(now, out);
  maybe_bootstrap(now, out);
}

/// The lost ones are in peers_ no more.
void MasterMachine::State::go_on_without(std::uint32_t number, const std::vector<std::string>& reasons,
                                         MasterActions& out) {
  Group& group = groups_.at(number);
  std::vector<Member> survivors = group.view.members;
  std::erase_if(survivors, [&](const Member& member) { return !peers_.contains(member.id); });
  commit_what_all_reported(group, survivors, out);
  if (survivors.empty()) {
    groups_.erase(number);
    return;
  }
  std::string text;
  for (std::size_t i = 0; i < reasons.size() && i < kReasonsTold; ++i) text += (i == 0 ? "" : "; ") + reasons[i];
  if (reasons.size() > kReasonsTold) text += "; and " + std::to_string(reasons.size() - kReasonsTold) + " more";
  start_view(group, std::move(survivors),
             {Status::peer_lost, text + "; what was under way is undone, and the inputs are intact: call again"}, out);
}

void MasterMachine::State::end_view(Group& group, const Error& cause) {
  group.ended.emplace_back(group.view.id, cause);
  if (group.ended.size() > kEndsRemembered) group.ended.pop_front();
}

Error MasterMachine::State::cause_of_end(const Group& group, ViewId view) {
  for (const auto& [ended, cause] : group.ended)
    if (ended == view) return cause;
  return {Status::peer_lost, "the view changed several times while this peer was away; what was under way is "
                             "undone, and the inputs are intact: call again"};
}

void MasterMachine::State::start_view(Group& group, std::vector<Member> members, const Error& cause,
                                      MasterActions& out) {
  // Views that were proposed on top of the one that ends are void.
  if (admission_ && admission_->proposed.contains(group.view.group)) cancel_admission();
  end_view(group, cause);
  group.view.members = std::move(members);
  group.view.epoch = last_epoch_ = {last_epoch_.value + 1};
  group.view.id = {random_.next()};
  group.view.link_secret = link_secret_;
  group.ops.clear();
  begin_measuring(group);
  group.mismatch_since.reset();
  const World sizes = world();
  for (const Member& member : group.view.members)
    tell(member.id, 
         StartView{.view = group.view, .world = sizes, .cause = cause, .update_round = group.update_round}, out);
}

}  // namespace hawser
