// Members that go on, and strangers that flood their master: what one costs the other. Each flood takes turns with the
// same flood aimed at a port of the master's machine that discards everything, so that what both cost the machine
// cancels out.

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>

#include "churn/given_secret.hpp"
#include "churn/reporter.hpp"
#include "hostile/bench_lab.hpp"
#include "hostile/flood_cases.hpp"
#include "hostile/flood_messages.hpp"
#include "hostile/options.hpp"
#include "hostile/scratch_folder.hpp"
#include "hostile/slices.hpp"
#include "hostile/stage.hpp"
#include "wan/ip_packet.hpp"

namespace hawser::hostile {
namespace {

using churn::now_ns;
using churn::ReportLine;
using wan::HostIndex;

constexpr HostIndex kMaster = 0;
constexpr HostIndex kFirstMember = 1;
constexpr std::uint32_t kMembers = 3;
constexpr HostIndex kOperator = 4;
constexpr HostIndex kNewcomer = 5;
constexpr HostIndex kOutcast = 6;
constexpr HostIndex kFirstSource = 7;

constexpr std::uint64_t kUpMs = 30'000;
constexpr std::uint64_t kLostMs = 60'000;
constexpr std::uint64_t kQuietMs = 5'000;
/// For the pair that is cut: by then all three are members.
constexpr double kCutAtS = 12;
/// Of the retries: one that is refused is known by its address.
constexpr std::uint16_t kOutcastPort = 47'000;
constexpr std::uint16_t kMembersPort = 47'001;
constexpr std::uint32_t kNewcomersSteps = 3;

std::string spec_text(const FloodCase& one, std::uint32_t sources) {
  const auto hosts = [](const char* group, std::uint32_t count, std::uint32_t mbit) {
    return "[[hosts]]\ngroup = \"" + std::string(group) + "\"\ncount = " + std::to_string(count) + "\nup_mbit = " +
           std::to_string(mbit) + "\ndown_mbit = " + std::to_string(mbit) + "\n";
  };
  std::string text = "summary = \"members, strangers and their master\"\n" + hosts("master", 1, 1000) +
                     hosts("member", kMembers, 300) + hosts("operator", 1, 100) + hosts("newcomer", 1, 300) +
                     hosts("outcast", 1, 300) + hosts("source", sources, 100) +
                     "[[paths]]\nfrom = \"*\"\nto = \"*\"\ndelay_ms = 10\n";
  if (!one.flood && !one.cuts_pair)
    text += "[[events]]\nat_s = 0\nfrom = \"outcast\"\nto = [\"member\", \"newcomer\"]\noutage = true\n";
  if (one.cuts_pair)
    text += "[[events]]\nat_s = " + std::to_string(kCutAtS) + "\nfrom = 2\nto = 3\noutage = true\n";
  return text;
}

struct Sums {
  std::vector<StepSpan> slices;
  double messages = 0;      ///< Of garbage.
  double crowded_out = 0;
  double flooded_s = 0;
  double steps = 0;
  double seconds = 0;
  double master_cpu_s = 0;
  double longest_ms = 0;
  std::vector<double> newcomers_ms;
  std::uint32_t newcomers_out = 0;  ///< Not in when their slice was over.
  double rate() const { return seconds > 0 ? steps / seconds : 0; }
};

class CaseRun {
 public:
  CaseRun(const FloodBenchOptions& options, const FloodCase& one)
      : options_(options), case_(one), lab_(spec_text(one, sources())), stage_(options.log) {}
  bool run();

 private:
  struct MemberRecord {
    churn::ChildProcess* process = nullptr;
    HostIndex host = 0;
    std::vector<StepSpan> steps;
    std::uint64_t world = 0;
    bool is_lost = false;
  };

  std::uint32_t sources() const { return case_.flood && case_.from_many ? options_.sources : 1; }
  void start_members();
  void start_member(MemberRecord& member, std::uint32_t number);
  void lose_one_of_pair();
  std::vector<std::string> role_at(HostIndex host, std::vector<std::string> arguments) const;
  std::vector<std::string> flooder(const std::vector<std::string>& targets) const;
  std::vector<std::string> flooded_ports() const;
  void start_sinks();
  void slice(const std::vector<std::string>& targets, Sums& sums);
  void quiet();
  void print() const;

