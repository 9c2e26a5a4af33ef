// What strangers can make a master keep: its resident set at its peak, beside what it was before they came.

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/limits.hpp"
#include "hostile/loopback_run.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {
namespace {

constexpr std::uint64_t kKibEach = 64;
/// What a process's heap and stacks grow by without anybody's connection: it must not count as that of one held.
constexpr std::uint64_t kKibBeside = 1024;
constexpr double kOpensPerSecond = 2000;
constexpr std::uint32_t kSources = 64;
/// Descriptors of a process beside its connections.
constexpr std::uint64_t kDescriptorsBeside = 100;
constexpr int kSkipped = 77;

struct MemoryCase {
  const char* name = "";
  FloodKind kind = FloodKind::opens;
  bool has_members = true;  ///< Else the master has just been restarted, as far as strangers say.
  bool is_deaf = false;     ///< They do not read what they are told, and others come and go.
};

constexpr MemoryCase kCases[] = {
    {.name = "silent", .kind = FloodKind::opens},
    {.name = "half a message", .kind = FloodKind::half_messages},
    {.name = "Hello, as long as may be", .kind = FloodKind::long_hellos},
    {.name = "Resume at a fresh master", .kind = FloodKind::resumes, .has_members = false},
    {.name = "half of a view, likewise", .kind = FloodKind::half_views, .has_members = false},
    {.name = "Hello, and deaf from then on", .kind = FloodKind::hellos, .is_deaf = true},
};

bool measure(const MemoryCase& one, const MemoryBenchOptions& options) {
  LoopbackRun run(options.log, one.has_members ? 2 : 0);
  run.stage().rest(500);
  const std::uint64_t before = resident_bytes(run.master_pid());
  FloodLine flooded;
  FloodLine others;
  const double seconds = options.connections / kOpensPerSecond + (one.is_deaf ? 15 : 2);
  run.flood({.kind = one.kind,
             .sources = loopback_sources(kSources),
             .opens_per_second = kOpensPerSecond,
             .connections = options.connections,
             .seconds = seconds,
             .keeps = true,
             .holds = true,
             .is_deaf = one.is_deaf},
            flooded);
  if (one.is_deaf)
    run.flood({.kind = FloodKind::hellos,
               .sources = loopback_sources(kSources, kSources),
               .opens_per_second = 500,
               .connections = 20,
               .seconds = seconds},
              others);
  if (!run.stage().wait([&] { return !flooded.empty(); }, static_cast<std::uint64_t>(1000 * seconds) + 20'000))
    return false;
  const std::uint64_t peak = peak_resident_bytes(run.master_pid());
  const std::uint64_t held = flooded["open_now"];
  const double kib = static_cast<double>(peak - before) / 1024;
  // Of those that are refused as soon as they have spoken few are left at the end; at the peak there were more.
  const std::uint64_t at_peak = std::max<std::uint64_t>(held, limits::kStrangersMax);
  const double kib_each = kib / static_cast<double>(at_peak);
  const bool well = kib <= static_cast<double>(kKibEach * at_peak + kKibBeside) && run.stage().died() == 0;
  std::printf("%-30s %8llu %8llu %10.1f %10.1f %9.1f  %s\n", one.name,
              static_cast<unsigned long long>(flooded["opened"]), static_cast<unsigned long long>(held),
              static_cast<double>(before) / 1048576, static_cast<double>(peak) / 1048576, kib_each,
              well ? "" : "TOO MUCH");
  std::fflush(stdout);
  return well;
}

}  // namespace

int run_memory_bench(const MemoryBenchOptions& options) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < options.connections + kDescriptorsBeside) {
    std::fprintf(
        stderr, "hawser-hostile: %u connections need as many open files in one process, and `ulimit -Hn` allows %llu\n",
        options.connections, static_cast<unsigned long long>(limit.rlim_max));
    return kSkipped;
  }
  std::printf("%-30s %8s %8s %10s %10s %9s\n", "", "opened", "held", "MiB before", "MiB, peak", "KiB each");
  bool well = true;
  for (const MemoryCase& one : kCases) well = measure(one, options) && well;
  return well ? 0 : 1;
}

}  // namespace hawser::hostile
