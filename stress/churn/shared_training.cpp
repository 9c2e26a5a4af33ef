// How a worker joins with its shared state and synchronises it; shared_training_checks.cpp judges the
// outcome.

#include "shared_training.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint64_t kTags = 3;
constexpr std::array<std::uint32_t, 4> kPrefetchBoundsMs{20, 300, 2000, 5000};

}  // namespace

SharedTraining::SharedTraining(CommSession& session, Reporter& reporter, const WorkerOptions& options,
                               std::uint64_t weights)
    : session_(session),
      reporter_(reporter),
      options_(options.state),
      from_disk_(options.from_disk),
      random_(mix64(options.seed)),
      state_(reporter, weights, options.state.ballast_bytes),
      checkpoints_(options.scratch, reporter) {}

void SharedTraining::on_progress(void* user, std::uint64_t done, std::uint64_t total) {
  *static_cast<bool*>(user) |= done > total;
}

void SharedTraining::prepare_to_join() {
  const bool again = prepared_once_;
  prepared_once_ = true;
  synced_ = false;
  synced_epoch_ = last_epoch_ = 0;
  if (again && complete_ && chance(0.4)) {
    foreign_ = true;
    return;
  }
  const bool from_disk = again ? chance(0.5) : from_disk_;
  // Weights of its own: whoever trains on without a synchronisation is found by its digest.
  state_.begin_anew(random_);
  foreign_ = false;
  complete_ = true;
  if (from_disk) foreign_ = checkpoints_.load_newest(state_, random_);
}

Outcome SharedTraining::connect() {
  if (options_.prefetch && chance(0.5)) return connect_and_prefetch();
  return session_.call(kMainSlot, "connect", [](hawserComm_t comm) { return hawserCommConnect(comm); });
}

Outcome SharedTraining::connect_and_prefetch() {
  bool too_much = false;
  hawserPrefetchOptions_t options = HAWSER_PREFETCH_OPTIONS_INIT;
  options.bound_ms = kPrefetchBoundsMs[random_() % kPrefetchBoundsMs.size()];
  options.progress = on_progress;
  options.user = &too_much;
  hawserPrefetchInfo_t info = HAWSER_PREFETCH_INFO_INIT;
  const Outcome outcome = session_.call(kMainSlot, "connect_prefetch", [&](hawserComm_t comm) {
    const hawserSharedState_t state = state_.handle_after(options.stream);
    return hawserCommConnectPrefetch(comm, state, &options, &info);
  });
  state_.fetch_back();
  if (too_much) complain("bad_info", "prefetch", "more was told to be done than there is");
  after_prefetch(outcome, info);
  return outcome;
}

void SharedTraining::after_prefetch(const Outcome& outcome, const hawserPrefetchInfo_t& info) {
  if (!state_.margins_intact()) complain("out_of_bounds", "prefetch", "written beside a tensor");
  if (info.complete != 0) {
    complete_ = true;
    foreign_ = false;
    state_.settled();
    const std::string wrong = state_.find_wrong();
    if (!wrong.empty()) complain("wrong_content", "prefetch", "complete, but it holds " + wrong);
    if (info.revision != state_.revision())
      complain("bad_info", "prefetch", "another revision than the state's");
    reporter_.say(LineBuilder("found")
                      .add("how", "prefetch")
                      .add("lineage", state_.progress().lineage)
                      .add("revision", info.revision)
                      .add("step", state_.progress().step)
                      .add("content", state_.content()));
  } else if (info.bytes_fetched > 0) {
    complete_ = false;
  }
  if ((info.bytes_fetched > 0) != (info.sources > 0))
    complain("bad_info", "prefetch", "bytes without sources");
  reporter_.say(LineBuilder("prefetch")
                    .add("result", error_word(outcome.result))
                    .add("complete", std::uint64_t{info.complete})
                    .add("sources", std::uint64_t{info.sources})
                    .add("fetched", info.bytes_fetched)
                    .add("ms", static_cast<double>(info.prefetch_us) / 1e3));
}

void SharedTraining::joined_as(std::uint64_t peer_id) {
  peer_id_ = peer_id;
  state_.set_local(static_cast<std::uint32_t>(peer_id % 2));
}

// Nobody has the run's state any more: what this member brings must be whole.
void SharedTraining::fall_back() {
  if (complete_) return;
  state_.begin_anew(random_);
  const bool loaded = checkpoints_.load_newest(state_, random_);
  complete_ = true;
  reporter_.say(LineBuilder("fell_back").add("to_disk", std::uint64_t{loaded}));
}

// Before the call, so that it is known whatever happens in it.
void SharedTraining::tell_what_is_held(const SyncOccasion& occasion, const Before& before) {
  // If all who have the run's state are lost meanwhile, a newcomer's own beginning may be elected.
  const bool own_beginning = complete_ && !foreign_ && before.revision == 0;
  if (!synced_ && !occasion.start.holders.empty() && !own_beginning) return;
  const TrainingProgress progress = state_.progress();
  reporter_.say(LineBuilder("holds")
                    .add("lineage", progress.lineage)
                    .add("revision", before.revision)
                    .add("step", progress.step)
                    .add("content", before.content)
                    .add("newcomer", std::uint64_t{occasion.start.any_newcomer}));
}

