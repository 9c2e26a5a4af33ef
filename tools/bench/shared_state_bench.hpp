#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// Runs one group of processes per case (one holder and so many receivers; two members that hold the same; a
/// source that is killed) and prints a table. The process's exit status: 0 only if all went well and all
/// members held what they should after every round.
int run_shared_state_bench(const SharedStateOptions& options);

}  // namespace hawser::bench
