#ifdef __linux__

#include <sys/stat.h>
#include <xxhash.h>

#include <fstream>
#include <string>

#include "transport/same_machine.hpp"

namespace hawser::transport {

std::uint64_t this_machine() {
  static const std::uint64_t machine = []() -> std::uint64_t {
    std::string boot;
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::getline(file, boot);
    // Of the own network: containers of one machine have several.
    struct stat space{};
    if (boot.empty() || ::stat("/proc/self/ns/net", &space) != 0) return 0;
    const std::string text = boot + " " + std::to_string(space.st_dev) + " " + std::to_string(space.st_ino);
    return XXH3_64bits(text.data(), text.size());
  }();
  return machine;
}

}  // namespace hawser::transport

#endif
