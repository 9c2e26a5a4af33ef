#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace hawser::bench {

/// What this process has used so far, all threads together.
struct ProcessUsage {
  double cpu_s = 0;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
};
ProcessUsage process_usage();

/// CPU seconds of the threads that there are, by their names, those of one name together; empty where the system does
/// not tell.
std::map<std::string, double> thread_cpu_seconds();

/// Resident bytes of this process; 0 where the system does not tell.
std::uint64_t resident_bytes();
/// The most since the last reset_peak_resident(), or since the process began where that can't be reset.
std::uint64_t peak_resident_bytes();
void reset_peak_resident();

/// The running binary's path; "" where the system does not tell.
std::string own_path();

/// Asks the system to kill this process when its parent ends. False: it has ended already.
bool die_with_parent(int parent_pid);

}  // namespace hawser::bench
