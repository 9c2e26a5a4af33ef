#include <algorithm>

#include "membership/master_state.hpp"

/// A peer goes, for whatever reason, and the next view starts without it. What all survivors had reported
/// is committed first; everything else that was under way in its group is aborted by the new view.
namespace hawser {
namespace {

constexpr std::size_t kEndsRemembered = 64;
/// Losses spelt out in one sentence.
constexpr std::size_t kReasonsShown = 4;

}  // namespace

void MasterMachine::State::lose(Instant now, PeerId peer, const Error& for_it, const std::string& for_others,
                                MasterActions& out) {
  lose_all(now, {{.peer = peer, .for_it = for_it, .for_others = for_others}}, out);
}

/// However many are lost at one moment, each group starts one view.
void MasterMachine::State::lose_all(Instant now, std::vector<Loss> losses, MasterActions& out) {
  add_companions(losses);
  if (must_step_down(losses)) return;
  std::map<std::uint32_t, std::vector<std::string>> reasons_by_group;
  for (const Loss& loss : losses) {
    const auto found = peers_.find(loss.peer);
    if (found == peers_.end()) continue;
    const Role role = found->second.role;
    const std::uint32_t number = found->second.who.group;
    const std::string name = name_of(loss.peer);
    if (role == Role::recovering) forget_claim(loss.peer);
    if (role == Role::member) remember_expelled(found->second.who, loss.for_it);
    dismiss(loss.peer, loss.for_it, role == Role::pending, out);
    if (role != Role::member) continue;
    // Who left has been told of already.
    const LogLevel level = loss.for_it.status == Status::closed ? LogLevel::info : LogLevel::notice;
    out.emplace_back(LogEvent{level, "peer-lost", name + " is lost: " + loss.for_others});
    ++(loss.for_it.status == Status::closed ? totals_.left : totals_.lost);
    reasons_by_group[number].push_back(name + " was lost: " + loss.for_others);
  }
  for (const auto& [number, reasons] : reasons_by_group) go_on_without(now, number, reasons, out);
  check_recovery(now, out);
  check_update(now, out);
  maybe_bootstrap(now, out);
}

/// The lost ones are in peers_ no more.
void MasterMachine::State::go_on_without(Instant now, std::uint32_t number, const std::vector<std::string>& reasons,
                                         MasterActions& out) {
  Group& group = groups_.at(number);
  std::vector<Member> survivors = group.view.members;
  std::erase_if(survivors, [&](const Member& member) { return !peers_.contains(member.id); });
  commit_what_all_reported(group, survivors, out);
  const View rest{.members = survivors};
  if (rest.size() == 0) {
    for (const Member& relay : survivors)
      dismiss(relay.id, {Status::expelled, "the group has no members any more; connect again to wait for others"}, false,
              out);
    arm(Timer::group, number, std::nullopt);
    groups_.erase(number);
    return recount_visits(now, number, out);
  }
  std::string text;
  for (std::size_t i = 0; i < reasons.size() && i < kReasonsShown; ++i) text += (i == 0 ? "" : "; ") + reasons[i];
  if (reasons.size() > kReasonsShown) text += "; and " + std::to_string(reasons.size() - kReasonsShown) + " more";
  const bool only_relays = rest.size() == group.view.size();
  text += only_relays ? "; what was under way begins again without it"
                      : "; what was under way is undone, and the inputs are intact: call again";
  const Epoch calls_since = group.calls_since;
  const Error cause{Status::peer_lost, std::move(text)};
  if (!only_relays) count_failed(group, cause.status);
  end_view(group, cause);
  set_view(group, number, std::move(survivors));
  if (only_relays) group.calls_since = calls_since;
  tell_new_view(now, group, cause, out);
}

void MasterMachine::State::end_view(Group& group, const Error& cause) {
  group.ended.emplace_back(group.view.id, cause);
  // After an error they may call it once more.
  if (cause.status != Status::success)
    for (const Member& member : group.view.members)
      if (const auto found = peers_.find(member.id); found != peers_.end()) found->second.went_on = false;
  if (group.ended.size() > kEndsRemembered) group.ended.pop_front();
}

Error MasterMachine::State::cause_of_end(const Group& group, ViewId view) {
  for (const auto& [ended, cause] : group.ended)
    if (ended == view) return cause;
  return {Status::peer_lost, "the view changed several times while this peer was away; what was under way is "
                             "undone, and the inputs are intact: call again"};
}

/// The latest mismatch that ended this view or one after it; null if none of them ended so.
const Error* MasterMachine::State::mismatch_since(const Group& group, ViewId view) {
  const Error* latest = nullptr;
  for (auto end = group.ended.rbegin(); end != group.ended.rend(); ++end) {
    if (!latest && end->second.status == Status::mismatch) latest = &end->second;
    if (end->first == view) return latest;
  }
  return nullptr;
}

/// The next view of a group, of which nobody has been told.
void MasterMachine::State::set_view(Group& group, std::uint32_t number, std::vector<Member> members) {
  group.footing = next_footing(group);
  group.left.clear();
  group.taken_by.clear();
  group.before = group.view.id;
  group.members_before = std::move(group.view.members);
  Epoch& last = last_epochs_[number];
  last = {std::max({last, group.view.epoch, first_epoch_of(term_)}).value + 1};
  group.view = {.epoch = last,
                .id = {random_.next()},
                .group = number,
                .link_secret = link_secret_,
                .members = std::move(members)};
  group.fingerprint = fingerprint(group.view);
  group.calls_since = last;
  group.ops.begin(group.view.size());
  for (std::uint32_t rank = 0; rank < group.view.nodes(); ++rank) {
    Peer& peer = peers_.at(group.view.members[rank].id);
    peer.rank = rank;
    std::erase_if(peer.down, [&](const auto& entry) { return !peers_.contains(entry.first); });
  }
  if (!config_.links.has_all_links(group.view.size())) forget_doubts_of_others(group);
  begin_measuring(group);
  group.mismatch_since.reset();
  arm_group(group);
  news_changed();
}

void MasterMachine::State::count_failed(const Group& group, Status why) {
  const std::uint64_t failed = group.ops.ops().size();
  switch (why) {
    case Status::peer_lost: totals_.failed_by_loss += failed; break;
    case Status::mismatch: totals_.failed_by_mismatch += failed; break;
    case Status::timeout: totals_.failed_by_timeout += failed; break;
    default: totals_.failed_otherwise += failed; break;
  }
}

void MasterMachine::State::start_view(Instant now, Group& group, std::vector<Member> members, const Error& cause,
                                      MasterActions& out) {
  count_failed(group, cause.status);
  end_view(group, cause);
  set_view(group, group.view.group, std::move(members));
  tell_new_view(now, group, cause, out);
}

void MasterMachine::State::tell_new_view(Instant now, const Group& group, const Error& cause, MasterActions& out) {
  tell_view(group, group.view.members, cause, group.update_round, out);
  recount_visits(now, group.view.group, out);
}

bool MasterMachine::State::knows_the_last(const Group& group, const Peer& peer) {
  return group.before != ViewId{} && peer.view_sent == group.before;
}

/// As a difference to those who know the view before. One that is away is told when it comes back.
void MasterMachine::State::tell_view(const Group& group, const std::vector<Member>& whom, const Error& cause,
                                     std::uint64_t update_round, MasterActions& out) {
  const View& view = group.view;
  const World sizes = world();
  std::vector<ConnectionId> with_base;
  std::vector<ConnectionId> others;
  for (const Member& member : whom) {
    Peer& peer = peers_.at(member.id);
    if (!hears(peer)) continue;
    (knows_the_last(group, peer) ? with_base : others).push_back(*peer.connection);
    peer.view_sent = view.id;
    if (peer.news_sent) peer.news_sent->world = sizes;
    if (group.measuring.at_start) tell(peer, *group.measuring.at_start, out);
  }
  StartView start{.epoch = view.epoch,
                  .id = view.id,
                  .group = view.group,
                  .link_secret = view.link_secret,
                  .base = {},
                  .members = {},
                  .world = sizes,
                  .cause = cause,
                  .update_round = update_round,
                  .fingerprint = group.fingerprint,
                  .measures = group.measuring.at_start ? group.measuring.at_start->version : 0,
                  .quorums = as_quorums(group.footing.kept, view),
                  .calls_since = group.calls_since};
  if (!others.empty()) {
    start.members = whole_list(view.members);
    send_to(std::move(others), start, out);
  }
  if (!with_base.empty()) {
    start.base = group.before;
    start.members = change_between(group.members_before, view.members);
    send_to(std::move(with_base), std::move(start), out);
  }
}

}  // namespace hawser
