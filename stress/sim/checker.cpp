#include "sim/checker.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/assert.hpp"
#include "kernels/reduce.hpp"
#include "sim/process.hpp"
#include "sim/typed_values.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

/// The peer is told that it is out: what became of the collective is none of its business any more.
bool means_out(Status status) {
  return status == Status::expelled || status == Status::master_unreachable || status == Status::closed ||
         status == Status::refused;
}

/// Nothing that these applications do may end so.
bool means_bug(Status status) {
  return status == Status::internal || status == Status::invalid_argument ||
         status == Status::invalid_usage || status == Status::system;
}

std::vector<std::byte> owed_bytes(const Residual& residual) {
  const std::byte* const owed = residual.owed();
  return {owed, owed + residual.count() * element_bytes(working_type(residual.type()))};
}

}  // namespace

/// Whose word ended a call: of a master that was killed, messages may still be on their way.
std::uint64_t Checker::incarnation(const Process& process) const {
  return process.control.heard_service != 0 ? process.control.heard_service : world_.master.service();
}

std::string Checker::who(const Process& process, const Call& call) const {
  return process.name() + ", " + world_.names.of(call.key) + " (" + describe(call.signature) + "): ";
}

void Checker::reduce_called(const Process& process, const Call& call) {
  Op& op = ops_[call.key];
  if (op.parts.empty()) op.first_called = world_.queue.now();
  Part part{.peer = process.id(), .salt = call.salt, .signature = call.signature, .owed = {}};
  if (call.residual) part.owed = owed_bytes(*call.residual);
  op.parts.push_back(std::move(part));
}

void Checker::gives_up(std::uint32_t group, const OpKey& key) {
  views_given_up_.insert(key.view);
  if (given_up_.insert(key).second) ++given_up_in_row_[group];
}

/// The master waits 50 ms, 100 ms, ... and at most 30 s before it ends one after others. Some may be sent before the
/// success that it has counted is told here.
Duration Checker::giving_up_takes(std::uint32_t group) const {
  const auto in_row = given_up_in_row_.find(group);
  const std::uint32_t count = in_row == given_up_in_row_.end() ? 0 : in_row->second;
  return seconds(3) + std::min<Duration>(seconds(30), milliseconds(50) * (1 << std::min<std::uint32_t>(count + 1, 10)));
}

void Checker::kept(const std::vector<AttestedCollective>& attested) {
  for (const AttestedCollective& one : attested) {
    const auto op = ops_.find(one.key);
    for (const AttestedCollective::Entry& entry : one.members) {
      if (bad_.contains(entry.member.id) || op == ops_.end()) continue;
      const std::string whose = entry.member.name + ", " + world_.names.of(one.key) + ": ";
      const auto part = std::find_if(op->second.parts.begin(), op->second.parts.end(),
                                     [&](const Part& of) { return of.peer == entry.member.id; });
      const bool has_given = part != op->second.parts.end();
      if (entry.attestation) {
        std::uint64_t salt = 0;
        std::memcpy(&salt, entry.attestation->given.sha256.data(), sizeof salt);
        if (!has_given || part->salt != salt) throw Violation(whose + "the master has kept what it did not give");
        world_.coverage.saw("sim: a contribution kept");
      } else if (const Process* const process = world_.find(entry.member.id); has_given && process != nullptr) {
        const EngineInfo info = process->info();
        // A master that is gone may have told it of the commit: then it tells no other master what it gave.
        const auto& outcomes = op->second.outcomes;
        const auto told = std::find_if(outcomes.begin(), outcomes.end(),
                                       [&](const Outcome& outcome) { return outcome.peer == entry.member.id; });
        const bool by_this_one = told == outcomes.end() || told->incarnation == incarnation(*process);
        if (info.connected && info.view.id == one.key.view && by_this_one)
          throw Violation(whose + "the master has not kept what it gave");
      }
    }
  }
}

ViewId Checker::first_of_calls(ViewId view) const {
  const auto found = first_of_calls_.find(view);
  return found == first_of_calls_.end() ? view : found->second;
}

void Checker::decided(const Process& process, ViewId view, std::uint64_t position, std::uint64_t decision) {
  Decisions& decisions = decisions_[first_of_calls(view)];
  decisions.made[{position, process.id()}] = decision;
  for (auto it = decisions.made.lower_bound({position, PeerId{}});
       it != decisions.made.end() && it->first.first == position; ++it)
    if (it->second != decision) decisions.differ = true;
}

