#include "bench/shared_state_bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <hawser/hawser.hpp>
#include <initializer_list>
#include <optional>
#include <utility>

#include "bench/shared_state_figures.hpp"
#include "bench/worker_group.hpp"

namespace hawser::bench {
namespace {

/// Two in peace, the second of which tells when the middle of a transfer is, and the one with the kill.
constexpr std::uint32_t kRoundsUntilKill = 2;
constexpr std::uint32_t kMissesMax = 5;

std::vector<std::string> worker_arguments(const SharedStateGroup& group, const std::string& master) {
  const std::initializer_list<std::pair<const char*, std::string>> values{
      {"--master", master},
      {"--world", std::to_string(group.holders + group.receivers)},
      {"--parent", std::to_string(getpid())},
      {"--state-kind", group.kind},
      {"--state-bytes", std::to_string(group.bytes)},
      {"--state-holders", std::to_string(group.holders)},
      {"--state-rounds", std::to_string(group.rounds)},
  };
  std::vector<std::string> arguments{"bench", "worker", "shared-state"};
  for (const auto& [name, value] : values) arguments.insert(arguments.end(), {name, value});
  if (group.compress) arguments.emplace_back("--state-compress");
  return arguments;
}

/// All rounds of one fresh group of processes, by number; none if it failed.
std::optional<std::vector<SyncRound>> measure_group(const SharedStateGroup& group) {
  auto master = Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 300});
  auto serving = master ? master->start() : Result<void>(master.error());
  if (!serving) {
    std::fprintf(stderr, "hawser bench: no master: %s\n", serving.error().sentence.c_str());
    return std::nullopt;
  }
  const std::uint32_t killed = group.kind == "kill" ? 1 : 0;
  const std::uint32_t world = group.holders + group.receivers;
  WorkerGroup workers(world, worker_arguments(group, master->address()));
  std::vector<SyncRound> rounds(group.rounds + 1);
  while (const auto line = workers.next_line()) {
    const auto told = MemberSync::parse(*line);
    if (told && told->round < rounds.size()) rounds[told->round].push_back(*told);
  }
  if (!workers.wait_for_end(killed)) return std::nullopt;
  for (std::uint32_t round = 0; round <= group.rounds; ++round) {
    const std::uint32_t expected = world - (round == group.rounds ? killed : 0);
    // Its end may have come too late.
    if (rounds[round].size() != expected && rounds[round].size() != world) return std::nullopt;
    std::ranges::sort(rounds[round], {}, &MemberSync::rank);
  }
  return rounds;
}

std::optional<SyncCase> measure_case(const SharedStateGroup& group) {
  auto rounds = measure_group(group);
  if (!rounds) return std::nullopt;
  SyncCase of{.group = group, .first = std::move(rounds->front())};
  of.rounds.assign(std::make_move_iterator(rounds->begin() + 1), std::make_move_iterator(rounds->end()));
  return of;
}

/// A killed source is gone: every kill has a group of its own. When the middle of a transfer is can only be
/// guessed, so some miss it.
std::optional<SyncCase> measure_kills(SharedStateGroup group, std::uint32_t kills) {
  group.rounds = kRoundsUntilKill;
  SyncCase of{.group = group};
  while (of.rounds.size() < kills) {
    auto rounds = measure_group(group);
    if (!rounds) return std::nullopt;
    SyncRound& killed = rounds->back();
    if (of.first.empty()) of.first = std::move(rounds->front());
    of.spared.push_back(std::move((*rounds)[1]));
    if (of.in_mid_transfer(killed)) {
      of.rounds.push_back(std::move(killed));
    } else if (++of.missed > kills + kMissesMax) {
      std::fprintf(stderr, "hawser bench: %u kills were not in mid transfer; a larger state takes longer\n",
                   of.missed);
      return std::nullopt;
    }
  }
  return of;
}

std::vector<SharedStateGroup> groups(const SharedStateOptions& options) {
  std::vector<SharedStateGroup> all;
  const SharedStateGroup transfer{
      .bytes = options.bytes, .rounds = options.rounds, .compress = options.compress};
  for (const std::uint32_t receivers : options.receivers) {
    all.push_back(transfer);
    all.back().receivers = receivers;
  }
  if (options.unchanged_bytes > 0) {
    all.push_back(transfer);
    all.back().kind = "unchanged";
    all.back().bytes = options.unchanged_bytes;
    all.back().holders = 2;
  }
  if (options.kill) {
    all.push_back(transfer);
    all.back().kind = "kill";
    all.back().holders = 2;
    all.back().receivers = 1;
  }
  return all;
}

}  // namespace

int run_shared_state_bench(const SharedStateOptions& options) try {
  std::vector<SyncCase> cases;
  bool well = true;
  print_sync_heading(options);
  for (const SharedStateGroup& group : groups(options)) {
    auto of = group.kind == "kill" ? measure_kills(group, options.rounds) : measure_case(group);
    if (!of) {
      std::fprintf(stderr, "hawser bench: %s with %u receivers failed\n", group.kind.c_str(),
                   group.receivers);
      well = false;
      continue;
    }
    print_sync_row(*of);
    if (!of->right()) std::fprintf(stderr, "hawser bench: WRONG CONTENT\n");
    well = well && of->right();
    cases.push_back(std::move(*of));
  }
  if (!options.json.empty() && !write_sync_json(cases, options)) {
    std::fprintf(stderr, "hawser bench: can't write %s\n", options.json.c_str());
    well = false;
  }
  return well ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
