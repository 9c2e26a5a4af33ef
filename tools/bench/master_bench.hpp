#pragma once

#include <cstdint>

namespace hawser::bench {

struct MasterBenchOptions {
  std::uint32_t members = 1024;
  std::uint32_t groups = 1;  ///< Of equal size, but for one member.
  std::uint32_t rounds = 10;
};

/// Prints what the master's part of a run takes of a CPU, in its state machine and in its codec, without sockets; and
/// in what time a member of one of its groups plans. The process's exit status: 1 where members were not told what they
/// should have been.
int run_master_bench(const MasterBenchOptions& options);

}  // namespace hawser::bench