void Checker::view_started(const Process& process, const View& view) {
  if (process.bad()) return;
  if (const auto* const by = process.control.connection; by != nullptr && by->master->running())
    runs_.try_emplace(view.id, by->master->machine().snapshot().run);
  if (world_.profile.faults.parties) check_parties(process);
  // Epochs grow by ones, and by as many as can have passed unheard at a restart. A master that knows no run takes up
  // that of the first who come, and strangers may be the first where that may cost a call.
  constexpr std::uint64_t kCounted = 1ULL << 40;
  constexpr std::uint64_t kClaimedMost = 1ULL << 62;
  if (view.epoch.value > kCounted + (allow_no_error_ ? 0 : kClaimedMost))
    throw Violation(process.name() + " is in an epoch that no master has counted to: " + world_.names.of(view));
  if (allow_no_error_) check_nobody_lost(process, view);
  const auto [known, is_new] = views_.try_emplace(view.id, view);
  if (!is_new && !(known->second == view))
    throw Violation(process.name() + " was started in another " + world_.names.of(view) + " than " +
                    world_.names.of(known->second));
  if (!view.rank_of(process.id()))
    throw Violation(process.name() + " is in a view that it is no member of: " + world_.names.of(view));
  const auto last = last_epoch_.find(process.id());
  if (last != last_epoch_.end() && last->second > view.epoch)
    throw Violation(process.name() + " went back from epoch " + std::to_string(last->second.value) + " to " +
                    world_.names.of(view));
  last_epoch_[process.id()] = view.epoch;
  const Epoch calls_since = process.info().calls_since;
  const auto [first, is_first] = first_by_epoch_.try_emplace({view.group, calls_since}, view.id);
  if (calls_since != view.epoch && first->second != view.id) first_of_calls_[view.id] = first->second;
  auto& started = started_[view.id];
  started.insert(process.id());
  for (const Split& split : splits_)
    if (view.epoch > split.epoch && started.contains(split.failed) && started.contains(split.succeeded))
      throw Violation(split.text + ", and both started " + world_.names.of(view));
  // An update-topology call outlives the views that pass meanwhile, and meets members there who call
  // something else.
  for (const auto& [id, call] : process.calls())
    if (call.kind == Call::Kind::update && call.view.id != view.id && call.view.epoch < calls_since)
      decisions_[first_of_calls(view.id)].differ = true;
}

void Checker::leaves(const Process& process) {
  if (process.party().exists()) left_parties_.insert(process.party().id);
}

/// In the master's views, a party is whole. Who leaves takes nobody along, strangers may use a party's number, and a
/// restarted master gives members time to come back.
void Checker::check_parties(const Process& process) {
  const auto& faults = world_.profile.faults;
  const MasterProcess& master = world_.master;
  if (!master.running() || master.incarnation() != 1 || faults.weights.strangers != 0 || faults.bad_member) return;
  std::map<PartyId, std::pair<std::uint32_t, const Process*>> present;
  std::set<PeerId> members;
  for (const View& view : world_.master.machine().snapshot().views)
    for (const Member& member : view.members) members.insert(member.id);
  for (const auto& one : world_.processes())
    if (one->party().exists() && members.contains(one->id())) {
      ++present[one->party().id].first;
      present[one->party().id].second = one.get();
    }
  for (const auto& [party, count] : present)
    if (count.first < count.second->party().size && !left_parties_.contains(party))
      throw Violation(process.name() + " starts a view, and " + count.second->name() +
                      " is a member without the others of its party");
  if (!present.empty()) world_.coverage.saw("sim: parties are whole");
}

void Checker::process_gone(const Process& process) {
  for (const auto& [id, call] : process.calls())
    if (call.kind == Call::Kind::update) died_in_update_.insert(process.id());
}

bool Checker::called_differently(const View& view) {
  if (decisions_[first_of_calls(view.id)].differ) return true;
  for (const Member& member : view.members) {
    if (called_otherwise_.contains(member.id)) return true;
    if (died_in_update_.contains(member.id)) return true;
    for (const Crossing& one : crossed_updates_)
      if (one.peer == member.id && one.from < view.epoch && view.epoch <= one.until) return true;
    const Process* process = world_.find(member.id);
    if (!process) continue;
    // Its lies end its own calls otherwise than those of others, and so it calls other things next.
    if (process->bad()) return true;
    for (const auto& [id, call] : process->calls())
      if (call.kind == Call::Kind::update && call.view.id != view.id) return true;
  }
  return false;
}

