#include "bench/prefetch_worker.hpp"

#include <hawser_shared_state.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include "bench/member.hpp"
#include "bench/process_usage.hpp"
#include "bench/shared_state_tensors.hpp"
#include "progress_bar.hpp"

namespace hawser::bench {
namespace {

constexpr std::uint32_t kContent = 1;
constexpr std::uint32_t kPrefetchBoundMs = 120'000;
/// Members give a newcomer up that has not come by then.
constexpr double kNewcomerSeconds = 180;
/// Calls after a loss: the first tells of it, the next runs without the lost one.
constexpr int kBarrierTries = 5;

Result<void> check(hawserResult_t code) {
  if (code == hawserSuccess) return {};
  return Failure{.code = code, .sentence = hawserGetLastError()};
}

double now_s() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }
double ms_of(std::uint64_t us) { return 1e-3 * static_cast<double>(us); }

struct Leave {
  void operator()(hawserComm_t comm) const { (void)hawserCommDestroy(comm); }
};
using Comm = std::unique_ptr<hawserComm, Leave>;

/// In C, since that face has all of the config.
Result<Comm> make_comm(const std::string& master, const PrefetchGroup& group) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  config.master = master.c_str();
  config.listen_address = "127.0.0.1";
  config.connect_ms = static_cast<std::uint32_t>(1e3 * kNewcomerSeconds);
  config.master_redial_ms = 5'000;
  config.prefetch_share_percent = group.share_percent;
  hawserComm_t comm = nullptr;
  if (auto made = check(hawserCommCreate(&config, &comm)); !made) return made.error();
  return Comm(comm);
}

Result<hawserCommInfo_t> info_of(hawserComm_t comm) {
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  if (auto known = check(hawserCommGetInfo(comm, &info)); !known) return known.error();
  return info;
}

/// Returns, at all members alike, when so many are there and no others.
Result<void> meet(hawserComm_t comm, std::uint32_t members) {
  for (int left = kBarrierTries;; --left) {
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const auto met = check(hawserBarrier(comm, nullptr, &info));
    if (met && info.world_size == members) return {};
    if (!met && (met.error().code != hawserErrorPeerLost || left == 1)) return met.error();
  }
}

/// Synchronises and proves the content.
Result<ToldJoin> synchronise(hawserComm_t comm, SharedStateTensors& state) {
  ToldJoin told;
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
  const auto begin = Clock::now();
  if (auto done = check(hawserSharedStateSync(comm, state.handle(), nullptr, &info)); !done)
    return done.error();
  told.sync_ms = 1e3 * seconds_since(begin);
  told.sync_digest_ms = ms_of(info.digest_us);
  told.sync_fetched_bytes = info.bytes_fetched;
  char digest[HAWSER_DIGEST_BYTES] = "";
  if (auto read = check(hawserSharedStateGetDigest(state.handle(), digest)); !read) return read.error();
  told.digest = digest;
  if (const std::string wrong = state.check(kContent); !wrong.empty()) {
    std::fprintf(stderr, "hawser bench: WRONG CONTENT: %s\n", wrong.c_str());
    told.right = false;
  }
  return told;
}

class PrefetchMember {
 public:
  PrefetchMember(hawserComm_t comm, const PrefetchGroup& group, SharedStateTensors& state)
      : comm_(comm),
        group_(group),
        state_(state),
        send_(std::max<std::uint64_t>(1, group.reduce_bytes / sizeof(float))),
        receive_(send_.size()) {}

  Result<void> run();

 private:
  Result<void> begin();
  Result<ToldStep> step(std::uint32_t newcomer);
  Result<void> quiet_steps(std::uint32_t newcomer);
  Result<void> newcomer_joins(std::uint32_t newcomer);
  bool sums_are_right() const;

  hawserComm_t comm_;
  const PrefetchGroup& group_;
  SharedStateTensors& state_;
  std::vector<float> send_, receive_;
  std::uint32_t group_size_ = 0;  ///< After the last update-topology.
  double update_ms_ = 0;          ///< What that one took.
};

