#include <algorithm>

#include "membership/master_state.hpp"

/// Members that hold up a collective although it goes on: by their links, or by being the last without a result. They
/// are reported, once for each collective; expelled only if the policy says so, and only for what was measured.
namespace hawser {
namespace {

/// Spelt out in one sentence.
constexpr std::size_t kSlowLinksTold = 4;

/// In a transfer everybody fetches what it lacks, and one that lacks more takes longer.
bool ends_for_all_at_once(const Signature& signature) {
  return signature.collective != Collective::transfer && signature.collective != Collective::optimize;
}

}  // namespace

/// A report of flows has come for this collective.
void MasterMachine::State::hear_flows(Instant now, PeerId peer, const Complaint& message, const Group& group, Op& op) {
  const auto period = milliseconds(std::min<std::uint64_t>(message.period_ms, 1ULL << 32));
  op.flows[peer] = {.heard_at = now, .flows = message.flows};
  suspect_straggler(now, now - period, group, op);
}

/// Looks at the flows anew; `since` holds for a member that was not suspected before.
void MasterMachine::State::suspect_straggler(Instant now, Instant since, const Group& group, Op& op) const {
  // Who has its result tells no more of its flows, and nobody owes it any.
  const auto has_result = [&](PeerId peer) {
    const auto rank = group.view.rank_of(peer);
    return rank && op.reported.contains(*rank);
  };
  for (auto& [sender, report] : op.flows)
    std::erase_if(report.flows, [&](const Flow& flow) { return has_result(flow.to); });
  // Whoever goes on reports every half stall bound, and complains after a whole one.
  std::erase_if(op.flows, [&](const auto& entry) {
    const auto& [sender, report] = entry;
    return report.flows.empty() || report.heard_at + config_.stall < now || has_result(sender);
  });
  const auto found = find_straggler(group.view, op.flows, config_.straggler_percent);
  if (!found) {
    op.straggler.reset();
    return;
  }
  if (op.straggler && op.straggler->found.member.id == found->member.id) since = op.straggler->since;
  // Held up at the earliest since all had called.
  op.straggler = {.found = *found, .since = std::max(since, op.last_call)};
}

/// Of a collective that all have called. True if somebody was expelled: the view is another then.
bool MasterMachine::State::judge_stragglers(Instant now, Group& group, const OpKey& key, Op& op, MasterActions& out) {
  const std::string what = describe(op.signature);
  // What was told of it may be old by now.
  if (const auto due = suspect_due(op); due && now >= *due) suspect_straggler(now, now, group, op);
  if (const auto due = suspect_due(op); due && now >= *due) {
    const Straggler& found = op.straggler->found;
    std::vector<Member> with;
    for (const PeerId peer : found.slow_with) with.push_back(*group.view.find(peer));
    const std::string ends =
        with.size() <= kSlowLinksTold ? names_of(with) : std::to_string(with.size()) + " other members";
    const std::string measured = "its links with " + ends + " deliver " + std::to_string(found.percent) +
                                 " % of what they did before and the plan counts on, for " +
                                 std::to_string(whole_milliseconds(now - op.straggler->since) / 1000) + " s";
    report_straggler(group, key, op, found.member, "holds up the " + what + ": " + measured, found.percent, out);
    if (config_.straggler_policy == StragglerPolicy::expel) {
      out.emplace_back(LogEvent{LogLevel::info, "straggler-expelled", found.member.name});
      const Member culprit = found.member;
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
  const bool told = op.straggler_told.contains(op.straggler->found.member.id);
  if (told && config_.straggler_policy != StragglerPolicy::expel) return std::nullopt;
  return op.straggler->since + config_.straggler;
}

/// If there is one only.
const Member* MasterMachine::State::last_without_result(const Group& group, const Op& op) {
  if (op.reported.size() + 1 != group.view.size()) return nullptr;
  for (std::uint32_t rank = 0; rank < group.view.size(); ++rank)
    if (!op.reported.contains(rank)) return &group.view.members[rank];
  return nullptr;
}

/// Since when all wait for the last one without a result, if there is one and it has not been reported. A result can be
/// whole before all have called.
std::optional<Instant> MasterMachine::State::alone_since(const Group& group, const Op& op) {
  if (!op.lone_since || !ends_for_all_at_once(op.signature)) return std::nullopt;
  const Member* const last = last_without_result(group, op);
  if (!last || op.straggler_told.contains(last->id)) return std::nullopt;
  return std::max(*op.lone_since, op.last_call);
}

/// Once for each collective and member.
void MasterMachine::State::report_straggler(const Group& group, const OpKey& key, Op& op, const Member& member,
                                            const std::string& what_it_does, std::uint32_t percent,
                                            MasterActions& out) {
  if (!op.straggler_told.insert(member.id).second) return;
  const std::string sentence = member.name + " (" + to_string(member.address) + ") " + what_it_does;
  out.emplace_back(LogEvent{LogLevel::warning, "straggler", sentence});
  for (const Member& one : group.view.members)
    tell(one.id, Straggling{.key = key, .peer = member.id, .percent = percent, .sentence = sentence}, out);
}

}  // namespace hawser
