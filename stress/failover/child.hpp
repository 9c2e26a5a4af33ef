#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::failover {

/// A program that runs beside this one, and ends with it.
class Child {
 public:
  /// `output`: a file that has what it says, after what is there already. Throws if it cannot be started.
  Child(const std::vector<std::string>& command, const std::string& output);
  /// Kills it, and waits for its end.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill();
  /// SIGTERM, and waits for its end.
  void end();
  void stop();
  void go_on();

 private:
  pid_t pid_ = -1;
};

/// A port of this machine that was free a moment ago.
std::uint16_t free_port();

/// A folder that goes with this object, and all in it.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hawser::failover