Result<void> PrefetchMember::begin() {
  if (auto connected = check(hawserCommConnect(comm_)); !connected) return connected;
  // Members of one view call as often as each other: all see the full view at the same time.
  while (true) {
    const auto info = info_of(comm_);
    if (!info) return info.error();
    if (info->group_size >= group_.members) {
      std::ranges::fill(send_, static_cast<float>(info->rank + 1));
      break;
    }
    if (auto updated = check(hawserCommUpdateTopology(comm_)); !updated) return updated;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  state_.fill(kContent);
  if (auto set = check(hawserSharedStateSetRevision(state_.handle(), 1)); !set) return set;
  const auto synced = synchronise(comm_, state_);
  if (!synced) return synced.error();
  for (int warm = 0; warm < 3; ++warm)
    if (const auto done = step(0); !done) return done.error();
  return check(hawserSharedStateOffer(comm_, state_.handle()));
}

/// Update-topology in each step, as a trainer calls it: while nobody waits it costs one round trip with the
/// master.
Result<ToldStep> PrefetchMember::step(std::uint32_t newcomer) {
  const ProcessUsage before = process_usage();
  ToldStep told{.newcomer = newcomer, .begin_s = now_s()};
  if (group_.pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(group_.pause_ms));
  if (auto reduced = check(hawserAllReduce(comm_, send_.data(), receive_.data(), send_.size(), hawserFloat32,
                                           nullptr, nullptr));
      !reduced)
    return reduced.error();
  const double reduced_s = now_s();
  if (auto updated = check(hawserCommUpdateTopology(comm_)); !updated) return updated.error();
  told.end_s = now_s();
  told.cpu_s = process_usage().cpu_s - before.cpu_s;
  const auto info = info_of(comm_);
  if (!info) return info.error();
  group_size_ = info->group_size;
  update_ms_ = 1e3 * (told.end_s - reduced_s);
  if (group_size_ > group_.members) told.end_s = reduced_s;  // the admission is told apart
  return told;
}

bool PrefetchMember::sums_are_right() const {
  const auto members = static_cast<float>(group_.members);
  return std::ranges::all_of(receive_, [sum = members * (members + 1) / 2](float v) { return v == sum; });
}

Result<void> PrefetchMember::quiet_steps(std::uint32_t newcomer) {
  for (std::uint32_t i = 0; i < group_.steps; ++i) {
    const auto told = step(newcomer);
    if (!told) return told.error();
    told->say();
  }
  return {};
}

Result<void> PrefetchMember::newcomer_joins(std::uint32_t newcomer) {
  const auto info = info_of(comm_);
  if (!info) return info.error();
  if (info->rank == 0) ToldWaiting{.newcomer = newcomer}.say();
  const auto waits_since = Clock::now();
  do {
    if (seconds_since(waits_since) > kNewcomerSeconds)
      return Failure{.code = hawserErrorTimeout, .sentence = "no newcomer has come"};
    auto told = step(newcomer);
    if (!told) return told.error();
    told->quiet = false;
    told->say();
  } while (group_size_ == group_.members);
  const double update_ms = update_ms_;
  auto told = synchronise(comm_, state_);
  if (!told) return told.error();
  told->newcomer = newcomer;
  told->update_ms = update_ms;
  told->right = told->right && sums_are_right();
  told->say();
  std::ranges::fill(receive_, 0.0F);
  // Until the newcomer is gone again.
  if (auto met = meet(comm_, group_.members); !met) return met;
  return check(hawserSharedStateOffer(comm_, state_.handle()));
}

Result<void> PrefetchMember::run() {
  if (auto begun = begin(); !begun) return begun;
  for (std::uint32_t newcomer = 0; newcomer < group_.newcomers; ++newcomer) {
    if (auto done = quiet_steps(newcomer); !done) return done;
    if (auto joined = newcomer_joins(newcomer); !joined) return joined;
  }
  if (auto done = quiet_steps(group_.newcomers); !done) return done;
  // Nobody leaves while another still waits for its last result.
  return meet(comm_, group_.members);
}

unsigned long long whole(std::uint64_t value) { return value; }

}  // namespace