  const FloodBenchOptions& options_;
  const FloodCase& case_;
  BenchLab lab_;
  Stage stage_;
  std::string master_;
  std::vector<std::string> sinks_;  ///< One for each flooded port.
  churn::ChildProcess* master_process_ = nullptr;
  std::array<std::unique_ptr<MemberRecord>, kMembers> members_;
  HostIndex outcast_ = kOutcast;
  std::uint32_t measured_ = kMembers;
  Sums flooded_, discarded_, quiet_;
  std::map<std::string, std::uint64_t> errors_;  ///< Of calls of members, by kind.
  std::uint32_t lost_ = 0;
  std::uint32_t asked_ = 0;
  std::uint32_t answered_ = 0;
  double answer_ms_max_ = 0;
  std::string flood_line_;
  bool counts_ = false;  ///< What members and operator say now is of the measurement.
};

std::vector<std::string> CaseRun::role_at(HostIndex host, std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"--network", lab_.network(host)});
  return arguments;
}

void CaseRun::start_member(MemberRecord& member, std::uint32_t number) {
  member.host = kFirstMember + number;
  std::vector<std::string> arguments{"member",   "--master",  master_, "--name", "member-" + std::to_string(number),
                                     "--address", lab_.address(member.host), "--port", std::to_string(kMembersPort)};
  if (case_.resolver_hangs) arguments.emplace_back("--resolver-hangs");
  member.process = &stage_.start(
      "member-" + std::to_string(number), role_at(member.host, arguments), [this, &member](const ReportLine& line) {
        if (line.word() == "step") {
          const std::uint64_t end = line.number("t").value_or(0);
          member.steps.push_back({.begin_ns = end - line.number("took_us").value_or(0) * 1000, .end_ns = end});
          member.world = line.number("world").value_or(0);
        } else if (line.word() == "lost") {
          member.is_lost = true;
          if (counts_) ++lost_;
        } else if (line.word() == "error" && counts_) {
          ++errors_[std::string(line.get("kind"))];
        }
      });
}

void CaseRun::start_members() {
  for (std::uint32_t i = 0; i < kMembers; ++i) {
    members_[i] = std::make_unique<MemberRecord>();
    start_member(*members_[i], i);
  }
  const bool up = stage_.wait(
      [&] { return std::ranges::all_of(members_, [](const auto& one) { return one->world == kMembers; }); }, kUpMs);
  if (!up) throw std::runtime_error("the members did not come up");
}

/// The pair is cut, one of the two is removed, and from then on it is the one that tries to come back.
void CaseRun::lose_one_of_pair() {
  const auto is_lost = [](const auto& one) { return one->is_lost; };
  if (!stage_.wait([&] { return std::ranges::any_of(members_, is_lost); }, kLostMs))
    throw std::runtime_error("nobody was removed, though a pair was cut");
  const auto lost = std::ranges::find_if(members_, is_lost);
  stage_.end(*(*lost)->process);
  outcast_ = (*lost)->host;
  measured_ = kMembers - 1;
  std::swap(*lost, members_.back());
  const bool go_on =
      stage_.wait([&] { return members_[0]->world == measured_ && members_[1]->world == measured_; }, kUpMs);
  if (!go_on) throw std::runtime_error("the others did not go on");
}

std::vector<std::string> CaseRun::flooder(const std::vector<std::string>& targets) const {
  if (!case_.flood)
    return role_at(outcast_, {"member", "--master", targets.front(), "--name", "outcast", "--address",
                              lab_.address(outcast_), "--port", std::to_string(kOutcastPort)});
  std::vector<std::string> arguments{"flooder", "--kind", flood_name(*case_.flood)};
  for (const std::string& target : targets) arguments.insert(arguments.end(), {"--target", target});
  arguments.insert(arguments.end(), {"--opens", std::to_string(case_.opens_per_second)});
  arguments.insert(arguments.end(), {"--connections", std::to_string(case_.connections)});
  arguments.insert(arguments.end(), {"--pings", std::to_string(case_.pings_per_second)});
  arguments.insert(arguments.end(), {"--seconds", std::to_string(options_.slice_s)});
  if (case_.says_garbage)
    arguments.insert(arguments.end(), {"--messages", std::to_string(options_.messages_per_second)});
  if (case_.keeps) arguments.emplace_back("--keeps");
  for (std::uint32_t i = 0; i < sources(); ++i) {
    // Sources take turns with the targets; master and members are the first hosts.
    const HostIndex host = case_.is_near ? i % static_cast<std::uint32_t>(targets.size()) : kFirstSource + i;
    const std::string address = case_.is_near ? "127.1.0." + std::to_string(i + 1) : lab_.address(host);
    arguments.insert(arguments.end(), {"--source", address, "--source-network", lab_.network(host)});
  }
  return arguments;
}

