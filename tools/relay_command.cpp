#include "relay_command.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hawser.h"
#include "log_level_option.hpp"

namespace {

constexpr std::chrono::milliseconds kPauseFirst{500};
constexpr std::chrono::milliseconds kPauseMax{30'000};

struct RelayArguments {
  std::string master;
  std::string name;
  std::string listen;
  std::string advertise;
  std::string secret_file;
  bool insecure = false;
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  hawserLogLevel_t log_level = hawserLogNotice;
};

/// Ends what blocks in the communicator when a signal comes.
class Ender {
 public:
  Ender() {
    // Every thread inherits this: signals wait until this one thread takes them.
    sigemptyset(&ending_);
    sigaddset(&ending_, SIGTERM);
    sigaddset(&ending_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending_, nullptr);
  }
  void watch(hawserComm_t comm) {
    thread_ = std::thread([this, comm] {
      int signal = 0;
      sigwait(&ending_, &signal);
      {
        const std::lock_guard lock(mutex_);
        was_asked_ = true;
      }
      asked_.notify_all();
      (void)hawserCommClose(comm);
    });
  }
  /// True if it is to end.
  bool wait(std::chrono::milliseconds pause) {
    std::unique_lock lock(mutex_);
    return asked_.wait_for(lock, pause, [this] { return was_asked_; });
  }
  bool was_asked() {
    const std::lock_guard lock(mutex_);
    return was_asked_;
  }
  void join() {
    if (!was_asked()) pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }

 private:
  sigset_t ending_{};
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable asked_;
  bool was_asked_ = false;
};

/// While it is in a view; returns why it is no more.
hawserResult_t stay(hawserComm_t comm) {
  for (;;) {
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    if (const auto result = hawserCommGetInfo(comm, &info); result != hawserSuccess) return result;
    std::printf("adds for %u members of group %u, at epoch %llu\n", info.group_size, info.group,
                static_cast<unsigned long long>(info.epoch));
    std::fflush(stdout);
    hawserWaitOptions_t wish = HAWSER_WAIT_OPTIONS_INIT;
    wish.epoch = info.epoch;
    wish.timeout_ms = UINT32_MAX;
    std::uint32_t met = 0;
    if (const auto result = hawserCommWait(comm, &wish, &met); result != hawserSuccess) return result;
  }
}

int relay(RelayArguments& arguments) {
  Ender ender;
  (void)hawserSetLogLevel(arguments.log_level);
  hawserCommConfig_t& config = arguments.config;
  const auto text = [](const std::string& from) { return from.empty() ? nullptr : from.c_str(); };
  config.master = arguments.master.c_str();
  config.name = text(arguments.name);
  config.listen_address = text(arguments.listen);
  config.advertise_address = text(arguments.advertise);
  config.secret_file = text(arguments.secret_file);
  config.insecure = arguments.insecure ? 1 : 0;
  config.port_first = arguments.port_first;
  config.port_last = arguments.port_last;
  config.relay = 1;
  hawserComm_t comm = nullptr;
  if (hawserCommCreate(&config, &comm) != hawserSuccess) {
    std::fprintf(stderr, "hawser relay: cannot start: %s\n", hawserGetLastError());
    return 1;
  }
  ender.watch(comm);
  std::chrono::milliseconds pause = kPauseFirst;
  int status = 0;
  while (!ender.was_asked()) {
    std::printf("waits until the members of %s admit it\n", arguments.master.c_str());
    std::fflush(stdout);
    hawserResult_t result = hawserCommConnect(comm);
    if (result == hawserSuccess) {
      pause = kPauseFirst;
      result = stay(comm);
    }
    if (ender.was_asked()) break;
    std::fprintf(stderr, "hawser relay: out of the run: %s\n", hawserGetLastError());
    if (result == hawserErrorInvalidArgument || result == hawserErrorInvalidUsage) {
      status = 1;
      break;
    }
    std::fprintf(stderr, "hawser relay: connects again in %lld ms\n", static_cast<long long>(pause.count()));
    if (ender.wait(pause)) break;
    pause = std::min(2 * pause, kPauseMax);
  }
  ender.join();
  (void)hawserCommDestroy(comm);
  return status;
}

}  // namespace

void add_relay_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<RelayArguments>();
  CLI::App* command = app.add_subcommand(
      "relay", "Run a relay: it adds the members' tensors, so that each member sends and receives them once only");
  hawserCommConfig_t& config = arguments->config;
  command->add_option("--master", arguments->master, "HOST:PORT of the run's master, or a list of them")->required();
  command->add_option("--group", config.group, "Whose members it adds for (default 0)");
  command->add_option("--name", arguments->name, "As others are told (default: the host and the process)");
  command->add_option("--mbit", config.relay_mbit,
                      "What it offers in each direction, in Mbit/s; without it plans find out by doubling");
  command->add_option("--memory-mib", config.relay_memory_mib,
                      "What the sums of all calls together take at most (default 256)");
  command->add_option("--listen", arguments->listen, "Address to listen on (default: all interfaces)");
  command->add_option("--advertise", arguments->advertise, "HOST or HOST:PORT by which members reach it");
  command->add_option("--port-first", arguments->port_first, "Ports to listen on: the first free one from here");
  command->add_option("--port-last", arguments->port_last, "to here");
  command->add_option("--secret-file", arguments->secret_file,
                      "The run's secret, or a member's key (default: HAWSER_SECRET_FILE)");
  command->add_flag("--insecure", arguments->insecure,
                    "Without a key reach other machines all the same (also HAWSER_INSECURE=1)");
  add_log_level(*command, arguments->log_level);
  command->callback([arguments, &status] { status = relay(*arguments); });
}
