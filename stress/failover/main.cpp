/// hawser-failover: masters whose lease an etcd gives, all of them real processes, which are killed and stopped. It
/// prints how long the members waited for their next result.
#include <hawser_status.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "failover/child.hpp"
#include "failover/members.hpp"

namespace hawser::failover {
namespace {

/// Nothing here lasts that long, also on a machine that does much else.
constexpr std::chrono::seconds kBound{120};
/// A master answers one host four times a second, and other masters ask it, too.
constexpr std::chrono::milliseconds kAskedEvery{500};
constexpr int kSkipped = 77;

struct Options {
  std::string tool;
  std::string what = "all";
  int rounds = 1;
  std::size_t members = 3;
  std::size_t masters = 2;
  std::vector<std::string> master_options;
};

/// Asks until it is so.
void wait_until(const std::string& what, const std::function<bool()>& is_so) {
  for (const auto end = Clock::now() + kBound; !is_so(); std::this_thread::sleep_for(kAskedEvery))
    if (Clock::now() > end)
      throw std::runtime_error("within " + std::to_string(kBound.count()) + " s it was not so that " + what);
}

long long ms_since(Clock::time_point since, Clock::time_point until) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(until - since).count();
}

class Etcd {
 public:
  explicit Etcd(const std::string& folder)
      : folder_(folder),
        clients_("127.0.0.1:" + std::to_string(free_port())),
        peers_("http://127.0.0.1:" + std::to_string(free_port())) {
    start();
  }
  void start() {
    child_ = std::make_unique<Child>(
        std::vector<std::string>{"etcd", "--name", "one", "--data-dir", folder_ + "/etcd", "--listen-client-urls",
                                 "http://" + clients_, "--advertise-client-urls", "http://" + clients_,
                                 "--listen-peer-urls", peers_, "--initial-advertise-peer-urls", peers_,
                                 "--initial-cluster", "one=" + peers_},
        folder_ + "/etcd.log");
  }
  void kill() { child_.reset(); }
  std::string lease() const { return "etcd://" + clients_ + "/test"; }

 private:
  std::string folder_;
  std::string clients_;
  std::string peers_;
  std::unique_ptr<Child> child_;
};

/// The masters of one run.
class Masters {
 public:
  Masters(const Options& options, const std::string& folder, std::string lease)
      : options_(options), folder_(folder), lease_(std::move(lease)) {
    for (std::size_t i = 0; i < options.masters; ++i) {
      addresses_.push_back("127.0.0.1:" + std::to_string(free_port()));
      list_ += (i == 0 ? "" : ",") + addresses_.back();
    }
    children_.resize(options.masters);
    for (std::size_t i = 0; i < options.masters; ++i) start(i);
  }
  void start(std::size_t which) {
    std::vector<std::string> command{options_.tool, "master",    "--listen", addresses_[which], "--masters",
                                     list_,         "--lease",   lease_,     "--recovery-ms",   "20000"};
    command.insert(command.end(), options_.master_options.begin(), options_.master_options.end());
    children_[which] = std::make_unique<Child>(command, log_of(which));
  }
  const std::string& list() const { return list_; }
  std::string log_of(std::size_t which) const { return folder_ + "/master" + std::to_string(which) + ".log"; }
  std::size_t count() const { return children_.size(); }
  Child& child(std::size_t which) { return *children_[which]; }

  struct Answer {
    bool serves = false;
    std::uint64_t term = 0;
    std::string waits;
  };
  /// None: it does not answer.
  std::optional<Answer> ask(std::size_t which) const {
    hawserStatus_t status = nullptr;
    if (hawserStatusQuery(addresses_[which].c_str(), 2000, &status) != hawserSuccess) return std::nullopt;
    hawserStatusInfo_t run = HAWSER_STATUS_INFO_INIT;
    std::optional<Answer> answer;
    if (hawserStatusGetInfo(status, &run) == hawserSuccess)
      answer = Answer{.serves = run.standby == 0, .term = run.term, .waits = run.waits};
    (void)hawserStatusDestroy(status);
    return answer;
  }
  std::size_t that_serves() const {
    std::size_t found = 0;
    wait_until("a master serves", [&] {
      for (found = 0; found < count(); ++found)
        if (const auto answer = ask(found); answer && answer->serves) return true;
      return false;
    });
    return found;
  }