std::vector<std::string> CaseRun::flooded_ports() const {
  const auto port_of_member = [this](std::uint32_t i) {
    return lab_.address(members_[i]->host) + ":" + std::to_string(kMembersPort);
  };
  if (case_.at_member) return {port_of_member(0)};
  std::vector<std::string> ports{master_};
  for (std::uint32_t i = 0; case_.at_all && i < kMembers; ++i) ports.push_back(port_of_member(i));
  return ports;
}

void CaseRun::start_sinks() {
  const HostIndex count = case_.at_all ? 1 + kMembers : 1;
  for (HostIndex host = 0; host < count; ++host)
    sinks_.push_back(stage_.start_listening(
        "sink", role_at(kMaster + host, {"sink", "--listen", lab_.address(kMaster + host) + ":48501"})));
}

/// One flood. In its middle an honest newcomer joins, and leaves after some steps.
void CaseRun::slice(const std::vector<std::string>& targets, Sums& sums) {
  const auto slice_ms = static_cast<std::uint64_t>(options_.slice_s * 1000);
  const double cpu_before = cpu_seconds(master_process_->pid());
  StepSpan span{.begin_ns = now_ns(), .end_ns = 0};
  counts_ = true;
  churn::ChildProcess& flood = stage_.start("flood", flooder(targets), [&](const ReportLine& line) {
    if (line.word() != "flooded") return;
    flood_line_ = line.whole();
    sums.messages += static_cast<double>(line.number("messages").value_or(0));
    sums.crowded_out += static_cast<double>(line.number("crowded_out").value_or(0));
    sums.flooded_s += options_.slice_s;
  });
  stage_.rest(slice_ms * 4 / 10);
  double in_ms = -1;
  churn::ChildProcess& newcomer =
      stage_.start("newcomer",
                   role_at(kNewcomer, {"member", "--master", master_, "--name", "newcomer", "--address",
                                       lab_.address(kNewcomer), "--steps", std::to_string(kNewcomersSteps)}),
                   [&](const ReportLine& line) {
                     if (line.word() == "in") in_ms = line.real("ms").value_or(0);
                   });
  const std::uint64_t left_ms = slice_ms - std::min(slice_ms, (now_ns() - span.begin_ns) / 1'000'000);
  stage_.rest(left_ms);
  span.end_ns = now_ns();
  sums.master_cpu_s += cpu_seconds(master_process_->pid()) - cpu_before;
  // It tells what it did when its time is over.
  (void)stage_.wait([&] { return flood.ended(); }, case_.says_garbage ? kQuietMs : 0);
  if (!flood.ended()) stage_.end(flood);
  (void)stage_.wait([&] { return newcomer.ended(); }, kQuietMs);
  if (in_ms >= 0)
    sums.newcomers_ms.push_back(in_ms);
  else
    ++sums.newcomers_out;
  stage_.end(newcomer);
  sums.slices.push_back(span);
  sums.steps += steps_in(members_[0]->steps, span);
  sums.seconds += static_cast<double>(span.end_ns - span.begin_ns) / 1e9;
  sums.longest_ms = std::max(sums.longest_ms, longest_step_ms(members_[0]->steps, span));
  stage_.rest(static_cast<std::uint64_t>(options_.pause_s * 1000));
  counts_ = false;
}

void CaseRun::quiet() {
  StepSpan span{.begin_ns = now_ns(), .end_ns = 0};
  stage_.rest(kQuietMs);
  span.end_ns = now_ns();
  quiet_.slices.push_back(span);
  quiet_.steps += steps_in(members_[0]->steps, span);
  quiet_.seconds += static_cast<double>(span.end_ns - span.begin_ns) / 1e9;
}

