#include <algorithm>
#include <utility>

#include "sim/checker.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

/// What must not come of strangers and bad members, where nothing else happens that may cost a call.
namespace hawser::sim {
namespace {

/// An update-topology is over so long after the last member has called it.
constexpr Duration kUpdateTakes = milliseconds(500);
/// A newcomer that came so long before an update-topology was over is a member then.
constexpr Duration kAdmissionTakes = seconds(5);

}  // namespace

/// Of that view bad members are gone, and nobody else.
bool Checker::bad_was_lost(const Process& process, const View& view) const {
  const View& now_in = process.info().view;
  bool bad_is_gone = false;
  for (const Member& member : view.members) {
    if (now_in.find(member.id) || member.is_relay) continue;
    if (!bad_.contains(member.id)) return false;
    bad_is_gone = true;
  }
  return bad_is_gone;
}

/// Of that view relays are gone, and nobody else.
bool Checker::relay_was_lost(const Process& process, const View& view) const {
  const View& now_in = process.info().view;
  bool relay_is_gone = false;
  for (const Member& member : view.members) {
    if (now_in.find(member.id)) continue;
    if (!member.is_relay) return false;
    relay_is_gone = true;
  }
  return relay_is_gone;
}

/// More than half of anybody's companions are bad, such as the only one: what they say of their links to it cannot be
/// told from the truth.
bool Checker::outvoted(const View& view) const {
  const auto bad = std::count_if(view.members.begin(), view.members.end(),
                                 [&](const Member& member) { return bad_.contains(member.id); });
  return 2 * static_cast<std::size_t>(bad) > view.size() - 1;
}

void Checker::check_no_error(const Process& process, const Call& call, const Error& error) {
  if (error.status == Status::success || error.status == Status::too_few_peers) return;
  const bool is_call_of_all = call.kind != Call::Kind::connect;
  if (is_call_of_all && error.status == Status::master_restarted && world_.master.incarnation() > 1) return;
  if (is_call_of_all && error.status == Status::peer_lost && bad_was_lost(process, call.view)) return;
  // Large groups have no use for it.
  if (process.is_relay() && error.status == Status::refused) return;
  // These do not begin again by themselves.
  const bool may_fail_by_relay = call.kind == Call::Kind::sync || call.kind == Call::Kind::optimize;
  if (may_fail_by_relay && error.status == Status::peer_lost && relay_was_lost(process, call.view)) return;
  // A step of a view that is over, as the synchronisation learns by it. It goes on in the next one.
  if (call.kind == Call::Kind::sync && call.key.view == ViewId{}) return;
  // Its state may have been the only one that was whole; and update-topology outlives the view that it was lost from.
  if ((call.kind == Call::Kind::sync || call.kind == Call::Kind::update) && error.status == Status::mismatch &&
      bad_was_lost(process, call.view))
    return;
  const bool was_lost = error.status == Status::expelled || error.status == Status::peer_lost;
  if (is_call_of_all && was_lost && call.view.size() > 0 && outvoted(call.view)) return;
  const bool differs = error.status == Status::mismatch || error.status == Status::timeout;
  // One may hear that a call is committed before it hears of the view that a restart brought, and others after: they
  // begin that view with different calls.
  if (is_call_of_all && differs && world_.master.incarnation() > 1) return;
  if (is_call_of_all && differs && called_differently(call.view)) return;
  // Members call update-topology late.
  const bool calls_late = world_.profile.application.slow_per_1024 > 0;
  if (call.kind == Call::Kind::connect && error.status == Status::timeout && calls_late) return;
  if (is_call_of_all && error.status == Status::timeout && views_given_up_.contains(call.view.id)) return;
  // A member that says it has no link to a newcomer keeps it out.
  const auto view_has_bad = [&](const View& view) {
    return view.group == process.group() &&
           std::any_of(view.members.begin(), view.members.end(), [&](const Member& m) { return bad_.contains(m.id); });
  };
  if (call.kind == Call::Kind::connect && error.status == Status::refused && world_.master.running()) {
    const auto views = world_.master.machine().snapshot().views;
    if (std::any_of(views.begin(), views.end(), view_has_bad)) return;
  }
  throw Violation(process.name() + ": nothing happened that may cost a call, and one ended with " +
                  world_.names.of(error));
}

/// Of those who were in this process's view before.
void Checker::check_nobody_lost(const Process& process, const View& view) {
  const ViewId before = std::exchange(last_view_[process.id()], view.id);
  if (before == ViewId{} || before == view.id) return;
  if (outvoted(views_.at(before))) return;
  for (const Member& member : views_.at(before).members)
    if (!view.find(member.id) && !bad_.contains(member.id) && !member.is_relay)
      throw Violation(process.name() + ": nothing happened that may cost a member, and " + world_.names.of(member.id) +
                      " is not in " + world_.names.of(view) + " any more");
}

void Checker::control_disturbed(Duration lasts) {
  const auto& profile = world_.profile;
  disturbed_until_ = std::max(disturbed_until_, world_.queue.now() + lasts + profile.master.silence);
}

void Checker::update_told(const UpdateDone& done) {
  if (done.error.status != Status::success || done.update_round <= update_round_) return;
  update_round_ = done.update_round;
  if (!allow_no_error_ || world_.profile.faults.bad_member) return;
  // Members call late.
  if (world_.profile.application.slow_per_1024 > 0) return;
  check_update_delay();
  check_admissions();
}

/// The members that are told now have called, all of them.
void Checker::check_update_delay() {
  Instant called = disturbed_until_;
  for (const Process* process : world_.living())
    for (const auto& [id, call] : process->calls())
      if (call.kind == Call::Kind::update) called = std::max(called, call.made);
  const Duration took = world_.queue.now() - called;
  if (took > kUpdateTakes)
    throw Violation("an update-topology ended " + std::to_string(whole_milliseconds(took)) +
                    " ms after the last member had called it");
}

/// When the last of its party came; now, if one of them is not ready.
Instant Checker::party_waits_since(const Process& process) {
  Instant since = Instant::min();
  if (!process.party().exists()) return since;
  std::uint32_t waiting = 0;
  for (const Process* other : world_.living()) {
    if (other->party().id != process.party().id) continue;
    for (const auto& [id, call] : other->calls())
      if (call.kind == Call::Kind::connect && !call.prefetch) {
        ++waiting;
        since = std::max(since, call.made);
      }
  }
  return waiting < process.party().size ? world_.queue.now() : since;
}

void Checker::check_admissions() {
  const auto views = world_.master.machine().snapshot().views;
  for (const Process* process : world_.living())
    for (const auto& [id, call] : process->calls()) {
      if (call.kind != Call::Kind::connect || call.prefetch) continue;
      const Duration waits = world_.queue.now() - std::max({call.made, disturbed_until_, party_waits_since(*process)});
      if (waits < kAdmissionTakes) continue;
      if (std::none_of(views.begin(), views.end(),
                       [&](const View& view) { return view.find(process->id()) != nullptr; }))
        throw Violation(process->name() + " came " + std::to_string(whole_milliseconds(waits)) +
                        " ms before an update-topology ended, and is no member");
    }
}

/// All who were members of its run come back, and go on as members of it.
void Checker::master_restarted() {
  if (!allow_no_error_) return;
  std::vector<const Process*> members;
  for (const Process* process : world_.living())
    if (!process->bad() && process->info().connected) members.push_back(process);
  const MasterConfig& bounds = world_.profile.master;
  const Duration bound = 2 * bounds.recovery + seconds(2);
  disturbed_until_ = std::max(disturbed_until_, world_.queue.now() + bound);
  world_.queue.after(bound, [this, members, incarnation = world_.master.incarnation(), bound] {
    if (world_.master.incarnation() != incarnation || !world_.master.running() || world_.queue.now() < disturbed_until_)
      return;
    const auto views = world_.master.machine().snapshot().views;
    for (const Process* process : members)
      if (std::none_of(views.begin(), views.end(),
                       [&](const View& view) { return view.find(process->id()) != nullptr; }))
        throw Violation(process->name() + " was a member, and is none " + std::to_string(whole_milliseconds(bound)) +
                        " ms after the master was restarted");
  });
}

}  // namespace hawser::sim
