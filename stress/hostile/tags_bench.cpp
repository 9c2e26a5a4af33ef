// Many collectives in flight at once: what they cost the master.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <hawser/hawser.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "churn/control_channel.hpp"
#include "churn/reporter.hpp"
#include "hostile/options.hpp"
#include "hostile/stage.hpp"

namespace hawser::hostile {
namespace {

using churn::LineBuilder;
using churn::now_ns;

constexpr std::uint64_t kUpMs = 30'000;
constexpr std::uint64_t kRoundMs = 120'000;
constexpr double kMasterCpuMax = 1.0;
constexpr auto kLate = std::chrono::seconds(2);
constexpr std::size_t kElements = 16;

/// Sentence of the first collective that failed; empty: all have their sums.
std::string one_round(Communicator& comm, const TagsOptions& options) {
  std::vector<std::vector<float>> values(options.tags, std::vector<float>(kElements, 1.0F));
  std::vector<Operation> under_way;
  for (std::uint32_t tag = 0; tag < options.tags; ++tag) {
    auto started = comm.all_reduce_async(std::span<float>(values[tag]), {.tag = tag});
    if (!started) return started.error().sentence;
    under_way.push_back(std::move(*started));
  }
  for (Operation& one : under_way)
    if (const auto ended = one.wait(); !ended) return ended.error().sentence;
  const auto is_sum = [&](float value) { return value == static_cast<float>(options.members); };
  for (const std::vector<float>& each : values)
    if (!std::ranges::all_of(each, is_sum)) return "a sum is wrong";
  return {};
}

}  // namespace

int run_tags_member(const TagsOptions& options) {
  const churn::ControlChannel ears([](std::string_view) {}, nullptr);
  churn::Reporter reporter;
  const auto fail = [&](const std::string& sentence) {
    std::fprintf(stderr, "tags-member: %s\n", sentence.c_str());
    return 1;
  };
  auto comm = Communicator::create({.master = options.master, .name = options.name, .min_peers = options.members});
  if (!comm) return fail(comm.error().sentence);
  if (const auto joined = comm->connect(); !joined) return fail(joined.error().sentence);
  reporter.say(LineBuilder("in"));
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    if (const auto met = comm->barrier(); !met) return fail(met.error().sentence);
    reporter.say(LineBuilder("begun"));
    if (options.is_late) std::this_thread::sleep_for(kLate);
    const std::uint64_t begin = now_ns();
    if (const std::string failure = one_round(*comm, options); !failure.empty()) return fail(failure);
    reporter.say(LineBuilder("done").add("ms", static_cast<double>(now_ns() - begin) / 1e6));
  }
  // The others may still wait for the word that theirs are committed.
  std::this_thread::sleep_for(kLate);
  return 0;
}

int run_tags_bench(const TagsBenchOptions& options) {
  Stage stage(options.log);
  churn::ChildProcess* master = nullptr;
  const std::string address = stage.start_listening("master", {"master"}, &master);
  std::uint32_t begun = 0;
  std::uint32_t done = 0;
  double late_ms = 0;
  for (std::uint32_t i = 0; i < options.members; ++i) {
    const bool is_late = i == 0;
    std::vector<std::string> arguments{"tags-member",
                                       "--master",
                                       address,
                                       "--name",
                                       "member-" + std::to_string(i),
                                       "--members",
                                       std::to_string(options.members),
                                       "--tags",
                                       std::to_string(options.tags),
                                       "--rounds",
                                       std::to_string(options.rounds)};
    if (is_late) arguments.emplace_back("--late");
    stage.start("member-" + std::to_string(i), arguments, [&, is_late](const churn::ReportLine& line) {
      begun += line.word() == "begun" ? 1 : 0;
      done += line.word() == "done" ? 1 : 0;
      if (is_late && line.word() == "done") late_ms = line.real("ms").value_or(0);
    });
  }
  std::printf("%u members, %u all-reduces of %zu float32 in flight at once\n\n%-8s %16s %22s\n", options.members,
              options.tags, kElements, "round", "master CPU, s", "the last member's, ms");
  bool well = true;
  for (std::uint32_t round = 1; round <= options.rounds; ++round) {
    if (!stage.wait([&] { return begun >= options.members * (round - 1) + 1; }, kUpMs))
      throw std::runtime_error("a round did not begin");
    const double before = cpu_seconds(master->pid());
    if (!stage.wait([&] { return done >= options.members * round || stage.died() > 0; }, kRoundMs))
      throw std::runtime_error("a round did not end");
    if (stage.died() > 0) return 1;
    const double cpu_s = cpu_seconds(master->pid()) - before;
    well = cpu_s <= kMasterCpuMax && well;
    std::printf("%-8u %16.3f %22.0f  %s\n", round, cpu_s, late_ms, cpu_s <= kMasterCpuMax ? "" : "TOO MUCH");
    std::fflush(stdout);
  }
  return well ? 0 : 1;
}

}  // namespace hawser::hostile
