#include "operator_command.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "hawser_status.h"

namespace {

struct OperatorArguments {
  std::string argument;
  std::string master = "127.0.0.1:48500";
  std::string secret_file;
  std::uint32_t timeout_ms = 5000;
  bool ends = false;  ///< Of a drain.
};

int give(const OperatorArguments& arguments, hawserOperatorVerb_t verb) {
  hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
  options.timeout_ms = arguments.timeout_ms;
  options.secret_file = arguments.secret_file.empty() ? nullptr : arguments.secret_file.c_str();
  std::array<char, HAWSER_ANSWER_BYTES> answer{};
  const char* const argument = arguments.argument.empty() ? nullptr : arguments.argument.c_str();
  if (hawserOperate(arguments.master.c_str(), &options, verb, argument, answer.data(), answer.size()) != hawserSuccess) {
    std::fprintf(stderr, "hawser: %s\n", hawserGetLastError());
    return 1;
  }
  std::printf("%s\n", answer.data());
  return 0;
}

CLI::App* add_command(CLI::App& app, const char* name, const char* what, OperatorArguments& arguments,
                      const char* argument_name, const char* argument_text) {
  CLI::App* const command = app.add_subcommand(name, what);
  if (argument_name != nullptr)
    command->add_option(argument_name, arguments.argument, argument_text)->required();
  command->add_option("--master", arguments.master, "ADDRESS:PORT of the master")->capture_default_str();
  command->add_option("--secret-file", arguments.secret_file,
                      "The run's secret, or an operator's key (default: HAWSER_SECRET_FILE)");
  command->add_option("--timeout-ms", arguments.timeout_ms, "How long to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(1U, 600'000U));
  command->footer("Exit status: 0 if the master did it, otherwise 1, and a sentence on stderr says why.");
  return command;
}

}  // namespace

void add_operator_commands(CLI::App& app, int& status) {
  struct Command {
    const char* name;
    const char* what;
    hawserOperatorVerb_t verb;
    const char* argument_name;
    const char* argument_text;
  };
  constexpr const char* kKey = "A key as `hawser status --keys` shows it: 64 hexadecimal digits";
  static constexpr Command kCommands[] = {
      {"kick", "Remove all peers of a name from a run; they may come back", hawserOperatorKick, "name",
       "Name of the peers, or of the key that was issued to them"},
      {"ban", "Remove all peers of a key from a run, for good", hawserOperatorBan, "key", kKey},
      {"unban", "Let a banned key in again", hawserOperatorUnban, "key", kKey},
      {"admit", "Let the holder of a newcomer's key be a member", hawserOperatorAdmit, "key", kKey},
      {"drain", "Let no newcomers into a run from now on", hawserOperatorDrain, nullptr, nullptr},
  };
  for (const Command& one : kCommands) {
    const auto arguments = std::make_shared<OperatorArguments>();
    CLI::App* const command =
        add_command(app, one.name, one.what, *arguments, one.argument_name, one.argument_text);
    if (one.verb == hawserOperatorDrain) command->add_flag("--end", arguments->ends, "Take newcomers again");
    command->callback([arguments, verb = one.verb, &status] {
      status = give(*arguments, arguments->ends ? hawserOperatorEndDrain : verb);
    });
  }
}
