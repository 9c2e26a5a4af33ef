#include "master_command.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "hawser.h"
#include "log_level_option.hpp"

namespace {

struct MasterArguments {
  std::string listen = ":48500";
  std::string secret_file;
  std::string rules_file;
  std::string masters;
  bool standby = false;
  std::string lease;
  std::string lease_ca;
  std::string lease_cert;
  std::string lease_key;
  bool insecure = false;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  hawserLogLevel_t log_level = hawserLogNotice;
};

int complain_of(const char* what, hawserResult_t result) {
  std::fprintf(stderr, "hawser master: %s: %s\n", what,
               result == hawserSuccess ? "no further reason" : hawserGetLastError());
  return 1;
}

/// Where it listens, and over what: one who dials an IPv6 address in vain should see why.
std::string place_in_words(const std::string& asked, const std::string& address) {
  if (asked.starts_with(':') && !address.starts_with("0.0.0.0:"))
    return "port " + address.substr(address.rfind(':') + 1) +
           " of this machine only (127.0.0.1 and ::1): it has no secret_file";
  if (asked.starts_with(':'))
    return "port " + address.substr(address.rfind(':') + 1) +
           " of all interfaces (IPv4 and IPv6, as far as this host has them)";
  if (address.starts_with("0.0.0.0:")) return address + " (all interfaces, IPv4 only)";
  if (address.starts_with("[::]:")) return address + " (all interfaces, IPv6 only)";
  return address;
}

/// A master may have thousands of connections, and the soft limit of open files is often 1024, for the sake of programs
/// that use select(). This one does not. Where the limit cannot be raised it stays.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(MasterArguments& arguments) {
  raise_descriptor_limit();
  // Every thread inherits this: signals wait until the one thread below takes them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  (void)hawserSetLogLevel(arguments.log_level);
  arguments.config.listen = arguments.listen.c_str();
  if (!arguments.secret_file.empty()) arguments.config.secret_file = arguments.secret_file.c_str();
  if (!arguments.rules_file.empty()) arguments.config.rules_file = arguments.rules_file.c_str();
  if (!arguments.masters.empty()) arguments.config.masters = arguments.masters.c_str();
  if (!arguments.lease.empty()) arguments.config.lease = arguments.lease.c_str();
  if (!arguments.lease_ca.empty()) arguments.config.lease_ca = arguments.lease_ca.c_str();
  if (!arguments.lease_cert.empty()) arguments.config.lease_cert = arguments.lease_cert.c_str();
  if (!arguments.lease_key.empty()) arguments.config.lease_key = arguments.lease_key.c_str();
  arguments.config.standby = arguments.standby ? 1 : 0;
  arguments.config.insecure = arguments.insecure ? 1 : 0;
  hawserMaster_t master = nullptr;
  if (const auto result = hawserMasterCreate(&arguments.config, &master); result != hawserSuccess)
    return complain_of("cannot start", result);
  std::array<char, HAWSER_ADDRESS_BYTES> address{};
  (void)hawserMasterGetAddress(master, address.data(), address.size());
  std::printf("listening on %s\n", place_in_words(arguments.listen, address.data()).c_str());
  std::fflush(stdout);

  std::atomic<bool> was_asked = false;
  std::thread ender([&] {
    int signal = 0;
    sigwait(&ending, &signal);
    was_asked = true;
    (void)hawserMasterStop(master);
  });
  const hawserResult_t result = hawserMasterRun(master);
  int status = 0;
  // A signal may come before the master runs: then it does not begin.
  if (result != hawserSuccess && !was_asked) {
    status = complain_of("stopped", result);
    // Nobody sent a signal: the thread waits for one still.
    pthread_kill(ender.native_handle(), SIGTERM);
  }
  ender.join();
  (void)hawserMasterDestroy(master);
  return status;
}

}  // namespace

void add_master_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<MasterArguments>();
  CLI::App* command = app.add_subcommand("master", "Run the master of a training run: it knows who is a member");
  hawserMasterConfig_t& config = arguments->config;
  command
      ->add_option("--listen", arguments->listen,
                   "ADDR:PORT, or :PORT for all interfaces, IPv4 and IPv6; port 0 takes any free port")
      ->capture_default_str();
  command->add_option(
      "--secret-file", arguments->secret_file,
      "The run's secret (hawser keygen FILE), or an operator's key (default: HAWSER_SECRET_FILE); without "
      "one it listens on this machine only");
  command->add_option("--rules-file", arguments->rules_file,
                      "Whom to admit; bans and other changes by operators are kept there");
  CLI::Option* const masters = command->add_option(
      "--masters", arguments->masters,
      "All masters of the run, HOST:PORT,HOST:PORT, as the peers have them: one serves it, the others stand by");
  command
      ->add_flag("--standby", arguments->standby,
                 "Take the run over when more than half of its members come to this master; begin none")
      ->needs(masters);
  CLI::Option* const lease =
      command
          ->add_option("--lease", arguments->lease,
                       "etcd://HOST:PORT,HOST:PORT/NAME, or etcds:// for TLS: whoever of the masters holds this lease "
                       "serves the run, also with fewer than half of its members")
          ->needs(masters);
  command
      ->add_option("--lease-ca", arguments->lease_ca, "Who signs the certificate of the etcd (default: the system's)")
      ->needs(lease);
  command->add_option("--lease-cert", arguments->lease_cert, "The certificate that this master shows to the etcd")
      ->needs(lease);
  command->add_option("--lease-key", arguments->lease_key, "The key of that certificate")->needs(lease);
  command->add_flag("--insecure", arguments->insecure,
                    "Without a key listen to other machines all the same, to whoever comes (also HAWSER_INSECURE=1)");
  command->add_option("--silence-ms", config.silence_ms,
                      "A member that is silent for so long is lost (default 5000)");
  command->add_option("--stall-ms", config.stall_ms,
                      "A member that others wait for, without progress for so long, is lost (default 6000)");
  command->add_option("--call-wait-ms", config.call_wait_ms,
                      "How long members wait for a member that is alive and does not call (default 600000)");
  command->add_option("--recovery-ms", config.recovery_ms,
                      "How long a member may be away, and a restarted master waits for all (default 5000)");
  command->add_option("--bootstrap-ms", config.bootstrap_ms,
                      "How long a fresh master collects peers before it forms the first view (default 1000)");
  command->add_option("--link-open-ms", config.link_open_ms,
                      "A newcomer without links to all members after so long is refused (default 10000)");
  command->add_option("--connections-max", config.connections_max, "Connections that it holds at once (default 4096)");
  const std::map<std::string, std::uint32_t> policies{{"report", hawserStragglerReport},
                                                      {"expel", hawserStragglerExpel}};
  command
      ->add_option("--straggler-policy", config.straggler_policy,
                   "What happens to a member whose slow links hold up a collective: report or expel (default report)")
      ->transform(CLI::CheckedTransformer(policies, CLI::ignore_case));
  command->add_option("--straggler-ms", config.straggler_ms,
                      "How long it must hold up a collective before that (default 10000)");
  command
      ->add_option("--straggler-ratio", config.straggler_ratio,
                   "A link is slow below this part of what it delivered before (default 0.25)")
      ->check(CLI::Range(0.0, 1.0));
  add_log_level(*command, arguments->log_level);
  command->callback([arguments, &status] { status = serve(*arguments); });
}