void Checker::refused(const Process& process, Status due, const CallDone& done) {
  if (done.error.status != due)
    throw Violation(process.name() + ": a call that makes no sense ended with " + world_.names.of(done.error) +
                    " instead of " + status_name(due));
}

void Checker::check_any_call(const Process& process, const Call& call, const CallDone& done) {
  const Status status = done.error.status;
  if (means_bug(status))
    throw Violation(process.name() + ": a call ended with " + world_.names.of(done.error));
  if (status != Status::success && done.error.sentence.empty())
    throw Violation(process.name() + ": a call ended with " + status_name(status) + " and no sentence");
  if (allow_no_error_) check_no_error(process, call, done.error);
  const bool in_step =
      call.kind == Call::Kind::reduce || call.kind == Call::Kind::sync || call.kind == Call::Kind::optimize;
  if (in_step && status == Status::mismatch && explain_mismatches_ && !called_differently(call.view))
    throw Violation(process.name() + ": mismatch in " + world_.names.of(call.view) +
                    ", but all members called alike: " + done.error.sentence);
}

void Checker::call_ended(const Process& process, const Call& call, const CallDone& done) {
  // It was called in a view in which that was right, and ended when the others had called something else in a later
  // one.
  if (call.kind == Call::Kind::update && done.error.status == Status::mismatch)
    crossed_updates_.push_back({.peer = process.id(), .from = call.view.epoch, .until = process.info().view.epoch});
  if (process.bad()) return;
  check_any_call(process, call, done);
  const Status status = done.error.status;
  if (call.kind == Call::Kind::connect && status == Status::success) {
    const EngineInfo info = process.info();
    // A guest is told after its last work, and may have been lost meanwhile.
    const bool was_lost = call.prefetch && info.not_a_member.status != Status::success;
    if (!was_lost && (!info.connected || !info.view.rank_of(process.id())))
      throw Violation(process.name() + " connected, but is in no view");
  }
  if (call.kind == Call::Kind::update) update_ended(process, call, status);
  if (call.kind == Call::Kind::optimize) optimize_ended(process, call, done);
  if (call.kind != Call::Kind::reduce) return;
  if (!call.buffers->in_place() && !call.buffers->send_intact())
    throw Violation(who(process, call) + "the send buffer was written to");
  if (status != Status::success) return ended_badly(process, call, done.error);
  if (!done.info) throw Violation(who(process, call) + "success without a CollectiveInfo");
  ended_well(process, call, *done.info);
}

void Checker::call_broken_off(const Process& process, const Call& call) {
  if (call.buffers && !call.buffers->send_intact())
    throw Violation(who(process, call) + "the input was not restored when its process ended in the middle");
}

void Checker::optimize_ended(const Process& process, const Call& call, const CallDone& done) {
  if (means_out(done.error.status)) return;
  Op& op = ops_[call.key];
  Outcome mine{.peer = call.self,
               .name = process.name(),
               .status = done.error.status,
               .view_after = process.info().view,
               .incarnation = incarnation(process)};
  if (mine.status == Status::success) {
    mine.view_after = {};
    ++successes_;
    if (op.contributors.empty()) op.contributors = done.info->contributors;
    if (op.contributors != done.info->contributors)
      throw Violation(who(process, call) + "members differ on who took part in it");
  }
  check_agreement(op, call.key, mine);
  op.outcomes.push_back(std::move(mine));
}

void Checker::update_ended(const Process& process, const Call& call, Status status) {
  // Left, or told that it is out, while its call was known to the master.
  if (means_out(status)) died_in_update_.insert(call.self);
  // Only those are told of a timeout who had called.
  if (means_out(status) || status == Status::timeout || !explain_mismatches_ || called_differently(call.view))
    return;
  const UpdateOutcome mine{.name = process.name(), .status = status, .incarnation = incarnation(process)};
  const auto [first, is_new] = updates_.try_emplace({first_of_calls(call.view.id), call.ordinal}, mine);
  const UpdateOutcome& theirs = first->second;
  if (!is_new && theirs.status != status && theirs.incarnation == mine.incarnation)
    throw Violation("update-topology number " + std::to_string(call.ordinal) + " in " +
                    world_.names.of(call.view) + " ended with " + status_name(status) + " at " + mine.name +
                    " and with " + status_name(theirs.status) + " at " + theirs.name);
}

