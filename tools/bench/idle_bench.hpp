#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// Prints what each idle peer used, and the master. The process's exit status.
int run_idle_bench(const IdleOptions& options);

}  // namespace hawser::bench
