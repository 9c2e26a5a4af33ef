#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// Runs one group of processes per world size and prints a table, or lines. The process's exit status: 0 only
/// if all went well and every result was right.
int run_all_reduce_bench(const AllReduceOptions& options);

}  // namespace hawser::bench
