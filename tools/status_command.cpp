#include "status_command.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "hawser_status.h"
#include "status_report.hpp"

namespace {

struct StatusArguments {
  std::string master = "127.0.0.1:48500";
  bool json = false;
  bool matrix = false;
  double watch_s = 0;
  bool keys = false;
  bool reach = false;
  std::string secret_file;
  std::uint32_t timeout_ms = 5000;
};

constexpr const char* kClearScreen = "\033[H\033[2J";

/// Asks once and prints the answer. False, after a word on stderr, if there is none.
bool show(const StatusArguments& arguments, bool clear) {
  hawserStatus_t handle = nullptr;
  hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
  options.timeout_ms = arguments.timeout_ms;
  options.matrix = arguments.matrix ? 1 : 0;
  options.secret_file = arguments.secret_file.empty() ? nullptr : arguments.secret_file.c_str();
  if (hawserStatusQueryWith(arguments.master.c_str(), &options, &handle) != hawserSuccess) {
    std::fprintf(stderr, "hawser status: %s\n", hawserGetLastError());
    return false;
  }
  const std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)> owner(handle, hawserStatusDestroy);
  const StatusReport report = read_status(arguments.master, handle);
  if (clear) std::fputs(kClearScreen, stdout);
  std::printf("%s\n", (arguments.json ? status_json(report) : status_table(report)).c_str());
  if (arguments.keys && !arguments.json) std::printf("%s", keys_table(report).c_str());
  if (arguments.reach && !arguments.json) std::printf("%s", reach_table(report).c_str());
  if (arguments.matrix && !arguments.json) std::printf("%s", matrix_tables(report).c_str());
  std::fflush(stdout);
  return true;
}

int ask(const StatusArguments& arguments) {
  const bool watches = arguments.watch_s > 0;
  const bool clear = watches && !arguments.json && ::isatty(STDOUT_FILENO) == 1;
  if (!show(arguments, clear)) return 1;
  // A master that is away for a while, or restarted, does not end the watch.
  while (watches && std::ferror(stdout) == 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(arguments.watch_s));
    (void)show(arguments, clear);
  }
  return 0;
}

}  // namespace

void add_status_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command = app.add_subcommand(
      "status", "Ask a running master for the state of the run: who is a member, who waits, who holds up a collective");
  command->add_option("master", arguments->master, "ADDRESS:PORT of the master, or of several, separated by commas: the first that serves the run answers")->capture_default_str();
  command->add_flag("--json", arguments->json,
                    "JSON instead of a table; with --watch one document after the other");
  command->add_flag("--matrix", arguments->matrix,
                    "Also the measured rate and delay of each link, and the up- and downlink of each member");
  command->add_flag("--reach", arguments->reach,
                    "Also which peers have no straight way to each other, how the tries ended, and who helps them");
  command->add_flag("--keys", arguments->keys, "Also the key of each peer, which `hawser ban` takes");
  command->add_option("--secret-file", arguments->secret_file,
                      "The run's secret, or a key of an observer, member or operator (default: HAWSER_SECRET_FILE)");
  command
      ->add_option("--watch", arguments->watch_s,
                   "Ask again after so many seconds, until SIGINT, also while the master is away")
      ->check(CLI::Range(0.1, 86400.0));
  command->add_option("--timeout-ms", arguments->timeout_ms, "How long to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(1U, 600'000U));
  command->footer("Exit status: 0 if the master answered, otherwise 1, and a sentence on stderr says why.");
  command->callback([arguments, &status] { status = ask(*arguments); });
}
