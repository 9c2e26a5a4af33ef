#include "bench/shared_state_worker.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <stop_token>
#include <thread>

#include "bench/member.hpp"
#include "bench/process_usage.hpp"
#include "bench/shared_state_tensors.hpp"
#include "progress_bar.hpp"

namespace hawser::bench {
namespace {

/// Calls after a loss: the first tells of it, the second runs without the lost one.
constexpr int kBarrierTries = 3;

Result<void> check(hawserResult_t code) {
  if (code == hawserSuccess) return {};
  return Failure{.code = code, .sentence = hawserGetLastError()};
}

Result<void> wait_for_all(Communicator& comm) {
  for (int left = kBarrierTries;; --left) {
    const auto met = comm.barrier();
    if (met) return {};
    if (met.error().code != hawserErrorPeerLost || left == 1) return met.error();
  }
}

/// Kills this process after a while, unless it is destroyed before.
class Death {
 public:
  explicit Death(std::chrono::duration<double> after)
      : waiting_([after](const std::stop_token& spared) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          never.wait_for(lock, spared, after, [] { return false; });
          if (!spared.stop_requested()) ::kill(::getpid(), SIGKILL);
        }) {}

 private:
  std::jthread waiting_;
};

class SharedStateWorker {
 public:
  SharedStateWorker(Communicator& comm, const SharedStateGroup& group, std::uint32_t rank,
                    SharedStateTensors& state)
      : comm_(comm), group_(group), rank_(rank), state_(state) {}

  Result<void> run();

 private:
  bool unchanged() const { return group_.kind == "unchanged"; }
  bool holds() const { return rank_ < group_.holders; }
  /// What all shall hold after a round.
  std::uint32_t content(std::uint32_t round) const { return unchanged() ? 1 : round + 1; }
  bool dies_in(std::uint32_t round) const {
    return group_.kind == "kill" && round == group_.rounds && rank_ + 1 == group_.holders;
  }
  Result<void> prepare(std::uint32_t round);
  Result<void> synchronise(std::uint32_t round, MemberSync& told);
  Result<void> read(MemberSync& told);

  Communicator& comm_;
  const SharedStateGroup& group_;
  std::uint32_t rank_;
  SharedStateTensors& state_;
  unsigned threads_ = std::max(1U, std::thread::hardware_concurrency());
  std::uint64_t resident_before_ = 0;
  std::uint64_t sum_ = 0;
  hawserSyncInfo_t last_ = HAWSER_SYNC_INFO_INIT;
};

Result<void> SharedStateWorker::prepare(std::uint32_t round) {
  if (!holds() || (unchanged() && round > 0)) return {};
  state_.fill(content(round));
  return check(hawserSharedStateSetRevision(state_.handle(), content(round)));
}

Result<void> SharedStateWorker::synchronise(std::uint32_t round, MemberSync& told) {
  hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
  options.strategy = holds() ? hawserSyncEnforcePopular : hawserSyncReceiveOnly;
  options.compress = group_.compress ? 1 : 0;
  options.threads = threads_;
  reset_peak_resident();
  if (auto met = wait_for_all(comm_); !met) return met;

  // In the middle of the transfer, going by the round before.
  std::optional<Death> death;
  if (dies_in(round)) {
    death.emplace(
        std::chrono::duration<double, std::micro>(static_cast<double>(last_.digest_us + last_.agree_us) +
                                                  0.5 * static_cast<double>(last_.transfer_us)));
  }
  ProgressBar bar("fetching");
  if (rank_ == group_.holders) {  // one of those that fetch
    options.progress = ProgressBar::on_progress;
    options.user = &bar;
  }
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
  const ProcessUsage before = process_usage();
  const auto begin = Clock::now();
  const auto code = hawserSharedStateSync(comm_.handle(), state_.handle(), &options, &info);
  told.ms = 1e3 * seconds_since(begin);
  if (code != hawserSuccess) return check(code);
  told.cpu_s = process_usage().cpu_s - before.cpu_s;
  const std::uint64_t peak = peak_resident_bytes();
  last_ = info;

  told.digest_ms = 1e-3 * static_cast<double>(info.digest_us);
  told.agree_ms = 1e-3 * static_cast<double>(info.agree_us);
  told.transfer_ms = 1e-3 * static_cast<double>(info.transfer_us);
  told.sent_bytes = info.bytes_sent;
  told.fetched_bytes = info.bytes_fetched;
  told.again_bytes = info.bytes_again;
  told.sources = info.source_count;
  told.attempts = info.attempts;
  told.peak_bytes = peak > resident_before_ ? peak - resident_before_ : 0;
  return {};
}

Result<void> SharedStateWorker::read(MemberSync& told) {
  if (auto met = wait_for_all(comm_); !met) return met;
  const auto begin = Clock::now();
  const std::uint64_t sum = state_.read(threads_);
  told.read_ms = 1e3 * seconds_since(begin);
  if (told.round == 0) sum_ = sum;
  told.right = told.right && sum == sum_;
  return {};
}

Result<void> SharedStateWorker::run() {
  resident_before_ = resident_bytes();
  for (std::uint32_t round = 0; round <= group_.rounds; ++round) {
    MemberSync told{.round = round, .rank = rank_};
    if (auto prepared = prepare(round); !prepared) return prepared;
    const bool reads_first = unchanged() && round % 2 == 1;
    if (reads_first)
      if (auto done = read(told); !done) return done;
    if (auto done = synchronise(round, told); !done) return done;
    if (unchanged() && !reads_first)
      if (auto done = read(told); !done) return done;

    char digest[HAWSER_DIGEST_BYTES] = "";
    if (auto done = check(hawserSharedStateGetDigest(state_.handle(), digest)); !done) return done;
    told.digest = digest;
    if (const std::string wrong = state_.check(content(round)); !wrong.empty()) {
      std::fprintf(stderr, "hawser bench: WRONG CONTENT: %s\n", wrong.c_str());
      told.right = false;
    }
    told.say();
  }
  // Nobody leaves while another still waits for its last result.
  return wait_for_all(comm_);
}

}  // namespace

void MemberSync::say() const {
  const auto whole = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  bench::say("sync %u %u %.6f %.6f %.6f %.6f %.6f %.6f %llu %llu %llu %llu %u %u %s %s\n", round, rank, ms,
             digest_ms, agree_ms, transfer_ms, read_ms, cpu_s, whole(sent_bytes), whole(fetched_bytes),
             whole(again_bytes), whole(peak_bytes), sources, attempts, digest.c_str(),
             right ? "right" : "wrong");
}

std::optional<MemberSync> MemberSync::parse(const std::string& line) {
  std::istringstream words(line);
  std::string kind, verdict;
  MemberSync told;
  words >> kind >> told.round >> told.rank >> told.ms >> told.digest_ms >> told.agree_ms >>
      told.transfer_ms >> told.read_ms >> told.cpu_s >> told.sent_bytes >> told.fetched_bytes >>
      told.again_bytes >> told.peak_bytes >> told.sources >> told.attempts >> told.digest >> verdict;
  if (!words || kind != "sync") return std::nullopt;
  told.right = verdict == "right";
  return told;
}

Result<void> share_state(Communicator& comm, const SharedStateGroup& group, std::uint32_t rank) {
  auto state = SharedStateTensors::create({.bytes = group.bytes, .compressible = group.compress});
  if (!state) return state.error();
  return SharedStateWorker(comm, group, rank, *state).run();
}

}  // namespace hawser::bench