 private:
  const Options& options_;
  std::string folder_;
  std::string lease_;
  std::string list_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Child>> children_;
};

/// SIGKILL to the master that serves: the next result of all members.
void kill_one(const Options& options, Masters& masters, Members& members) {
  std::vector<long long> waits;
  for (int round = 1; round <= options.rounds; ++round) {
    const std::size_t active = masters.that_serves();
    const std::uint64_t before = members.term();
    const auto killed = Clock::now();
    masters.child(active).kill();
    waits.push_back(ms_since(killed, members.all_reduced_since(killed, kBound)));
    // That may be one of the former view: the next is not.
    (void)members.all_reduced_since(Clock::now(), kBound);
    std::printf("active master killed: next commit after %lld ms (round %d of %d, term %llu, then %llu)\n",
                waits.back(), round, options.rounds, static_cast<unsigned long long>(before),
                static_cast<unsigned long long>(members.term()));
    std::fflush(stdout);
    if (members.term() <= before) throw std::runtime_error("the term has not grown");
    masters.start(active);
    wait_until("the killed master is back", [&] { return masters.ask(active).has_value(); });
  }
  std::sort(waits.begin(), waits.end());
  std::printf("active master killed: median %lld ms, longest %lld ms, of %zu\n", waits[waits.size() / 2], waits.back(),
              waits.size());
}

/// SIGTERM: it gives its lease up.
void end_one(Masters& masters, Members& members) {
  const std::size_t active = masters.that_serves();
  const auto ended = Clock::now();
  masters.child(active).end();
  std::printf("active master ended by SIGTERM: next commit after %lld ms\n",
              ms_since(ended, members.all_reduced_since(ended, kBound)));
  masters.start(active);
  wait_until("the master is back", [&] { return masters.ask(active).has_value(); });
}

/// One that is stopped past its lease, and goes on: what it says then changes nothing.
void stop_one(Masters& masters, Members& members) {
  const std::size_t active = masters.that_serves();
  const std::uint64_t before = members.term();
  const auto stopped = Clock::now();
  masters.child(active).stop();
  const auto next = members.all_reduced_since(stopped, kBound);
  std::printf("active master stopped: next commit after %lld ms\n", ms_since(stopped, next));
  (void)members.all_reduced_since(Clock::now(), kBound);
  const std::uint64_t after = members.term();
  if (after <= before) throw std::runtime_error("the term has not grown");
  masters.child(active).go_on();
  wait_until("the master that was stopped serves no more", [&] {
    const auto answer = masters.ask(active);
    return answer && (!answer->serves || answer->term > before);
  });
  (void)members.all_reduced_since(Clock::now(), kBound);
  if (members.term() < after) throw std::runtime_error("the members have heard a superseded master");
  std::printf("active master goes on: it stands by, and the run is at term %llu\n",
              static_cast<unsigned long long>(members.term()));
}

/// Without the etcd nobody serves; with it the run goes on.
void restart_etcd(Etcd& etcd, Masters& masters, Members& members) {
  const std::size_t active = masters.that_serves();
  const auto killed = Clock::now();
  etcd.kill();
  Masters::Answer answer;
  wait_until("the master serves no more without etcd", [&] {
    const auto said = masters.ask(active);
    if (said) answer = *said;
    return said && !said->serves && said->waits.find("etcd") != std::string::npos;
  });
  std::printf("etcd killed: the active master stood by after %lld ms: %s\n", ms_since(killed, Clock::now()),
              answer.waits.c_str());
  const auto back = Clock::now();
  etcd.start();
  const auto next = members.all_reduced_since(back, kBound);
  std::printf("etcd back: next commit after %lld ms, term %llu\n", ms_since(back, next),
              static_cast<unsigned long long>(members.term()));
}

int run(const Options& options) {
  if (::system("command -v etcd >/dev/null") != 0) {
    std::printf("skipped: there is no etcd on this machine (tools/install_deps.sh --tests)\n");
    return kSkipped;
  }
  const ScratchFolder folder;
  Etcd etcd(folder.path());
  Masters masters(options, folder.path(), etcd.lease());
  try {
    Members members(masters.list(), options.members);
    (void)members.all_reduced_since(Clock::now(), kBound);
    const auto wants = [&](const char* one) { return options.what == "all" || options.what == one; };
    if (wants("kill")) kill_one(options, masters, members);
    if (wants("end")) end_one(masters, members);
    if (wants("stop")) stop_one(masters, members);
    if (wants("etcd")) restart_etcd(etcd, masters, members);
    return 0;
  } catch (const std::exception& error) {
    std::printf("failed: %s\n", error.what());
    for (std::size_t i = 0; i < masters.count(); ++i) {
      std::ifstream log(masters.log_of(i));
      std::printf("---- master %zu said:\n", i);
      for (std::string line; std::getline(log, line);) std::printf("%s\n", line.c_str());
    }
    return 1;
  }
}

}  // namespace
}  // namespace hawser::failover

int main(int count, char** arguments) {
  hawser::failover::Options options;
  options.tool = std::filesystem::canonical("/proc/self/exe").parent_path() / "hawser";
  CLI::App app("Kill and stop masters that hold a lease of an etcd, and see how long their members wait");
  app.add_option("what", options.what, "kill, end, stop, etcd, or all of these")
      ->check(CLI::IsMember({"kill", "end", "stop", "etcd", "all"}))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "Masters that are killed, one after the other")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--members", options.members, "Members of the run")->check(CLI::Range(2, 64))->capture_default_str();
  app.add_option("--masters", options.masters, "Masters of the run")->check(CLI::Range(2, 8))->capture_default_str();
  app.add_option("--hawser", options.tool, "The command that masters are started with")->capture_default_str();
  app.add_option("--master-option", options.master_options, "One more option of each master, as in --log-level=debug");
  CLI11_PARSE(app, count, arguments);
  // Masters and etcd may write to nobody.
  ::signal(SIGPIPE, SIG_IGN);
  try {
    return hawser::failover::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hawser-failover: %s\n", error.what());
    return 1;
  }
}
