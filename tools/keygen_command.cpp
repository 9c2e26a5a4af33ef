#include "keygen_command.hpp"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "trust/badge_text.hpp"
#include "trust/identity.hpp"
#include "trust/private_file.hpp"
#include "trust/tls_context.hpp"

namespace {

using hawser::Error;
using hawser::Result;
namespace trust = hawser::trust;

struct KeygenArguments {
  std::string file;
  std::string name;  ///< Of whom a key is issued to; empty: a run's secret is made.
  std::string secret_file;
  std::string role = "member";
  std::string groups;
  std::uint32_t days = 30;
};

int complain(const Error& error) {
  std::fprintf(stderr, "hawser keygen: %s\n", error.sentence.c_str());
  return 1;
}

int make_secret(const KeygenArguments& arguments) {
  const auto secret = trust::RunSecret::draw();
  if (!secret.ok()) return complain(secret.error());
  const auto identity = trust::Identity::of_secret(*secret, trust::unix_time_now());
  if (!identity.ok()) return complain(identity.error());
  const auto written = trust::write_private_file(arguments.file, secret->text());
  if (!written.ok()) return complain(written.error());
  std::printf("%s holds the secret of run %s; whoever has it can do everything there\n", arguments.file.c_str(),
              identity->run().c_str());
  return 0;
}

Result<trust::IssueOrder> order_of(const KeygenArguments& arguments) {
  trust::IssueOrder order{.name = arguments.name, .days = arguments.days};
  const auto role = hawser::parse_role(arguments.role);
  if (!role) return Error{hawser::Status::invalid_argument, "there is no role \"" + arguments.role + "\""};
  order.role = *role;
  if (arguments.groups.empty()) return order;
  const auto groups = trust::parse_groups(arguments.groups);
  if (!groups)
    return Error{hawser::Status::invalid_argument,
                 "--groups must be numbers in ascending order with commas, as in 0,2; it is \"" + arguments.groups +
                     "\""};
  order.groups = *groups;
  return order;
}

int issue(const KeygenArguments& arguments) {
  const auto order = order_of(arguments);
  if (!order.ok()) return complain(order.error());
  const auto secret = trust::load_run_secret(arguments.secret_file);
  if (!secret.ok()) return complain(secret.error());
  const auto now_unix_s = trust::unix_time_now();
  const auto content = trust::issue_key(*secret, *order, now_unix_s);
  if (!content.ok()) return complain(content.error());
  const auto identity = trust::Identity::parse(*content, now_unix_s);
  if (!identity.ok()) return complain(identity.error());
  const auto written = trust::write_private_file(arguments.file, *content);
  if (!written.ok()) return complain(written.error());
  std::printf("%s holds a key of run %s for %s, role %s, groups %s, valid for %u days: %s\n", arguments.file.c_str(),
              identity->run().c_str(), arguments.name.c_str(), arguments.role.c_str(),
              arguments.groups.empty() ? "all" : arguments.groups.c_str(), arguments.days,
              to_string(identity->badge().key).c_str());
  return 0;
}

}  // namespace

void add_keygen_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<KeygenArguments>();
  CLI::App* command = app.add_subcommand(
      "keygen", "Make the secret of a run, or with --issue a key for one who takes part in it without the secret");
  command->add_option("file", arguments->file, "To write, for its owner alone; it must not exist")->required();
  CLI::Option* const name = command->add_option("--issue", arguments->name, "Name of whom the key is for");
  CLI::Option* const secret =
      command->add_option("--secret-file", arguments->secret_file, "The run's secret, which signs the key");
  secret->needs(name);
  name->needs(secret);
  command->add_option("--role", arguments->role, "What its holder may be")
      ->capture_default_str()
      ->needs(name)
      ->check(CLI::IsMember({"member", "newcomer", "reader", "observer", "operator"}));
  command->add_option("--groups", arguments->groups, "That its holder may be in, as in 0,2 (default: all)")
      ->needs(name);
  command->add_option("--days", arguments->days, "For which it is valid")
      ->capture_default_str()
      ->needs(name)
      ->check(CLI::Range(1, 3650));
  command->footer("Exit status: 0 if the file was made; 1 if not, and a sentence on stderr says why.");
  command->callback([arguments, name, &status] {
    status = name->count() > 0 ? issue(*arguments) : make_secret(*arguments);
  });
}
