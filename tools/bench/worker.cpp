#include "bench/worker.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <thread>

#include "bench/member.hpp"
#include "bench/payload.hpp"
#include "bench/prefetch_worker.hpp"
#include "bench/process_usage.hpp"
#include "bench/shared_state_worker.hpp"

namespace hawser::bench {
namespace {

/// Small sizes are timed in batches of about so long.
constexpr double kBatchSeconds = 0.03;
constexpr double kBatchOpsMax = 1000;
/// And of at least so many, up to this size: otherwise the time in which many processes begin a batch on a few cores
/// would count as the call's.
constexpr double kBatchOpsMin = 10;
constexpr std::uint64_t kSmallBytes = 1 << 20;
constexpr std::uint32_t kRoundsMax = 10'000;

class AllReduceWorker {
 public:
  AllReduceWorker(Communicator& comm, const WorkerOptions& options, const hawserCommInfo_t& info)
      : comm_(comm),
        options_(options.all_reduce),
        kind_(kind_of(options_.names)),
        payload_(kind_, info.rank, info.group_size),
        send_(std::max<std::uint64_t>(kind_.element_bytes, *std::ranges::max_element(options_.sizes))),
        receive_(options_.in_place ? 0 : send_.size()),
        resident_before_(resident_bytes()) {}

  Result<void> run();

 private:
  struct Measured {
    double seconds_per_op = 0;
    double cpu_s_per_op = 0;
    std::uint64_t peak_bytes = 0;
    std::map<std::string, double> thread_cpu_s{};  ///< Per op, by the thread's name.
    hawserPlan_t plan = hawserPlanAuto;
    std::string wrong;
  };
  Result<void> warm_up(std::uint64_t bytes);
  Result<Measured> measure(std::uint64_t round, std::uint64_t bytes);

