#pragma once

#include "bench/options.hpp"

namespace hawser::bench {

/// One member of an all-reduce measurement whose members are started by hand, one on each machine. Rank 0 prints a row
/// for each call: the slowest member's time, what the plan was expected to take, and why it was chosen. Checks all
/// results. The process's exit status.
int run_lone_member(const LoneMemberOptions& options);

}  // namespace hawser::bench