void ToldStep::say() const {
  bench::say("step %u %d %.6f %.6f %.6f\n", newcomer, quiet ? 1 : 0, begin_s, end_s, cpu_s);
}
std::optional<ToldStep> ToldStep::parse(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  ToldStep told;
  words >> kind >> told.newcomer >> told.quiet >> told.begin_s >> told.end_s >> told.cpu_s;
  if (!words || kind != "step") return std::nullopt;
  return told;
}

void ToldWaiting::say() const { bench::say("waiting %u\n", newcomer); }

std::optional<ToldWaiting> ToldWaiting::parse(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  ToldWaiting told;
  words >> kind >> told.newcomer;
  if (!words || kind != "waiting") return std::nullopt;
  return told;
}

void ToldJoin::say() const {
  bench::say("join %u %.6f %.6f %.6f %llu %d %s\n", newcomer, update_ms, sync_ms, sync_digest_ms,
             whole(sync_fetched_bytes), right ? 1 : 0, digest.c_str());
}

std::optional<ToldJoin> ToldJoin::parse(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  ToldJoin told;
  words >> kind >> told.newcomer >> told.update_ms >> told.sync_ms >> told.sync_digest_ms >>
      told.sync_fetched_bytes >> told.right >> told.digest;
  if (!words || kind != "join") return std::nullopt;
  return told;
}

void ToldPrefetch::say() const {
  bench::say("prefetch %.6f %.6f %d %u %llu %.6f %.6f %.6f %.6f %llu %d %s\n", begin_s, end_s,
             complete ? 1 : 0, sources, whole(fetched_bytes), join_ms, cpu_s, join.sync_ms,
             join.sync_digest_ms, whole(join.sync_fetched_bytes), join.right ? 1 : 0, join.digest.c_str());
}

std::optional<ToldPrefetch> ToldPrefetch::parse(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  ToldPrefetch told;
  words >> kind >> told.begin_s >> told.end_s >> told.complete >> told.sources >> told.fetched_bytes >>
      told.join_ms >> told.cpu_s >> told.join.sync_ms >> told.join.sync_digest_ms >>
      told.join.sync_fetched_bytes >> told.join.right >> told.join.digest;
  if (!words || kind != "prefetch") return std::nullopt;
  return told;
}

Result<void> reduce_and_offer(const std::string& master, const PrefetchGroup& group) {
  auto state = SharedStateTensors::create({.bytes = group.bytes});
  if (!state) return state.error();
  const auto comm = make_comm(master, group);
  if (!comm) return comm.error();
  return PrefetchMember(comm->get(), group, *state).run();
}

Result<void> prefetch_and_join(const std::string& master, const PrefetchGroup& group) {
  auto state = SharedStateTensors::create({.bytes = group.bytes});
  if (!state) return state.error();
  const auto comm = make_comm(master, group);
  if (!comm) return comm.error();
  ToldPrefetch told;
  hawserPrefetchInfo_t info = HAWSER_PREFETCH_INFO_INIT;
  {
    ProgressBar bar("prefetching");
    hawserPrefetchOptions_t options = HAWSER_PREFETCH_OPTIONS_INIT;
    options.bound_ms = kPrefetchBoundMs;
    options.progress = ProgressBar::on_progress;
    options.user = &bar;
    const ProcessUsage before = process_usage();
    told.begin_s = now_s();
    if (auto joined = check(hawserCommConnectPrefetch(comm->get(), state->handle(), &options, &info));
        !joined)
      return joined;
    told.end_s = now_s() - 1e-6 * static_cast<double>(info.join_us);
    told.cpu_s = process_usage().cpu_s - before.cpu_s;
  }
  told.complete = info.complete != 0;
  told.sources = info.sources;
  told.fetched_bytes = info.bytes_fetched;
  told.join_ms = ms_of(info.join_us);
  auto joined = synchronise(comm->get(), *state);
  if (!joined) return joined.error();
  told.join = std::move(*joined);
  told.say();
  return meet(comm->get(), group.members + 1);
}

}  // namespace hawser::bench
