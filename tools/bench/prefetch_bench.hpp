#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// For each share of the uplink one group of members that reduce, and newcomers that prefetch their state one
/// after the other; prints a table. The process's exit status: 0 only if all went well, every newcomer had
/// all of the state before it joined, and all contents and sums were right.
int run_prefetch_bench(const SharedStateOptions& options);

}  // namespace hawser::bench
