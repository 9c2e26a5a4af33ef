#include <algorithm>

#include "membership/master_state.hpp"

/// A peer goes, for whatever reason, and the next view starts without it. What all survivors had reported
/// is committed first; everything else that was under way in its group is aborted by the new view.
namespace hawser {
namespace {

constexpr std::size_t kEndsRemembered = 64;

}  // namespace

void MasterMachine::State::lose(Instant now, PeerId peer, const Error& for_it, const std::string& for_others,
                                MasterActions& out) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const Role role = found->second.role;
  const std::uint32_t number = found->second.who.group;
  const std::string name = name_of(peer);
  if (admission_) {
    const auto electors = admission_electors();
    if (std::any_of(electors.begin(), electors.end(), [&](const Member& one) { return one.id == peer; }))
      cancel_admission();
  }
  dismiss(peer, for_it, role == Role::pending, out);
  if (role == Role::recovering) {
    recoveries_.at(number).resumed.erase(peer);
  } else if (role == Role::member) {
    remember_expelled(peer, for_it);
    out.emplace_back(LogEvent{LogLevel::info, "peer-lost", name + " is out: " + for_others});
    Group& group = groups_.at(number);
    std::vector<Member> survivors = group.view.members;
    std::erase_if(survivors, [&](const Member& member) { return member.id == peer; });
    commit_what_all_reported(group, survivors, out);
    if (survivors.empty())
      groups_.erase(number);
    else
      start_view(group, std::move(survivors),
                 {Status::peer_lost, name + " was lost: " + for_others +
                                         "; what was under way is undone, and the inputs are intact: call again"},
                 out);
  }
  check_update(now, out);
  maybe_bootstrap(now, out);
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
  end_view(group, cause);
  group.view.members = std::move(members);
  group.view.epoch = last_epoch_ = {last_epoch_.value + 1};
  group.view.id = {random_.next()};
  group.view.link_secret = link_secret_;
  group.ops.clear();
  group.mismatch_since.reset();
  const World sizes = world();
  for (const Member& member : group.view.members)
    tell(member.id, 
         StartView{.view = group.view, .world = sizes, .cause = cause, .update_round = update_round_}, out);
}

}  // namespace hawser
