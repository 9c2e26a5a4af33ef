#include <algorithm>

#include "membership/master_state.hpp"

/// Members that hold up a collective although it goes on: by their links, or by being the last without a result. They
/// are reported, once for each collective; expelled only if the policy says so, and only for what was measured.
namespace hawser {
namespace {

/// Spelt out in one sentence.
constexpr std::size_t kSlowLinksShown = 4;

/// In a transfer everybody fetches what it lacks, and one that lacks more takes longer.
bool ends_for_all_at_once(const Signature& signature) {
  return signature.collective != Collective::transfer && signature.collective != Collective::optimize;
}

}  // namespace

/// A report of flows has come for this collective.
void MasterMachine::State::hear_flows(Instant now, const Peer& peer, const Complaint& message, Group& group, Op& op) {
  std::vector<SlowLink> slow;
  // Who has its result tells no more of its flows, and nobody owes it any.
  if (!op.reported.contains(peer.rank))
    for (const Flow& flow : message.flows) {
      const auto to = rank_in(group, flow.to);
      if (to && *to != peer.rank && *to < group.view.size() && flow.percent < config_.straggler_percent && !op.reported.contains(*to))
        slow.push_back({.to = *to, .percent = flow.percent});
    }
  op.slow_links.tell(now, peer.rank, std::move(slow));
  const auto period = milliseconds(std::min<std::uint64_t>(message.period_ms, 1ULL << 32));
  suspect_straggler(now, now - period, op);
}

/// Looks at the slow links anew; `since` holds for a member that was not suspected before.
void MasterMachine::State::suspect_straggler(Instant now, Instant since, Op& op) const {
  // Whoever goes on reports every half stall bound, and complains after a whole one.
  op.slow_links.forget_older(now - config_.stall);
  const auto found = op.slow_links.straggler();
  if (!found) {
    op.straggler.reset();
    return;
  }
  if (op.straggler && op.straggler->found.rank == found->rank) since = op.straggler->since;
  // Held up at the earliest since all had called.
  op.straggler = {.found = *found, .since = std::max(since, op.last_call)};
}

/// Of a collective that all have called. True if somebody was expelled: the view is another then.
bool MasterMachine::State::judge_stragglers(Instant now, Group& group, const OpKey& key, Op& op, MasterActions& out) {
  const std::string what = describe(op.signature);
  // What was told of it may be old by now.
  if (const auto due = suspect_due(op); due && now >= *due) suspect_straggler(now, now, op);
  if (const auto due = suspect_due(op); due && now >= *due) {
    const Straggler found = op.straggler->found;
    const Member culprit = group.view.members[found.rank];
    std::vector<Member> with;
    for (const std::uint32_t rank : op.slow_links.slow_ends(found.rank)) with.push_back(group.view.members[rank]);
    const std::string ends =
        with.size() <= kSlowLinksShown ? names_of(with) : std::to_string(with.size()) + " other members";
    const std::string measured = "its links with " + ends + " deliver " + std::to_string(found.percent) +
                                 " % of what they did before and the plan counts on, for " +
                                 std::to_string(whole_milliseconds(now - op.straggler->since) / 1000) + " s";
    report_straggler(group, key, op, found.rank, "holds up the " + what + ": " + measured, found.percent, out);
    if (config_.straggler_policy == StragglerPolicy::expel) {
      out.emplace_back(LogEvent{LogLevel::info, "straggler-expelled", culprit.name});
      lose(now, culprit.id,
           {Status::expelled, "this peer held up the " + what + ": " + measured +
                                  "; check its network and its load, then connect again to rejoin"},
           "it held up the " + what + ": " + measured, out);
      return true;
    }
  }
  const auto since = alone_since(group, op);
  if (since && now >= *since + config_.straggler)
    report_straggler(group, key, op, *last_without_result(group, op),
                     "is the last without a result of the " + what + ", since " +
                         std::to_string(whole_milliseconds(now - *since) / 1000) + " s",
                     0, out);
  return false;
}

std::optional<Instant> MasterMachine::State::straggler_deadline(const Group& group, const Op& op) const {
  std::optional<Instant> next = suspect_due(op);
  if (const auto since = alone_since(group, op)) next = earlier(next, *since + config_.straggler);
  return next;
}

/// When the one with the slow links is to be reported or expelled, if there is one and that has not been done.
std::optional<Instant> MasterMachine::State::suspect_due(const Op& op) const {
  if (!op.straggler) return std::nullopt;
  const bool told = op.stragglers_announced.contains(op.straggler->found.rank);
  if (told && config_.straggler_policy != StragglerPolicy::expel) return std::nullopt;
  return op.straggler->since + config_.straggler;
}

/// If there is one only.
std::optional<std::uint32_t> MasterMachine::State::last_without_result(const Group& group, const Op& op) {
  if (op.reported.size() + 1 != group.view.size()) return std::nullopt;
  return op.reported.first_missing();
}

/// Since when all wait for the last one without a result, if there is one and it has not been reported. A result can be
/// whole before all have called.
std::optional<Instant> MasterMachine::State::alone_since(const Group& group, const Op& op) {
  if (!op.lone_since || !ends_for_all_at_once(op.signature)) return std::nullopt;
  const auto last = last_without_result(group, op);
  if (!last || op.stragglers_announced.contains(*last)) return std::nullopt;
  return std::max(*op.lone_since, op.last_call);
}

/// Once for each collective and member.
void MasterMachine::State::report_straggler(const Group& group, const OpKey& key, Op& op, std::uint32_t rank,
                                            const std::string& what_it_does, std::uint32_t percent,
                                            MasterActions& out) {
  if (!op.stragglers_announced.insert(rank)) return;
  const Member& member = group.view.members[rank];
  const std::string sentence = member.name + " (" + to_string(member.address) + ") " + what_it_does;
  out.emplace_back(LogEvent{LogLevel::warning, "straggler", sentence});
  tell_all(group.view.members, Straggling{.key = key, .peer = member.id, .percent = percent, .sentence = sentence},
           out);
}

}  // namespace hawser
