#pragma once

#include <string>
#include <vector>

namespace hawser::wan {

struct HostProcessOptions {
  std::string name_space;  ///< Path of the host's network namespace.
  int parent_pid = 0;
  bool no_input = false;  ///< The command reads nothing, instead of this process's standard input.
  std::vector<std::string> environment;  ///< NAME=VALUE, beside what is inherited.
  std::vector<std::string> command;
};

/// Runs the command in the host's network, as the only child of the first process of a process namespace of
/// its own: whatever it started ends when it ends, and all of it ends when this process or its parent is
/// killed. SIGTERM is passed on to the command. Blocks until then; the command's exit status, 128 and the
/// signal's number if a signal ended it, 126 or 127 if it could not be started, 70 if the namespaces could
/// not.
int run_host_process(const HostProcessOptions& options);

}  // namespace hawser::wan
