#include "keygen_command.hpp"

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hawser_keys.h"

namespace {

struct KeygenArguments {
  std::string file;
  std::string name;  ///< Of whom a key is issued to; empty: a run's secret is made.
  std::string secret_file;
  hawserRole_t role = hawserRoleMember;
  std::vector<std::uint32_t> groups;
  std::uint32_t days = 30;
};

int complain() {
  std::fprintf(stderr, "hawser keygen: %s\n", hawserGetLastError());
  return 1;
}

int make_secret(const KeygenArguments& arguments) {
  hawserKeyInfo_t info = HAWSER_KEY_INFO_INIT;
  if (hawserSecretCreate(arguments.file.c_str()) != hawserSuccess ||
      hawserKeyGetInfo(arguments.file.c_str(), &info) != hawserSuccess)
    return complain();
  std::printf("%s holds the secret of run %s; whoever has it can do everything there\n", arguments.file.c_str(),
              info.run);
  return 0;
}

std::string groups_of(const hawserKeyInfo_t& info) {
  std::string text;
  for (std::uint32_t i = 0; i < info.group_count; ++i) text += (i == 0 ? "" : ",") + std::to_string(info.groups[i]);
  return text.empty() ? "all" : text;
}

int issue(const KeygenArguments& arguments) {
  hawserKeyOptions_t options = HAWSER_KEY_OPTIONS_INIT;
  options.file = arguments.file.c_str();
  options.secret_file = arguments.secret_file.c_str();
  options.name = arguments.name.c_str();
  options.role = arguments.role;
  options.days = arguments.days;
  options.groups = arguments.groups.data();
  options.group_count = arguments.groups.size();
  hawserKeyInfo_t info = HAWSER_KEY_INFO_INIT;
  if (hawserKeyIssue(&options) != hawserSuccess || hawserKeyGetInfo(options.file, &info) != hawserSuccess)
    return complain();
  std::printf("%s holds a key of run %s for %s, role %s, groups %s, valid for %u days: %s\n", options.file, info.run,
              info.name, hawserGetRoleName(info.role), groups_of(info).c_str(), arguments.days, info.key);
  return 0;
}

std::map<std::string, hawserRole_t> roles_by_name() {
  std::map<std::string, hawserRole_t> roles;
  for (int number = hawserRoleMember; number <= hawserRoleOperator; ++number) {
    const auto role = static_cast<hawserRole_t>(number);
    roles[hawserGetRoleName(role)] = role;
  }
  return roles;
}

}  // namespace

void add_keygen_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<KeygenArguments>();
  CLI::App* command = app.add_subcommand(
      "keygen", "Make the secret of a run, or with --issue a key for one who takes part in it without the secret");
  command->add_option("file", arguments->file, "To write, for its owner alone; it must not exist")->required();
  CLI::Option* const name = command->add_option("--issue", arguments->name, "Name of whom the key is for");
  CLI::Option* const secret =
      command->add_option("--secret-file", arguments->secret_file, "The run's secret, which signs");
  secret->needs(name);
  name->needs(secret);
  command->add_option("--role", arguments->role, "What its holder may be (default: member)")
      ->needs(name)
      ->transform(CLI::CheckedTransformer(roles_by_name()))
      ->option_text("member, newcomer, reader, observer or operator");
  command->add_option("--groups", arguments->groups, "That its holder may be in, ascending, as in 0,2 (default: all)")
      ->needs(name)
      ->delimiter(',');
  command->add_option("--days", arguments->days, "For which it is valid")
      ->capture_default_str()
      ->needs(name)
      ->check(CLI::Range(1, 3650));
  command->footer("Exit status: 0 if the file was made; 1 if not, and a sentence on stderr says why.");
  command->callback([arguments, name, &status] {
    status = name->count() > 0 ? issue(*arguments) : make_secret(*arguments);
  });
}
