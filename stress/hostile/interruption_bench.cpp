// Members reduce and synchronise while their connections to the master are reset and the master stands still: nobody is
// lost, and a step is longer only by what the master was away.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>

#include "churn/reporter.hpp"
#include "hostile/bench_lab.hpp"
#include "hostile/options.hpp"
#include "hostile/slices.hpp"
#include "hostile/stage.hpp"

namespace hawser::hostile {
namespace {

using churn::now_ns;
using churn::ReportLine;

constexpr std::uint64_t kUpMs = 30'000;
constexpr std::uint64_t kResetMs = 10'000;
constexpr std::uint64_t kBetweenResetsMs = 300;
constexpr std::uint64_t kQuietMs = 5'000;
constexpr std::uint64_t kStateBytes = 1 << 20;
/// Of a step, beyond the pause that lies in it.
constexpr double kBeyondPauseMs = 1000;

class InterruptionRun {
 public:
  explicit InterruptionRun(const InterruptionBenchOptions& options);
  bool run();

 private:
  struct MemberRecord {
    churn::ChildProcess* process = nullptr;
    std::vector<StepSpan> steps;
    std::uint64_t world = 0;
    std::uint64_t resets = 0;
  };

  void start_members();
  void heard(MemberRecord& member, const ReportLine& line);
  std::vector<std::string> at_host(wan::HostIndex host, std::vector<std::string> arguments) const;
  void reset_some();
  void pause(double seconds);
  StepSpan rest(std::uint64_t ms);
  bool row(const std::string& what, const StepSpan& span, double bound_ms);