void Checker::ended_badly(const Process& process, const Call& call, const Error& error) {
  if (!call.buffers->send_intact())
    throw Violation(who(process, call) + "the input was not restored after \"" + error.sentence + "\"");
  Op& op = ops_[call.key];
  if (call.residual && owed_bytes(*call.residual) != part_of(op, call.self).owed)
    throw Violation(who(process, call) + "the residual has changed, though the collective ended with \"" +
                    error.sentence + "\"");
  if (means_out(error.status)) return;
  Outcome mine{.peer = call.self,
               .name = process.name(),
               .status = error.status,
               .view_after = process.info().view,
               .incarnation = incarnation(process)};
  check_agreement(op, call.key, mine);
  op.outcomes.push_back(std::move(mine));
}

void Checker::ended_well(const Process& process, const Call& call, const CollectiveInfo& info) {
  if (info.key != call.key)
    throw Violation(who(process, call) + "success is reported for " + world_.names.of(info.key));
  const auto& contributors = info.contributors;
  if (std::find(contributors.begin(), contributors.end(), call.self) == contributors.end())
    throw Violation(who(process, call) + "it is no contributor of its own collective");
  for (const PeerId peer : contributors)
    if (!call.view.rank_of(peer))
      throw Violation(who(process, call) + world_.names.of(peer) + " contributed, but is no member of " +
                      world_.names.of(call.view));
  ++successes_;
  Op& op = ops_[call.key];
  if (op.contributors.empty()) {
    op.contributors = contributors;
    ++committed_;
    given_up_in_row_[call.view.group] = 0;
    check_spans(op, call.key);
  }
  if (op.contributors != contributors)
    throw Violation(who(process, call) + "contributors are " + world_.names.of(contributors) +
                    " here, and elsewhere " + world_.names.of(op.contributors));
  if (!op.expected) expect(op, call, contributors);
  check_result(op, process, call);
  if (call.residual) check_feedback(op, process, call);
  if (info.plan == PlanKind::hierarchical) world_.coverage.saw("sim: hierarchical plan");
  if (!world_.profile.engine.links.has_all_links(static_cast<std::uint32_t>(contributors.size())))
    world_.coverage.saw("sim: success in a group without all links");
  Outcome mine{.peer = call.self,
               .name = process.name(),
               .status = Status::success,
               .view_after = {},
               .incarnation = incarnation(process)};
  check_agreement(op, call.key, mine);
  op.outcomes.push_back(std::move(mine));
  if (op.outcomes.size() == contributors.size()) {
    op.expected.reset();
    op.bits = {};
  }
}

void Checker::check_result(Op& op, const Process& process, const Call& call) {
  const Signature& signature = call.signature;
  const std::span<const std::byte> result = call.buffers->result();
  const bool scatters = signature.collective == Collective::reduce_scatter;
  const std::uint64_t first = scatters ? call.view.rank_of(call.self).value_or(0) * signature.count : 0;
  if (const auto wrong = op.expected->find_wrong(result, first))
    throw Violation(who(process, call) + describe(signature) + ": element " + std::to_string(wrong->element) + " is " +
                    std::to_string(wrong->got) + ", " + std::to_string(wrong->right) +
                    " is right; contributors: " + world_.names.of(op.contributors));
  if (scatters || op.expected->is_exact()) return;
  if (op.bits.empty()) op.bits.assign(result.begin(), result.end());
  if (!std::equal(result.begin(), result.end(), op.bits.begin(), op.bits.end()))
    throw Violation(who(process, call) + describe(signature) + ": the result's bits differ from another member's");
}

Checker::Part& Checker::part_of(Op& op, PeerId peer) {
  const auto found =
      std::find_if(op.parts.begin(), op.parts.end(), [&](const Part& part) { return part.peer == peer; });
  HAWSER_ASSERT(found != op.parts.end());
  return *found;
}

/// What the members put in and owed before is in the result or is owed after: nothing is lost, nothing counts twice.
void Checker::check_feedback(Op& op, const Process& process, const Call& call) {
  const DataType type = working_type(call.signature.type);
  const std::size_t element = element_bytes(type);
  const std::vector<std::byte>& before = part_of(op, call.self).owed;
  const std::vector<std::byte> after = owed_bytes(*call.residual);
  op.settled.resize(static_cast<std::size_t>(call.signature.count));
  for (std::size_t i = 0; i < op.settled.size(); ++i)
    op.settled[i] += load(type, before.data() + i * element) - load(type, after.data() + i * element);
  if (++op.settled_at != op.contributors.size() || relayed_.contains(call.key)) return;
  if (const auto wrong = op.expected->find_unsettled(call.buffers->result(), op.settled))
    throw Violation(who(process, call) + describe(call.signature) + ", error feedback: element " +
                    std::to_string(wrong->element) + " is " + std::to_string(wrong->got) +
                    ", and with what was settled " + std::to_string(wrong->right) + " is right");
  world_.coverage.saw("sim: error feedback settled");
}

