#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "wan/command_group.hpp"
#include "wan/commands.hpp"

namespace hawser::wan {
namespace {

constexpr std::uint64_t kGraceMs = 5000;
constexpr std::uint64_t kMasterStartMs = 20'000;

class Run {
 public:
  Run(const RunOptions& options, Lab& lab)
      : options_(options), lab_(lab), words_(words_of(lab.addresses())), group_(lab) {}
  int execute();

 private:
  bool start_master();
  void start_relay();
  void start_commands();
  void start(HostIndex host, std::vector<std::string> arguments);
  bool over() const;
  std::vector<std::string> environment_with_master(HostIndex host) const;
  std::string master_binary() const;
  void print(std::FILE* to, const std::string& label, std::string_view line);

  const RunOptions& options_;
  Lab& lab_;
  std::vector<HostWords> words_;
  std::map<std::string, std::ofstream> logs_;
  CommandGroup group_;
  std::uint32_t running_ = 0;
  int worst_ = 0;
  bool master_listens_ = false;
  bool master_ended_ = false;
  bool ending_ = false;
};

std::string name_of(HostIndex host) { return "host-" + std::to_string(host); }

int status_of(const churn::ChildEnd& end) {
  return end.signal != 0 ? 128 + end.signal : static_cast<int>(end.status);
}

void Run::print(std::FILE* to, const std::string& label, std::string_view line) {
  std::fprintf(to, "[%s] %.*s\n", label.c_str(), static_cast<int>(line.size()), line.data());
  std::fflush(to);
  if (const auto log = logs_.find(label); log != logs_.end()) log->second << line << std::endl;
}

std::vector<std::string> Run::environment_with_master(HostIndex host) const {
  std::vector<std::string> environment = environment_of(words_, host);
  if (options_.master) environment.push_back("HAWSER_WAN_MASTER=" + master_address(words_, host));
  return environment;
}

std::string Run::master_binary() const {
  if (!options_.hawser.empty()) return options_.hawser;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "hawser";
  return std::filesystem::exists(beside) ? beside.string() : "hawser";
}

// Nobody is started before it listens: `hawser master` prints one line when it does.
bool Run::start_master() {
  churn::ChildProcess::Callbacks callbacks;
  callbacks.on_line = [this](std::string_view line) {
    master_listens_ = master_listens_ || line.starts_with("listening on ");
    print(stdout, "master", line);
  };
  callbacks.on_error_line = [this](std::string_view line) { print(stderr, "master", line); };
  callbacks.on_end = [this](const churn::ChildEnd& end) {
    master_ended_ = true;
    if (running_ == 0 || ending_) return;
    std::fprintf(stderr, "hawser-wan: the master ended with status %d before the hosts' commands\n",
                 status_of(end));
    worst_ = std::max({worst_, status_of(end), 1});
  };
  group_.start({.host = 0,
                .arguments = {master_binary(), "master", "--listen", master_address(words_, 0)},
                .environment = environment_with_master(0)},
               callbacks);
  group_.wait([this] { return master_listens_ || master_ended_ || group_.interrupted(); }, kMasterStartMs);
  if (!master_listens_)
    std::fprintf(stderr, "hawser-wan: the master (%s) did not start\n", master_binary().c_str());
  return master_listens_;
}

/// It ends with the run, as the master does.
void Run::start_relay() {
  churn::ChildProcess::Callbacks callbacks;
  callbacks.on_line = [this](std::string_view line) { print(stdout, "relay", line); };
  callbacks.on_error_line = [this](std::string_view line) { print(stderr, "relay", line); };
  callbacks.on_end = [this](const churn::ChildEnd& end) {
    if (running_ == 0 || ending_) return;
    std::fprintf(stderr, "hawser-wan: the relay ended with status %d before the hosts' commands\n", status_of(end));
    worst_ = std::max({worst_, status_of(end), 1});
  };
  std::vector<std::string> arguments{master_binary(), "relay",   "--master", master_address(words_, 0),
                                     "--listen",      words_[0].inside};
  std::istringstream options(options_.relay_options);
  for (std::string word; options >> word;) arguments.push_back(word);
  group_.start({.host = 0,
                .arguments = std::move(arguments),
                .environment = environment_with_master(0)},
               callbacks);
}

void Run::start(HostIndex host, std::vector<std::string> arguments) {
  const std::string label = name_of(host);
  churn::ChildProcess::Callbacks callbacks;
  callbacks.on_line = [this, label](std::string_view line) { print(stdout, label, line); };
  callbacks.on_error_line = [this, label](std::string_view line) { print(stderr, label, line); };
  callbacks.on_unended_line = callbacks.on_line;
  callbacks.on_end = [this, label](const churn::ChildEnd& end) {
    --running_;
    const int status = status_of(end);
    worst_ = std::max(worst_, status);
    if (status != 0)
      std::fprintf(stderr, "hawser-wan: the command of %s ended with status %d\n", label.c_str(), status);
  };
  ++running_;
  group_.start({.host = host, .arguments = std::move(arguments), .environment = environment_with_master(host)},
               callbacks);
}

void Run::start_commands() {
  const HostIndex hosts = lab_.spec().host_count();
  if (options_.relay) start_relay();
  const HostIndex begin = options_.relay ? 1 : 0;
  for (HostIndex host = begin; host < hosts; ++host) {
    const bool is_first = host == 0 && !options_.first.empty();
    start(host, is_first ? std::vector<std::string>{"/bin/sh", "-c", options_.first}
                         : filled_in(options_.command, words_, host, hosts - begin));
  }
}

bool Run::over() const {
  return running_ == 0 || group_.interrupted() || (options_.master && master_ended_) ||
         (options_.stop_on_failure && worst_ != 0);
}

int Run::execute() {
  if (!options_.log_dir.empty()) {
    std::filesystem::create_directories(options_.log_dir);
    for (HostIndex host = 0; host <= lab_.spec().host_count(); ++host) {
      const std::string label = host == lab_.spec().host_count() ? "master" : name_of(host);
      if (label == "master" && !options_.master) continue;
      const auto path = std::filesystem::path(options_.log_dir) / (label + ".log");
      if (!(logs_[label] = std::ofstream(path))) throw std::runtime_error("cannot write " + path.string());
    }
  }
  if (options_.master && !start_master()) return 1;
  start_commands();
  const bool in_time = group_.wait([this] { return over(); }, options_.timeout_s * 1000);
  if (!in_time) {
    std::fprintf(stderr, "hawser-wan: %u commands still run after %llu s; they are ended now\n", running_,
                 static_cast<unsigned long long>(options_.timeout_s));
    worst_ = std::max(worst_, kExitTimeout);
  }
  if (group_.interrupted()) worst_ = std::max(worst_, 130);
  ending_ = true;
  group_.end_all(kGraceMs);
  return worst_;
}

}  // namespace

int run_commands(const RunOptions& options) {
  const auto spec = spec_of(options.lab);
  if (!spec) return kExitUsage;
  auto lab = Lab::make(*spec, options.lab.congestion_control, options.recordings);
  if (!lab) return exit_of(lab.error());
  const int status = Run(options, **lab).execute();
  (*lab)->stop_and_report();
  return status;
}

}  // namespace hawser::wan
