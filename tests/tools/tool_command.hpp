#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "catch.hpp"

/// The tool, as a person calls it.
namespace hawser::test {

struct Said {
  int exit_status;
  std::string text;
};

class Command {
 public:
  /// Of the tool, with these arguments; what it says on stderr comes with the rest.
  explicit Command(const std::string& arguments) : Command("'" HAWSER_TOOL "' ", arguments) {}
  Command(const std::string& program, const std::string& arguments)
      : pipe_(::popen(("exec " + program + arguments + " 2>&1").c_str(), "r")) {
    REQUIRE(pipe_ != nullptr);
  }
  ~Command() {
    if (pipe_ != nullptr) (void)end();
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  /// Up to and with the next newline; empty at the end.
  std::string line() {
    std::string text;
    for (int c = std::fgetc(pipe_); c != EOF; c = std::fgetc(pipe_)) {
      text += static_cast<char>(c);
      if (c == '\n') break;
    }
    return text;
  }
  /// Waits for its end; if it has more to say, nobody listens.
  int end() {
    const int status = ::pclose(pipe_);
    pipe_ = nullptr;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  FILE* pipe_;
};

inline Said all_said(Command& command) {
  std::string text;
  for (std::string line = command.line(); !line.empty(); line = command.line()) text += line;
  return {command.end(), text};
}
inline Said run(const std::string& arguments) {
  Command command(arguments);
  return all_said(command);
}
/// Of another program, which is named with its arguments.
inline Said run_program(const std::string& line) {
  Command command(line, "");
  return all_said(command);
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace hawser::test
