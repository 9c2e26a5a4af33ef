// hawser-wan: an emulated wide-area network between processes on this machine. One binary in several roles:
// the router starts itself again in each host's network.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "wan/commands.hpp"
#include "wan/host_process.hpp"
#include "wan/plain_lab.hpp"
#include "wan/probe_agent.hpp"

namespace hawser::wan {
namespace {

void add_lab(CLI::App& app, LabOptions& o) {
  app.add_option("spec", o.spec, "a name (see `list`) or a file")->required();
  app.add_option("--hosts", o.hosts, "as many hosts instead of the spec's number, in its proportions");
  app.add_option("--cc", o.congestion_control,
                 "TCP's congestion control in all hosts (default: the system's)");
  app.add_option("--seed", o.seed, "seed of losses, jitter and cut pairs, instead of the spec's");
  app.add_option("--missing", o.missing_percent, "cut so many of a hundred pairs, none of host 0")
      ->check(CLI::Range(0, 100));
}

void add_run(CLI::App& app, RunOptions& o) {
  add_lab(app, o.lab);
  app.add_option("--log-dir", o.log_dir, "also write each host's lines to DIR/host-N.log");
  app.add_option("--trace", o.recordings.trace,
                 "write what passed and waited at each access link in each 20 ms to FILE (CSV)");
  app.add_option("--capture", o.recordings.capture, "write every packet that a host sends to FILE (pcap)");
  app.add_option("--timeout", o.timeout_s, "seconds after which all commands are ended")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--first", o.first, "a shell command for host 0 instead of COMMAND");
  app.add_flag("--master", o.master,
               "run `hawser master` in host 0 beside its command; {master} is its address");
  app.add_option_function<std::vector<std::string>>(
         "--relay",
         [&o](const std::vector<std::string>& words) {
           o.relay = true;
           for (const std::string& word : words) o.relay_options += word + " ";
         },
         "run `hawser relay` in host 0 instead of its command; --relay=\"--mbit 1000\" gives it options")
      ->expected(0, 1)
      ->trigger_on_parse()
      ->needs(app.get_option("--master"));
  app.add_option("--hawser", o.hawser,
                 "the hawser binary for --master (default: beside hawser-wan, else on PATH)");
  app.add_flag("--stop-on-failure", o.stop_on_failure, "end all commands when one fails");
  app.footer(
      "COMMAND follows after --. In it {i}, {address}, {hosts}, {commands} and {master} are replaced; the environment "
      "has\n"
      "HAWSER_WAN_HOST, HAWSER_WAN_HOSTS, HAWSER_WAN_ADDRESS, HAWSER_WAN_ADDRESSES and HAWSER_WAN_MASTER.");
}

void add_exec(CLI::App& app, ExecOptions& o) {
  app.add_option("host", o.host, "number of the host, from 0")->required();
  app.add_option("--lab", o.lab_pid, "process id of the hawser-wan that runs the lab, if there are several");
  app.footer("COMMAND follows after --, e.g.: exec 0 -- hawser status {master}");
}

void add_check(CLI::App& app, CheckOptions& o) {
  add_lab(app, o.lab);
  app.add_flag("--all-pairs", o.all_pairs, "measure every pair, not one of each kind");
  app.add_option("--seconds", o.seconds, "per measurement, after its warm-up")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 600.0));
  app.add_option("--connections", o.connections, "flows of the measurements with several")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
}

void add_plan(CLI::App& app, PlanOptions& o) {
  add_lab(app, o.lab);
  app.add_option("--sizes", o.sizes, "bytes, several with commas; K, M and G are powers of 1024 (default 4K,1M,64M)")
      ->delimiter(',')
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40));
}

int dispatch(std::vector<std::string> arguments, std::vector<std::string> command) {
  CLI::App app{
      "A wide-area network on one machine: real kernel TCP between hosts in network namespaces, joined by a "
      "router with rates, queues, delays and losses. Needs root."};
  app.require_subcommand(1);
  RunOptions run;
  ExecOptions exec;
  CheckOptions check;
  LabOptions show;
  PlanOptions plan;
  HostProcessOptions host;
  CLI::App* run_app = app.add_subcommand("run", "run one COMMAND per host: run SPEC [options] -- COMMAND...");
  add_run(*run_app, run);
  CLI::App* exec_app = app.add_subcommand(
      "exec", "run one more COMMAND in a host of a lab that runs: exec HOST [options] -- COMMAND...");
  add_exec(*exec_app, exec);
  CLI::App* check_app = app.add_subcommand("check", "measure what TCP gets");
  add_check(*check_app, check);
  CLI::App* show_app = app.add_subcommand("show", "print a spec and the bounds that follow from it");
  add_lab(*show_app, show);
  CLI::App* plan_app = app.add_subcommand("plan", "print what the planner makes of a spec, all links known");
  add_plan(*plan_app, plan);
  CLI::App* list_app = app.add_subcommand("list", "print the specs that come with the tool");
  CLI::App* host_app = app.add_subcommand("host", "internal")->group("");
  host_app->add_option("--net", host.name_space)->required();
  host_app->add_option("--parent", host.parent_pid)->required();
  host_app->add_option("--env", host.environment)->allow_extra_args(false)->expected(1)->take_all();
  host_app->add_flag("--no-input", host.no_input);
  CLI::App* agent_app = app.add_subcommand("agent", "internal")->group("");
  try {
    std::ranges::reverse(arguments);  // As CLI11 wants them.
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;  // --help is no error.
  }
  if ((run_app->parsed() || exec_app->parsed() || host_app->parsed()) == command.empty()) {
    std::fprintf(stderr, command.empty() ? "hawser-wan: no command after --\n"
                                         : "hawser-wan: only run and exec take a command after --\n");
    return kExitUsage;
  }
  if (host_app->parsed()) {
    host.command = std::move(command);
    return run_host_process(host);
  }
  if (agent_app->parsed()) return run_probe_agent();
  if (exec_app->parsed()) {
    exec.command = std::move(command);
    return exec_in_host(exec);
  }
  run.command = std::move(command);
  if (run_app->parsed()) return run_commands(run);
  if (check_app->parsed()) return check_lab(check);
  if (plan_app->parsed()) return show_plans(plan);
  if (list_app->parsed()) return list_specs();
  return show_spec(show);
}

}  // namespace
}  // namespace hawser::wan

int main(int argc, char** argv) {
  // What comes after -- is the command's and no option of ours.
  char** const end = argv + argc;
  char** const dashes = std::find(argv + 1, end, std::string_view("--"));
  hawser::allow_plain_in_lab();
  try {
    return hawser::wan::dispatch({argv + 1, dashes}, {dashes == end ? end : dashes + 1, end});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hawser-wan: %s\n", e.what());
    return 70;
  }
}
