// What must be true after a synchronisation, whether it succeeded or not.

#include <algorithm>
#include <numeric>

#include "digest.hpp"
#include "shared_training.hpp"

namespace hawser::churn {

void SharedTraining::complain(const char* kind, const char* phase, const std::string& what) {
  reporter_.violation(kind, std::string(phase) + ": " + what);
}

/// Whether one of them is a member now.
bool SharedTraining::any_left(std::span<const std::uint64_t> members) {
  std::vector<hawserMember_t> now(kMembersMax, hawserMember_t HAWSER_MEMBER_INIT);
  std::uint32_t count = 0;
  const Outcome outcome = session_.call(kMainSlot, "members", [&](hawserComm_t comm) {
    return hawserCommGetMembers(comm, now.data(), kMembersMax, &count);
  });
  if (outcome.result != hawserSuccess) return false;
  now.resize(std::min(count, kMembersMax));
  return std::ranges::any_of(
      now, [&](const hawserMember_t& m) { return std::ranges::find(members, m.peer_id) != members.end(); });
}

Next SharedTraining::failed(const SyncOccasion& occasion, Call& call) {
  Outcome& outcome = call.outcome;
  synced_epoch_ = 0;
  if (outcome.result == hawserErrorClosed && session_.leaving())
    return session_.judge(outcome, occasion.phase);
  if (outcome.result == hawserErrorPeerLost || outcome.result == hawserErrorMasterRestarted)
    complain("bad_info", occasion.phase, "it shall mend this itself: " + outcome.sentence);
  const bool same = call.content == call.before.content && state_.revision() == call.before.revision &&
                    state_.local() == call.before.local;
  if (call.options.keep_old_bytes != 0 && !same)
    complain("lost_input", occasion.phase,
             "old bytes were to be kept, and the state changed: " + outcome.sentence);
  const RoundStart& start = occasion.start;
  complete_ = checkpoints_.is_complete(state_);
  if (!same || !complete_) {
    // What came may be all of it, though the others could not be asked any more.
    const TrainingProgress progress = state_.progress();
    synced_ = complete_ && !start.holders.empty() && progress.lineage == start.lineage &&
              progress.step == start.step && digest_bits(state_.weights()) == start.digest &&
              state_.find_wrong().empty();
  }
  // Nobody can offer what only those had who are gone.
  outcome.excused =
      outcome.result == hawserErrorMismatch && !start.holders.empty() && !any_left(start.holders);
  reporter_.say(LineBuilder("sync_failed")
                    .add("kind", error_word(outcome.result))
                    .add("complete", std::uint64_t{complete_})
                    .add("changed", std::uint64_t{!same}));
  return session_.judge(outcome, occasion.phase);
}

void SharedTraining::check_info(const SyncOccasion& occasion, const Call& call) {
  const hawserSyncInfo_t& info = call.info;
  const auto expect = [&](bool right, const char* what) {
    if (!right) complain("bad_info", occasion.phase, what);
  };
  expect(info.world_size >= 2 && info.world_size <= kMembersMax, "impossible world size");
  expect(info.rank < info.world_size, "impossible rank");
  expect(info.supporters >= 1 && info.supporters <= info.world_size, "impossible number of supporters");
  expect(info.attempts >= 1, "no attempt");
  expect(info.epoch >= std::max(last_epoch_, occasion.start.epoch), "the epoch went back");
  expect(info.revision == state_.revision(), "another revision than the state's");
  expect(info.tensors == state_.tensors() && info.bytes == state_.bytes(), "another size than the state's");
  expect((info.tensors_changed > 0) == (info.bytes_fetched > 0), "bytes without tensors");
  expect(info.source_count <= kMembersMax, "more sources than members");
  const auto sources = std::span(call.sources).first(std::min(info.source_count, kMembersMax));
  const std::uint64_t bytes = std::accumulate(sources.begin(), sources.end(), std::uint64_t{0},
                                              [](std::uint64_t sum, const auto& s) { return sum + s.bytes; });
  expect(bytes == info.bytes_fetched, "the sources' bytes are not all bytes");
  expect(std::ranges::none_of(sources, [&](const auto& s) { return s.peer_id == peer_id_; }),
         "something came from itself");
  if (call.options.strategy == hawserSyncSendOnly)
    expect(info.bytes_fetched == 0, "send-only, but it fetched");
}

void SharedTraining::check_state(const SyncOccasion& occasion, const Call& call) {
  const std::string wrong = state_.find_wrong();
  if (!wrong.empty()) complain("wrong_content", occasion.phase, "it holds " + wrong);
  if (state_.local() > 1) complain("wrong_content", occasion.phase, "a number of its own that nobody had");
  if (call.before.revision == call.info.revision && state_.local() != call.before.local)
    complain("wrong_content", occasion.phase,
             "a tensor that may differ was taken from a member of the same revision");
  const RoundStart& start = occasion.start;
  const TrainingProgress progress = state_.progress();
  const bool as_held = progress.lineage == start.lineage && progress.step == start.step &&
                       digest_bits(state_.weights()) == start.digest;
  if (!start.holders.empty() && !as_held && any_left(start.holders))
    complain("wrong_content", occasion.phase, "it is not what the members held that had the state");
  if (call.info.bytes_fetched == 0 && call.before.content != call.content)
    complain("wrong_content", occasion.phase, "nothing was fetched, and the state changed");
}

}  // namespace hawser::churn
