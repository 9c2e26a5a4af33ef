#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// A member of a measurement: joins, does its part, and says what it measured on its standard output. The
/// process's exit status. The lines:
///     case ROUND BYTES MS CPU_S PEAK_BYTES PLAN OPS right|wrong     for all-reduce
///     idle RANK CPU_S VOLUNTARY_SWITCHES INVOLUNTARY_SWITCHES       for idle
/// and MemberSync's for shared-state, those of prefetch_worker.hpp for prefetching.
int run_worker(const WorkerOptions& options);

}  // namespace hawser::bench