std::string newcomers_text(const Sums& sums) {
  if (sums.newcomers_ms.empty()) return "none of " + std::to_string(sums.newcomers_out);
  std::vector<double> sorted = sums.newcomers_ms;
  std::ranges::sort(sorted);
  char text[64];
  std::snprintf(text, sizeof text, "%.2f / %.2f", sorted[sorted.size() / 2] / 1e3, sorted.back() / 1e3);
  return text + (sums.newcomers_out > 0 ? ", " + std::to_string(sums.newcomers_out) + " not in" : std::string());
}

void CaseRun::print() const {
  std::string errors;
  for (const auto& [kind, count] : errors_) errors += " " + kind + " " + std::to_string(count);
  std::printf("%-18s %7.2f %7.2f %7.2f  %5.3f  %4u  %-18s %-18s %4u/%-4u %7.0f  %5.1f %5.1f  %6.0f %6.0f %s\n",
              case_.name, flooded_.rate(), discarded_.rate(), quiet_.rate(), flooded_.rate() / discarded_.rate(), lost_,
              newcomers_text(flooded_).c_str(), newcomers_text(discarded_).c_str(), answered_, asked_, answer_ms_max_,
              100 * flooded_.master_cpu_s / flooded_.seconds, 100 * discarded_.master_cpu_s / discarded_.seconds,
              flooded_.longest_ms, discarded_.longest_ms, errors.c_str());
  const auto median = [this](const Sums& sums) { return median_step_ms(members_[0]->steps, sums.slices); };
  std::printf("    median step, ms: quiet %.1f, beside the discarding port %.1f, flooded %.1f\n", median(quiet_),
              median(discarded_), median(flooded_));
  const auto a_second = [](const Sums& sums) { return sums.flooded_s > 0 ? sums.messages / sums.flooded_s : 0; };
  if (case_.says_garbage)
    std::printf("    messages a second that the system took: flood %.0f, discarding ports %.0f, of %.0f wanted\n",
                a_second(flooded_), a_second(discarded_), options_.messages_per_second);
  if (!flood_line_.empty()) std::printf("    %s\n", flood_line_.c_str());
  std::fflush(stdout);
}

bool CaseRun::run() {
  master_ = stage_.start_listening("master", role_at(kMaster, {"master", "--listen", lab_.address(kMaster) + ":48500"}),
                                   &master_process_);
  start_sinks();
  start_members();
  if (case_.cuts_pair) lose_one_of_pair();
  stage_.start("operator", role_at(kOperator, {"operator", "--master", master_}), [this](const ReportLine& line) {
    if (!counts_) return;
    ++asked_;
    if (line.word() == "answer") ++answered_;
    answer_ms_max_ = std::max(answer_ms_max_, line.real("ms").value_or(0));
  });
  for (std::uint32_t pair = 0; pair < options_.pairs; ++pair) {
    // What a flood leaves behind is over when the quiet time after the other slice is counted.
    slice(flooded_ports(), flooded_);
    const std::string flood_line = flood_line_;
    slice(sinks_, discarded_);
    quiet();
    flood_line_ = flood_line;
  }
  print();
  return stage_.died() == 0;
}

}  // namespace

int run_flood_bench(const FloodBenchOptions& options) {
  const ScratchFolder scratch;
  if (options.keys) churn::give_secret(scratch.path / "run.secret");
  std::printf(
      "%u members reduce 1 MiB of float32 and call update-topology in each step, %s; 20 ms round trip; %u x %.0f s of "
      "each flood and of the same at a port that discards everything\n\n",
      kMembers, options.keys ? "under TLS" : "in plain", options.pairs, options.slice_s);
  std::printf("%-18s %7s %7s %7s  %5s  %4s  %-18s %-18s %9s %7s  %11s  %13s\n", "", "flood", "discard", "quiet",
              "ratio", "lost", "newcomer in, s", "beside discard, s", "status", "ms max", "master CPU %",
              "longest step");
  std::fflush(stdout);
  bool well = true;
  for (const FloodCase& one : flood_cases()) {
    if (!options.only.empty() && std::ranges::find(options.only, one.name) == options.only.end()) continue;
    well = CaseRun(options, one).run() && well;
  }
  return well ? 0 : 1;
}

}  // namespace hawser::hostile
