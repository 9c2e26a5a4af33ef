#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hawser::bench {

/// Child processes of this binary whose standard outputs come together here, line by line.
class WorkerGroup {
 public:
  /// Starts `count` children with the same arguments. Throws std::runtime_error if the system refuses.
  WorkerGroup(std::uint32_t count, const std::vector<std::string>& arguments);
  /// The same, beside those that run; they are all ended if it throws.
  void add(std::uint32_t count, const std::vector<std::string>& arguments);
  /// Kills those that still run and reaps all.
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  /// The next line of any child; blocks for it. None: all have closed their output, or nobody has said
  /// anything for five minutes.
  std::optional<std::string> next_line();
  /// Waits until all have ended, after the last line. True if all went well; up to `killed` of them may end
  /// by SIGKILL.
  bool wait_for_end(std::uint32_t killed = 0);

 private:
  void start(const std::vector<std::string>& arguments, int output);
  void end_all();

  /// The end of a pipe, and what has come of a line.
  struct Input {
    int descriptor;
    std::string partial;
  };
  std::optional<std::string> whole_line();
  void read_from(Input& input);

  std::vector<pid_t> running_;
  std::vector<Input>
      inputs_;  ///< Of children that may say something still; one for all that were started together.
  bool silent_ = false;
};

}  // namespace hawser::bench