void Checker::expect(Op& op, const Call& call, const std::vector<PeerId>& contributors) const {
  std::vector<std::uint64_t> salts;
  for (const PeerId peer : contributors) {
    const auto part = std::find_if(op.parts.begin(), op.parts.end(),
                                   [&](const Part& candidate) { return candidate.peer == peer; });
    if (part == op.parts.end())
      throw Violation(world_.names.of(call.key) + ": " + world_.names.of(peer) +
                      " is named a contributor and never called");
    if (part->signature != call.signature)
      throw Violation(world_.names.of(call.key) + ": success, though " + world_.names.of(peer) + " called " +
                      describe(part->signature) + " and another one " + describe(call.signature));
    salts.push_back(part->salt);
  }
  if (salts.size() != call.view.size())
    throw Violation(world_.names.of(call.key) + ": success with " + std::to_string(salts.size()) + " contributors in " +
                    world_.names.of(call.view));
  op.expected.emplace(call.signature, salts, call.residual != nullptr);
}

void Checker::check_agreement(const Op& op, const OpKey& key, const Outcome& mine) {
  for (const Outcome& theirs : op.outcomes) {
    const bool mine_well = mine.status == Status::success;
    const bool theirs_well = theirs.status == Status::success;
    if (mine_well && theirs_well) continue;
    if (!mine_well && !theirs_well) {
      // A master that was restarted in between cannot know what its predecessor had told.
      if (mine.status != theirs.status && mine.incarnation == theirs.incarnation)
        throw Violation(world_.names.of(key) + ": " + mine.name + " was told " + status_name(mine.status) +
                        ", and " + theirs.name + " " + status_name(theirs.status));
      continue;
    }
    const Outcome& failed = mine_well ? theirs : mine;
    const Outcome& succeeded = mine_well ? mine : theirs;
    if (mine.incarnation != theirs.incarnation) {
      note_split(key, failed, succeeded);
      continue;
    }
    // Who had success may have been lost since: then the next view is without it.
    if (failed.view_after.rank_of(succeeded.peer))
      throw Violation(world_.names.of(key) + ": " + succeeded.name + " had success, " + failed.name + " " +
                      status_name(failed.status) + ", and both are members of " +
                      world_.names.of(failed.view_after));
  }
}

/// A group goes on in one view at a time: none commits what was called after another one had begun to commit, and the
/// other likewise.
void Checker::check_spans(const Op& op, const OpKey& key) {
  auto& spans = spans_[{views_.at(key.view).group, runs_[key.view]}];
  const auto [own, is_new] = spans.try_emplace(key.view, Span{world_.queue.now(), op.first_called});
  own->second.last_called = std::max(own->second.last_called, op.first_called);
  for (const auto& [view, span] : spans)
    if (view != key.view && span.last_called > own->second.first_success &&
        own->second.last_called > span.first_success)
      throw Violation(world_.names.of(views_.at(view)) + " and " + world_.names.of(views_.at(key.view)) +
                      " commit collectives side by side");
}

void Checker::note_split(const OpKey& key, const Outcome& failed, const Outcome& succeeded) {
  world_.coverage.saw("sim: told differently by two masters");
  splits_.push_back({.failed = failed.peer,
                     .succeeded = succeeded.peer,
                     .epoch = key.epoch,
                     .text = world_.names.of(key) + ": " + succeeded.name + " had success, " + failed.name +
                             " " + status_name(failed.status)});
  for (const auto& [id, peers] : started_)
    if (views_.at(id).epoch > key.epoch && peers.contains(failed.peer) && peers.contains(succeeded.peer))
      throw Violation(splits_.back().text + ", and both started " + world_.names.of(views_.at(id)));
}

bool Checker::committed_by_all(const std::set<PeerId>& peers, Instant since) const {
  for (const auto& [key, op] : ops_) {
    if (op.first_called < since || op.contributors.size() != peers.size()) continue;
    std::set<PeerId> heard;
    for (const Outcome& outcome : op.outcomes)
      if (outcome.status == Status::success) heard.insert(outcome.peer);
    if (heard == peers) return true;
  }
  return false;
}

}  // namespace hawser::sim