  Communicator& comm_;
  const AllReduceOptions& options_;
  CollectiveKind kind_;
  Payload payload_;
  std::vector<std::byte> send_, receive_;
  std::uint64_t resident_before_;
  std::map<std::uint64_t, std::uint32_t> ops_;  ///< Per size, in one measurement.
};

Result<AllReduceWorker::Measured> AllReduceWorker::measure(std::uint64_t round, std::uint64_t bytes) {
  const std::uint64_t count = std::max<std::uint64_t>(1, bytes / kind_.element_bytes);
  const std::span<std::byte> send = std::span(send_).first(count * kind_.element_bytes);
  const std::span<std::byte> receive = options_.in_place ? send : std::span(receive_).first(send.size());
  if (!options_.in_place) std::ranges::fill(receive, std::byte{0xff});
  payload_.fill(round, send);
  reset_peak_resident();
  const std::uint32_t ops = ops_[bytes];

  if (const auto together = agree(comm_, 0); !together) return together.error();
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  double seconds = 0;
  const auto threads_before = thread_cpu_seconds();
  const ProcessUsage before = process_usage();
  for (std::uint32_t op = 0; op < ops; ++op) {
    if (options_.in_place && op > 0) payload_.fill(round, send);
    const auto begin = Clock::now();
    const auto result = hawserAllReduce(comm_.handle(), send.data(), receive.data(), count, kind_.type,
                                        &kind_.options, &info);
    seconds += seconds_since(begin);
    if (result != hawserSuccess) return Failure{.code = result, .sentence = hawserGetLastError()};
  }
  const ProcessUsage after = process_usage();
  auto threads = thread_cpu_seconds();
  for (auto& [name, cpu_s] : threads) {
    const auto then = threads_before.find(name);
    cpu_s = (cpu_s - (then == threads_before.end() ? 0 : then->second)) / ops;
  }
  const std::uint64_t peak = peak_resident_bytes();
  return Measured{.seconds_per_op = seconds / ops,
                  .cpu_s_per_op = (after.cpu_s - before.cpu_s) / ops,
                  .peak_bytes = peak > resident_before_ ? peak - resident_before_ : 0,
                  .thread_cpu_s = std::move(threads),
                  .plan = info.plan,
                  .wrong = payload_.check(round, receive)};
}

/// Once to open what is opened lazily, once to learn how many make a batch.
Result<void> AllReduceWorker::warm_up(std::uint64_t bytes) {
  ops_[bytes] = 1;
  if (const auto first = measure(0, bytes); !first) return first.error();
  const auto second = measure(0, bytes);
  if (!second) return second.error();
  const auto seconds = agree(comm_, second->seconds_per_op);
  if (!seconds) return seconds.error();
  ops_[bytes] = static_cast<std::uint32_t>(
      std::clamp(kBatchSeconds / *seconds, bytes <= kSmallBytes ? kBatchOpsMin : 1.0, kBatchOpsMax));
  return {};
}

Result<void> AllReduceWorker::run() {
  for (const std::uint64_t bytes : options_.sizes)
    if (auto warm = warm_up(bytes); !warm) return warm;
  const auto begin = Clock::now();
  const std::uint32_t rounds_min = options_.seconds > 0 ? 3 : options_.rounds;
  for (std::uint32_t round = 1; round <= kRoundsMax; ++round) {
    for (const std::uint64_t bytes : options_.sizes) {
      const auto measured = measure(round, bytes);
      if (!measured) return measured.error();
      if (!measured->wrong.empty())
        std::fprintf(stderr, "hawser bench: WRONG RESULT: %s\n", measured->wrong.c_str());
      std::string threads;
      for (const auto& [name, cpu_s] : measured->thread_cpu_s)
        threads += " " + name + "=" + std::to_string(1e9 * cpu_s);
      say("case %u %llu %.6f %.9f %llu %s %u %s%s\n", round, static_cast<unsigned long long>(bytes),
          1e3 * measured->seconds_per_op, measured->cpu_s_per_op,
          static_cast<unsigned long long>(measured->peak_bytes), plan_name(measured->plan), ops_[bytes],
          measured->wrong.empty() ? "right" : "wrong", threads.c_str());
    }
    const auto elapsed = agree(comm_, seconds_since(begin));
    if (!elapsed) return elapsed.error();
    if (round >= rounds_min && *elapsed >= options_.seconds) break;
  }
  return {};
}

/// The call that ends it keeps all members connected until the last has measured.
Result<void> stay_idle(Communicator& comm, const WorkerOptions& options, const hawserCommInfo_t& info) {
  if (const auto together = agree(comm, 0); !together) return together.error();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const ProcessUsage before = process_usage();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.idle.seconds));
  const ProcessUsage after = process_usage();
  say("idle %u %.6f %llu %llu\n", info.rank, after.cpu_s - before.cpu_s,
      static_cast<unsigned long long>(after.voluntary_switches - before.voluntary_switches),
      static_cast<unsigned long long>(after.involuntary_switches - before.involuntary_switches));
  if (const auto together = agree(comm, 0); !together) return together.error();
  return {};
}

Result<void> take_part(const WorkerOptions& options) {
  if (options.role == "prefetch-member") return reduce_and_offer(options.master, options.prefetch);
  if (options.role == "prefetch-newcomer") return prefetch_and_join(options.master, options.prefetch);
  auto comm = join({.master = options.master,
                    .world = options.world,
                    .connections = options.all_reduce.connections,
                    .check_same_host = options.all_reduce.check_same_host,
                    .tls_same_host = options.all_reduce.tls_same_host,
                    .attest = options.all_reduce.attest,
                    .io_threads = options.all_reduce.io_threads});
  if (!comm) return comm.error();
  const auto info = comm->info();
  if (!info) return info.error();
  if (options.role == "idle") return stay_idle(*comm, options, *info);
  if (options.role == "shared-state") return share_state(*comm, options.shared_state, info->rank);
  auto done = AllReduceWorker(*comm, options, *info).run();
  if (!done) return done;
  // Nobody leaves while another still waits for its last result.
  if (const auto together = agree(*comm, 0); !together) return together.error();
  return {};
}

}  // namespace

int run_worker(const WorkerOptions& options) {
  if (!die_with_parent(options.parent_pid)) return 1;
  const auto done = take_part(options);
  if (done) return 0;
  std::fprintf(stderr, "hawser bench: a worker failed: %s: %s\n", done.error().name(),
               done.error().sentence.c_str());
  return 1;
}

}  // namespace hawser::bench
