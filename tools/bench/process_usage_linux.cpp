#include "bench/process_usage.hpp"

#if defined(__linux__)
#  include <sys/prctl.h>
#  include <unistd.h>

#  include <csignal>
#  include <filesystem>
#  include <fstream>
#  include <system_error>

namespace hawser::bench {
namespace {

std::uint64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == field && status >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

std::map<std::string, double> thread_cpu_seconds() {
  std::map<std::string, double> seconds;
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream comm(task.path() / "comm");
    std::ifstream schedstat(task.path() / "schedstat");
    std::string name;
    double nanoseconds = 0;
    if (std::getline(comm, name) && schedstat >> nanoseconds) seconds[name] += nanoseconds / 1e9;
  }
  return seconds;
}

std::uint64_t resident_bytes() { return status_bytes("VmRSS:"); }
std::uint64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }
void reset_peak_resident() { std::ofstream("/proc/self/clear_refs") << 5; }

std::string own_path() {
  std::string path(4096, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return path;
}

bool die_with_parent(int parent_pid) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == parent_pid;
}

}  // namespace hawser::bench

#else

namespace hawser::bench {

std::map<std::string, double> thread_cpu_seconds() { return {}; }
std::uint64_t resident_bytes() { return 0; }
std::uint64_t peak_resident_bytes() { return 0; }
void reset_peak_resident() {}
std::string own_path() { return {}; }
bool die_with_parent(int) { return true; }

}  // namespace hawser::bench

#endif