  const InterruptionBenchOptions& options_;
  std::optional<BenchLab> lab_;
  Stage stage_;
  std::string master_;
  churn::ChildProcess* master_process_ = nullptr;
  std::vector<std::unique_ptr<MemberRecord>> members_;
  std::map<std::uint64_t, std::string> digests_;  ///< By revision of the shared state.
  std::map<std::string, std::uint64_t> errors_;
  std::string last_error_;
  std::uint32_t lost_ = 0;
  std::uint32_t unequal_ = 0;
  std::mt19937_64 random_{1};
  bool well_ = true;
};

InterruptionRun::InterruptionRun(const InterruptionBenchOptions& options) : options_(options), stage_(options.log) {
  if (!options.wan.empty()) lab_.emplace(BenchLab::of(options.wan));
}

/// On the loopback, all are at one.
std::vector<std::string> InterruptionRun::at_host(wan::HostIndex host, std::vector<std::string> arguments) const {
  if (lab_) arguments.insert(arguments.end(), {"--network", lab_->network(host % lab_->host_count())});
  return arguments;
}

void InterruptionRun::heard(MemberRecord& member, const ReportLine& line) {
  if (line.word() == "step") {
    const std::uint64_t end = line.number("t").value_or(0);
    member.steps.push_back({.begin_ns = end - line.number("took_us").value_or(0) * 1000, .end_ns = end});
    member.world = line.number("world").value_or(0);
  } else if (line.word() == "synced") {
    const auto [at, is_first] = digests_.emplace(line.number("revision").value_or(0), line.get("digest"));
    if (!is_first && at->second != line.get("digest")) ++unequal_;
  } else if (line.word() == "reset") {
    member.resets += line.number("count").value_or(0);
  } else if (line.word() == "lost" || line.word() == "error") {
    if (line.word() == "lost") ++lost_;
    ++errors_[std::string(line.get("kind"))];
    last_error_ = line.get("text");
  }
}

void InterruptionRun::start_members() {
  for (std::uint32_t i = 0; i < options_.members; ++i) {
    MemberRecord& member = *members_.emplace_back(std::make_unique<MemberRecord>());
    const std::string name = "member-" + std::to_string(i);
    std::vector<std::string> arguments{
        "member", "--master", master_, "--name", name, "--state-bytes", std::to_string(kStateBytes)};
    member.process =
        &stage_.start(name, at_host(i, arguments), [this, &member](const ReportLine& line) { heard(member, line); });
  }
  const auto sees_all = [&](const auto& one) { return one->world == options_.members; };
  if (!stage_.wait([&] { return std::ranges::all_of(members_, sees_all); }, kUpMs))
    throw std::runtime_error("the members did not come up");
  // What they were told before they were all there is none of this.
  errors_.clear();
  lost_ = 0;
}

StepSpan InterruptionRun::rest(std::uint64_t ms) {
  StepSpan span{.begin_ns = now_ns(), .end_ns = 0};
  stage_.rest(ms);
  span.end_ns = now_ns();
  return span;
}

bool InterruptionRun::row(const std::string& what, const StepSpan& span, double bound_ms) {
  double steps = 0;
  double longest_ms = 0;
  for (const auto& member : members_) {
    steps += steps_in(member->steps, span) / static_cast<double>(members_.size());
    longest_ms = std::max(longest_ms, longest_step_ms(member->steps, span));
  }
  const bool well = bound_ms == 0 || longest_ms <= bound_ms;
  const double seconds = static_cast<double>(span.end_ns - span.begin_ns) / 1e9;
  std::printf("%-22s %8.1f %10.1f %10.0f %6u  %s\n", what.c_str(), seconds, steps / seconds, longest_ms, lost_,
              well ? "" : "TOO LONG");
  std::fflush(stdout);
  return well;
}

void InterruptionRun::reset_some() {
  StepSpan span{.begin_ns = now_ns(), .end_ns = 0};
  std::uint32_t unheard = 0;
  for (std::uint32_t i = 0; i < options_.resets; ++i) {
    MemberRecord& member = *members_[random_() % members_.size()];
    const std::uint64_t before = member.resets;
    // Its connection may be the one that it has just lost.
    for (int tries = 0; tries < 50 && member.resets == before; ++tries) {
      member.process->tell("reset");
      (void)stage_.wait([&] { return member.resets > before; }, kResetMs / 50);
    }
    unheard += member.resets == before ? 1 : 0;
    stage_.rest(random_() % kBetweenResetsMs);
  }
  stage_.rest(kQuietMs);
  span.end_ns = now_ns();
  well_ = row(std::to_string(options_.resets - unheard) + " resets", span, kBeyondPauseMs) && unheard == 0 && well_;
}

void InterruptionRun::pause(double seconds) {
  StepSpan span{.begin_ns = now_ns(), .end_ns = 0};
  master_process_->signal(SIGSTOP);
  stage_.rest(static_cast<std::uint64_t>(seconds * 1000));
  master_process_->signal(SIGCONT);
  // The step that was under way has to end before it can be judged.
  stage_.rest(kQuietMs);
  span.end_ns = now_ns();
  char what[64];
  std::snprintf(what, sizeof what, "master still for %.0f s", seconds);
  well_ = row(what, span, seconds * 1000 + kBeyondPauseMs) && well_;
}

bool InterruptionRun::run() {
  const std::string host = lab_ ? lab_->address(0) : "127.0.0.1";
  master_ = stage_.start_listening("master", at_host(0, {"master", "--listen", host + ":0"}), &master_process_);
  start_members();
  (void)row("undisturbed", rest(kQuietMs), 0);
  if (options_.resets > 0) reset_some();
  for (const double seconds : options_.pauses_s) pause(seconds);
  (void)row("undisturbed", rest(kQuietMs), 0);
  std::printf("\nmembers lost: %u; errors of calls:", lost_);
  for (const auto& [kind, count] : errors_)
    std::printf(" %s %llu", kind.c_str(), static_cast<unsigned long long>(count));
  std::printf("%s; revisions synchronised: %zu, unequal digests: %u\n", errors_.empty() ? " none" : "", digests_.size(),
              unequal_);
  if (!last_error_.empty()) std::printf("    %s\n", last_error_.c_str());
  return well_ && errors_.empty() && unequal_ == 0 && digests_.size() > 1 && stage_.died() == 0;
}

}  // namespace

int run_interruption_bench(const InterruptionBenchOptions& options) {
  std::printf("%u members reduce 1 MiB of float32, synchronise 1 MiB and call update-topology in each step; %s\n\n",
              options.members, options.wan.empty() ? "loopback" : options.wan.c_str());
  std::printf("%-22s %8s %10s %10s %6s\n", "", "s", "steps/s", "longest", "lost");
  std::fflush(stdout);
  return InterruptionRun(options).run() ? 0 : 1;
}

}  // namespace hawser::hostile