void SharedTraining::choose(const SyncOccasion& occasion, Call& call) {
  const bool run_goes_on = !occasion.start.holders.empty();
  hawserSyncOptions_t& options = call.options;
  if (!synced_ && run_goes_on && (foreign_ || chance(0.3))) options.strategy = hawserSyncReceiveOnly;
  if (synced_ && chance(0.15)) options.strategy = hawserSyncSendOnly;
  options.tag = run_goes_on ? occasion.start.step % kTags : 0;
  options.compress = chance(0.4) ? 1 : 0;
  options.only_marked = chance(0.5) ? 1 : 0;
  options.keep_old_bytes = chance(0.3) ? 1 : 0;
  options.threads = static_cast<std::uint32_t>(random_() % 3);
  options.progress = on_progress;
  call.sources.resize(kMembersMax);
  call.info.sources = call.sources.data();
  call.info.source_capacity = kMembersMax;
  call.before = {.content = state_.content(), .revision = state_.revision(), .local = state_.local()};
}

Next SharedTraining::sync(const SyncOccasion& occasion) {
  Next next = sync_once(occasion);
  while (next == Next::retry) next = sync_once(occasion);
  return next;
}

Next SharedTraining::sync_once(const SyncOccasion& occasion) {
  if (occasion.start.holders.empty()) fall_back();
  Call call;
  choose(occasion, call);
  tell_what_is_held(occasion, call.before);
  bool too_much = false;
  call.options.user = &too_much;
  call.outcome = session_.call(kMainSlot, occasion.phase, [&](hawserComm_t comm) {
    const hawserSharedState_t state = state_.handle_after(call.options.stream);
    return hawserSharedStateSync(comm, state, &call.options, &call.info);
  });
  state_.fetch_back();
  call.content = state_.content();
  if (too_much) complain("bad_info", occasion.phase, "more was told to be done than there is");
  if (!state_.margins_intact()) complain("out_of_bounds", occasion.phase, "written beside a tensor");
  if (call.outcome.result != hawserSuccess) return failed(occasion, call);
  return succeeded(occasion, call);
}

Next SharedTraining::succeeded(const SyncOccasion& occasion, Call& call) {
  complete_ = synced_ = true;
  foreign_ = false;
  state_.settled();
  synced_epoch_ = call.info.epoch;
  check_info(occasion, call);
  check_state(occasion, call);
  last_epoch_ = std::max(last_epoch_, call.info.epoch);
  session_.recovered();
  // Offered before anybody reads it again: what was fetched must be known to be right.
  const Next next = options_.prefetch ? offer(occasion.phase) : Next::carry_on;
  report(occasion, call);
  ++syncs_;
  if (options_.checkpoint_every != 0 && syncs_ % options_.checkpoint_every == 0) checkpoints_.save(state_);
  // The training goes on from what was elected: another one than that which may once have gone on from the
  // same.
  if (occasion.start.holders.empty())
    state_.branch(mix64(state_.progress().lineage ^ mix64(occasion.start.epoch)));
  return next;
}

Next SharedTraining::offer(const char* phase) {
  const Outcome outcome = session_.call(
      kMainSlot, "offer", [&](hawserComm_t comm) { return hawserSharedStateOffer(comm, state_.handle()); });
  return outcome.result == hawserSuccess ? Next::carry_on : session_.judge(outcome, phase);
}

void SharedTraining::report(const SyncOccasion& occasion, const Call& call) {
  std::array<char, HAWSER_DIGEST_BYTES> digest{};
  if (hawserSharedStateGetDigest(state_.handle(), digest.data()) != hawserSuccess) {
    complain("unexpected_error", occasion.phase, std::string("digest: ") + hawserGetLastError());
    return;
  }
  const hawserSyncInfo_t& info = call.info;
  const TrainingProgress progress = state_.progress();
  reporter_.say(LineBuilder("sync")
                    .add("phase", occasion.phase)
                    .add("epoch", info.epoch)
                    .add("lineage", progress.lineage)
                    .add("revision", info.revision)
                    .add("step", progress.step)
                    .add("digest", std::string_view(digest.data()))
                    .add("content", call.content)
                    .add("world", std::uint64_t{info.world_size})
                    .add("attempts", std::uint64_t{info.attempts})
                    .add("fetched", info.bytes_fetched)
                    .add("again", info.bytes_again)
                    .add("sources", std::uint64_t{info.source_count})
                    .add("strategy", std::uint64_t{static_cast<std::uint64_t>(call.options.strategy)})
                    .add("compress", std::uint64_t{call.options.compress})
                    .add("only_marked", std::uint64_t{call.options.only_marked})
                    .add("keep_old", std::uint64_t{call.options.keep_old_bytes})
                    .add("ms", call.outcome.took_ms));
}

}  // namespace hawser::churn
