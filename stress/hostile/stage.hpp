#pragma once

#include <uv.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "churn/child_process.hpp"
#include "churn/loop_timer.hpp"
#include "churn/report_line.hpp"

namespace hawser::hostile {

/// The processes of a measurement, and the loop that waits for what they say. One thread.
class Stage {
 public:
  using OnLine = std::function<void(const churn::ReportLine&)>;

  /// `log`: a file for all that the processes say and log; "": none.
  explicit Stage(const std::string& log);
  /// Kills what still runs, and waits for it.
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// Starts this binary in another role. Throws std::runtime_error if the system refuses.
  churn::ChildProcess& start(const std::string& name, const std::vector<std::string>& arguments, OnLine on_line);
  /// Starts a role that says "listening", and waits for it. Gives its address. Throws if it does not come.
  std::string start_listening(const std::string& name, const std::vector<std::string>& arguments,
                              churn::ChildProcess** process = nullptr);
  /// Turns the loop until `done`, or until the time is over (false).
  bool wait(const std::function<bool()>& done, std::uint64_t limit_ms);
  void rest(std::uint64_t ms) {
    (void)wait([] { return false; }, ms);
  }
  /// Kills it and waits for its end.
  void end(churn::ChildProcess& child);
  /// All of them; what they still say is not passed on.
  void end_all();
  /// So many have ended that nobody had asked to.
  std::uint32_t died() const { return died_; }
  void note(const std::string& line);

 private:
  struct Child {
    std::unique_ptr<churn::ChildProcess> process;
    bool is_wanted = true;
    bool is_heard = true;  ///< Whoever listens may be gone by the time that the last words come.
  };
  Child* child_of(const churn::ChildProcess& process);

  uv_loop_t loop_{};
  std::unique_ptr<churn::LoopTimer> timer_;
  std::vector<std::unique_ptr<Child>> children_;
  std::FILE* log_ = nullptr;
  std::uint64_t began_ns_ = 0;
  std::uint32_t died_ = 0;
};

/// Of user and system together, of the threads that the process has now. 0: it is not known.
double cpu_seconds(int pid);
/// The resident set. 0: it is not known.
std::uint64_t resident_bytes(int pid);
/// The largest that it ever was.
std::uint64_t peak_resident_bytes(int pid);

}  // namespace hawser::hostile
