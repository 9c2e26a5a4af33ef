#include "mixed_phase.hpp"

#include <algorithm>
#include <thread>

#include "group_collective.hpp"
#include "list_reduction.hpp"

namespace hawser::churn {
namespace {

constexpr const char* kPhase = "tags";

}  // namespace

MixedPhase::MixedPhase(const MixedTools& tools, std::uint64_t seed) : tools_(tools), random_(seed) {}

MixedPhase::~MixedPhase() {
  for (const hawserResidual_t residual : residuals_) hawserResidualDestroy(residual);
}

hawserResidual_t MixedPhase::residual_of(const MixedCall& call) {
  if (!call.residual) return nullptr;
  hawserResidual_t& residual = residuals_.at(static_cast<std::size_t>(call.type));
  if (residual == nullptr && hawserResidualCreate(call.count, call.type, &residual) != hawserSuccess)
    tools_.reporter.violation("unexpected_error", std::string("residual: ") + hawserGetLastError());
  return residual;
}

Next MixedPhase::run(const MixedRule& rule, std::span<const std::uint64_t> roster) {
  const MixedRound round = choose_mixed_round(rule);
  Next next = Next::carry_on;
  {
    Reductions tags;
    for (const MixedCall& call : round.tags)
      tags.push_back(std::make_unique<TagReduction>(tools_, call, residual_of(call)));
    next = round.threads ? run_with_threads(tags) : run_with_handles(tags);
  }
  if (next == Next::carry_on) next = run_group_collective(tools_, round.group, round.group_call);
  if (next == Next::carry_on && !round.list.tensors.empty()) {
    next = ListReduction(tools_, round.list, roster).run({.lineage = rule.lineage, .step = rule.step});
  }
  return next;
}

// Those that failed are started again together. If one of them calls for a new round, the others are given
// up: all members saw the same fail, and do the same.
Next MixedPhase::run_with_handles(const Reductions& tags) {
  std::vector<TagReduction*> open;
  for (const auto& tag : tags) open.push_back(tag.get());
  while (!open.empty()) {
    std::ranges::shuffle(open, random_);  // tags promise to be independent, so the order is each member's own
    const std::vector<Outcome> outcomes = fly(open);
    std::vector<TagReduction*> failed;
    std::vector<Outcome> errors;
    for (std::size_t i = 0; i < open.size(); ++i) {
      open[i]->check_after(outcomes[i]);
      if (outcomes[i].result == hawserSuccess) continue;
      failed.push_back(open[i]);
      errors.push_back(outcomes[i]);
    }
    open = std::move(failed);
    if (open.empty()) break;
    const Next next = tools_.session.judge_all(errors, kPhase);
    if (next != Next::retry) return next;
  }
  return Next::carry_on;
}

std::vector<Outcome> MixedPhase::fly(std::vector<TagReduction*>& tags) {
  std::vector<Outcome> outcomes(tags.size());
  const bool impatient = random_() % 2 == 0;
  const bool last_first = random_() % 2 == 0;
  const Outcome entered = tools_.session.call(kMainSlot, kPhase, [&](hawserComm_t comm) {
    const std::uint64_t begin_ns = now_ns();
    const auto note = [&](std::size_t i, hawserResult_t result) {
      outcomes[i].result = result;
      if (result != hawserSuccess) outcomes[i].sentence = hawserGetLastError();
      outcomes[i].took_ms = static_cast<double>(now_ns() - begin_ns) / 1e6;
    };
    for (std::size_t i = 0; i < tags.size(); ++i) note(i, tags[i]->start(comm));
    const auto flying = std::ranges::count_if(tags, [](const TagReduction* tag) { return !tag->ended(); });
    tools_.reporter.keep(LineBuilder("tags").add("flying", static_cast<std::uint64_t>(flying)));
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const std::size_t which = last_first ? tags.size() - 1 - i : i;
      if (outcomes[which].result == hawserSuccess) note(which, tags[which]->wait(impatient));
    }
    return hawserSuccess;
  });
  if (entered.result != hawserSuccess) std::ranges::fill(outcomes, entered);  // left already
  return outcomes;
}

Next MixedPhase::run_with_threads(const Reductions& tags) {
  std::vector<Next> results(tags.size(), Next::carry_on);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = run_in_thread(*tags[i], static_cast<CallSlot>(i + 1)); });
  }
  for (std::thread& thread : threads) thread.join();
  return *std::ranges::max_element(results);
}

Next MixedPhase::run_in_thread(TagReduction& tag, CallSlot slot) {
  Next next = Next::retry;
  while (next == Next::retry) {
    const Outcome outcome =
        tools_.session.call(slot, kPhase, [&](hawserComm_t comm) { return tag.run(comm); });
    tag.check_after(outcome);
    next = outcome.result == hawserSuccess ? Next::carry_on : tools_.session.judge(outcome, kPhase);
  }
  return next;
}

}  // namespace hawser::churn
