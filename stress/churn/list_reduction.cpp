#include "list_reduction.hpp"

#include <algorithm>

#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr const char* kPhase = "list";
constexpr std::uint8_t kUnwritten = 0xee;

}  // namespace

ValueRule ListReduction::Entry::rule(std::span<const std::uint64_t> roster) const {
  ValueRule rule = call.rule();
  rule.roster = roster;
  return rule;
}

ListReduction::ListReduction(const MixedTools& tools, const MixedList& list,
                             std::span<const std::uint64_t> roster)
    : tools_(tools), list_(list), roster_(roster) {
  for (const MixedCall& call : list.tensors) {
    const std::size_t bytes = call.count * bytes_of(call.type);
    entries_.push_back({.call = call,
                        .input = {},
                        .send = GuardedBytes(bytes),
                        .apart = GuardedBytes(call.in_place ? 0 : bytes)});
    Entry& entry = entries_.back();
    entry.input = input_pattern(entry.rule(roster), tools.peer_id());
    lay_pattern(entry.input, entry.send.view());
  }
}

Next ListReduction::run(const Place& place) {
  Next next = Next::retry;
  while (next == Next::retry) next = call_once();
  report(place, next == Next::carry_on || next == Next::new_round);
  return next;
}

Next ListReduction::call_once() {
  std::vector<Entry*> asked;
  std::vector<hawserTensor_t> tensors;
  for (Entry& entry : entries_) {
    if (entry.done) continue;
    asked.push_back(&entry);
    tensors.push_back(
        {entry.send.view().data(), entry.receive().view().data(), entry.call.count, entry.call.type});
  }
  const MixedCall& any = entries_.front().call;
  hawserManyOptions_t options = HAWSER_MANY_OPTIONS_INIT;
  options.op = any.op;
  options.first_tag = list_.first_tag;
  options.plan = any.plan;
  for (const Entry& entry : entries_)
    if (entry.call.quantised()) options.quantization = entry.call.quantization;
  options.compress = any.compressed_by(tools_.peer_id()) ? 1 : 0;
  options.in_flight = list_.in_flight;
  options.fuse_bytes = list_.fuse_bytes;
  hawserManyInfo_t info = HAWSER_MANY_INFO_INIT;
  std::vector<std::uint8_t> done(asked.size(), kUnwritten);
  const Outcome outcome = tools_.session.call(kMainSlot, kPhase, [&](hawserComm_t comm) {
    return hawserAllReduceMany(comm, tensors.data(), tensors.size(), &options, &info, done.data());
  });
  if (done.front() == kUnwritten) std::ranges::fill(done, std::uint8_t{0});  // the call was not made
  check_call(outcome, asked, done, info);
  if (outcome.result == hawserSuccess) return Next::carry_on;
  if (outcome.result == hawserErrorPeerLost || outcome.result == hawserErrorMasterRestarted)
    tools_.reporter.violation("bad_info",
                              std::string(kPhase) + ": it shall mend this itself: " + outcome.sentence);
  return tools_.session.judge(outcome, kPhase);
}

void ListReduction::check_call(const Outcome& outcome, const std::vector<Entry*>& asked,
                               const std::vector<std::uint8_t>& done, const hawserManyInfo_t& info) {
  const bool success = outcome.result == hawserSuccess;
  const auto complain = [&](const char* what) {
    tools_.reporter.violation("bad_info", std::string(kPhase) + ": " + what);
  };
  ContributorBounds bounds{.self = tools_.peer_id(), .least = 2, .most = roster_.size()};
  if (success) {
    if (std::ranges::count(done, 1) != std::ssize(done)) complain("a success, but not all is done");
    if (info.tensors != done.size()) complain("a success, but not all tensors are counted");
    if (info.collectives == 0 || info.collectives > done.size()) complain("impossible number of collectives");
    if (info.attempts == 0) complain("no attempt");
    if (info.world_size_least < 2 || info.world_size_least > info.world_size_most ||
        info.world_size_most > roster_.size())
      complain("impossible numbers of contributors");
    bounds.least = info.world_size_least;
    bounds.most = info.world_size_most;
    tools_.session.recovered();
  }
  attempts_ += info.attempts;
  collectives_ += info.collectives;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Entry& entry = *asked[i];
    if (done[i] > 1) complain("a flag is neither 0 nor 1");
    entry.done = done[i] == 1;
    check_entry(entry, bounds);
  }
}

void ListReduction::check_entry(Entry& entry, const ContributorBounds& bounds) {
  if (!entry.send.margins_intact() || !entry.apart.margins_intact())
    tools_.reporter.violation("out_of_bounds", std::string(kPhase) + ": written beside a tensor");
  const auto input = entry.send.view();
  if (!(entry.done && entry.call.in_place) && first_difference(entry.input, input) != input.size()) {
    tools_.reporter.violation("lost_input", std::string(kPhase) + ": the input of a tensor that " +
                                                (entry.done ? "was reduced out of place" : "has no result") +
                                                " changed");
    lay_pattern(entry.input, input);
  }
  if (!entry.done) return;
  const ValueRule rule = entry.rule(roster_);
  const auto result = entry.receive().view();
  if (entry.call.quantised()) {
    // Marks are blurred, so who contributed is known only if nobody was lost.
    if (bounds.least != roster_.size()) return;
    const double tolerance = tolerance_of(rule, entry.call.quantization, roster_.size(), false);
    return tools_.check(kPhase, verify_near(rule, roster_, result, tolerance));
  }
  const auto members = read_contributors(rule, result, bounds);
  if (members && members->empty())
    tools_.check(kPhase, "no " + std::to_string(bounds.least) + " to " + std::to_string(bounds.most) +
                             " of " + std::to_string(roster_.size()) +
                             " members explain a result; with all, " + verify_exact(rule, roster_, result));
}

void ListReduction::report(const Place& place, bool agreed) {
  std::string done;
  std::vector<std::uint64_t> digests;
  for (Entry& entry : entries_) {
    done.push_back(entry.done ? '1' : '0');
    digests.push_back(entry.done ? digest_bytes(entry.receive().view()) : 0);
  }
  tools_.reporter.keep(LineBuilder("many")
                           .add("lineage", place.lineage)
                           .add("step", std::uint64_t{place.step})
                           .add("agreed", std::uint64_t{agreed})
                           .add("attempts", attempts_)
                           .add("collectives", collectives_)
                           .add("done", done)
                           .list("digests", digests));
}

}  // namespace hawser::churn
