#include "worker_round.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <thread>

#include "corpus.hpp"
#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint32_t kExamplesPerRound = 192;
constexpr float kRate = 0.15f;
constexpr std::uint32_t kHeaderTriesMax = 100;
// Behind the deltas: integers whose average is known, as a check of the averaging itself.
constexpr std::size_t kTrailer = 5;
// Every so many synchronisations that follow a step, the members calculate for a while without changing their
// state, as an evaluation would: time for newcomers to prefetch all of it.
constexpr std::uint32_t kPauseEvery = 4;
constexpr std::uint32_t kPauseRounds = 12;

SumCheck trailer_check(std::uint64_t lineage, std::uint32_t step) {
  return {.key = mix64(lineage) + step, .count = kTrailer};
}

}  // namespace

WorkerRounds::WorkerRounds(CommSession& session, Reporter& reporter, const WorkerOptions& options)
    : session_(session),
      reporter_(reporter),
      collectives_(session, reporter),
      mixed_({.session = session, .reporter = reporter, .collectives = collectives_}, options.seed),
      mail_(session, reporter, options.seed),
      with_mixed_(options.mixed),
      tags_(options.tags),
      elements_max_(options.elements),
      sync_every_(options.state.sync_every),
      text_(read_corpus(options.text)),
      random_(options.seed),
      training_(session, reporter, options, model_.weights().size()) {}

void WorkerRounds::joined_as(std::uint64_t peer_id) {
  collectives_.joined_as(peer_id);
  training_.joined_as(peer_id);
}

Next WorkerRounds::run(bool newcomer) {
  Next next = Next::carry_on;
  if (!newcomer) next = update_topology();
  RoundStart start;
  if (next == Next::carry_on) next = agree(start);
  if (next == Next::carry_on && start.sync_needed) {
    next = training_.sync({.phase = "sync", .start = start});
  }
  if (next == Next::carry_on) next = train();
  if (next == Next::carry_on) next = check_sums();
  if (next == Next::carry_on && with_mixed_) next = mixed();
  if (next == Next::carry_on && with_mixed_) next = mail();
  return next;
}

Next WorkerRounds::update_topology() {
  const Outcome outcome =
      session_.call(kMainSlot, "update", [](hawserComm_t comm) { return hawserCommUpdateTopology(comm); });
  if (outcome.result == hawserSuccess) return Next::carry_on;
  const Next next = session_.judge(outcome, "update");
  return next == Next::retry ? Next::new_round : next;
}

// The header of a view whose ranks changed under the callers is unreadable, for all members alike; so all
// write another.
Next WorkerRounds::agree(RoundStart& start) {
  for (std::uint32_t tries = 0; tries < kHeaderTriesMax; ++tries) {
    bool readable = false;
    const Next next = one_header(start, readable);
    if (next == Next::carry_on && readable) return next;
    if (next != Next::carry_on && next != Next::retry) return next;
  }
  reporter_.violation("no_agreement",
                      "so many headers in a row could not be read: " + std::to_string(kHeaderTriesMax));
  return Next::new_round;
}

Next WorkerRounds::one_header(RoundStart& start, bool& readable) {
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  const Outcome asked =
      session_.call(kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
  if (asked.result != hawserSuccess) return session_.judge(asked, "info");

  const HeaderEntry own{.peer_id = collectives_.peer_id(),
                        .synced = training_.synced(),
                        .lineage = lineage(),
                        .step = step(),
                        .digest = training_.synced() ? digest_bits(training_.state().weights()) : 0,
                        .synced_epoch = training_.synced_epoch()};
  GuardedBuffer buffer(kMembersMax * kHeaderSlotFloats);
  write_header(own, info.rank, buffer.view());
  const ReduceResult result =
      collectives_.reduce_once({.phase = "header", .send = &buffer, .receive = &buffer});
  if (result.next != Next::carry_on) return result.next;

  const std::vector<HeaderEntry> entries = read_header(buffer.view(), result.members);
  readable = !entries.empty();
  if (!readable) return Next::carry_on;
  if (entries[result.rank] != own)
    reporter_.violation("wrong_sum", "header: the own entry came back changed");
  roster_ = result.members;
  start = decide_round_start(entries, result.epoch);
  if (!start.disagreement.empty())
    reporter_.violation("agreement", "synced members disagree: " + start.disagreement);
  return Next::carry_on;
}

Next WorkerRounds::train() {
  TrainedState& state = training_.state();
  const std::span<const float> before = state.weights();
  const std::size_t count = before.size();
  std::ranges::copy(before, model_.weights().begin());
  const double loss = model_.learn({.text = text_, .examples = kExamplesPerRound, .rate = kRate}, random_);
  const SumCheck trailer = trailer_check(lineage(), step());
  GuardedBuffer delta(count + kTrailer);
  GuardedBuffer other(count + kTrailer);
  for (std::size_t i = 0; i < count; ++i) delta.view()[i] = model_.weights()[i] - before[i];
  fill_sum_input(trailer, collectives_.peer_id(), delta.view().subspan(count));

  GuardedBuffer& average = step() % 2 == 0 ? delta : other;
  const ReduceResult result =
      collectives_.reduce({.phase = "deltas", .send = &delta, .receive = &average, .op = hawserAvg});
  if (result.next != Next::carry_on) return result.next;

  const auto members = static_cast<float>(result.members.size());
  std::vector<float> sums(average.view().begin() + static_cast<std::ptrdiff_t>(count), average.view().end());
  // The sums are small integers: rounding finds them again behind a division in float.
  for (float& x : sums) x = std::round(x * members * 64) / 64 + 0.0f;
  const std::string wrong = verify_sum(trailer, result.members, sums);
  if (!wrong.empty()) reporter_.violation("wrong_sum", "deltas (average): " + wrong);

  state.advance(average.view().first(count));
  reporter_.say(LineBuilder("round")
                    .add("lineage", lineage())
                    .add("step", std::uint64_t{step()})
                    .add("epoch", result.epoch)
                    .add("seq", result.sequence)
                    .add("digest", digest_bits(state.weights()))
                    .add("loss", loss)
                    .add("t", now_ns())
                    .list("members", result.members));
  return step() % sync_every_ == 0 ? sync_step(result) : Next::carry_on;
}

// All have made the same step, so nobody should lack anything.
Next WorkerRounds::sync_step(const ReduceResult& result) {
  Next next = training_.sync({.phase = "sync_step",
                              .start = {.holders = result.members,
                                        .lineage = lineage(),
                                        .step = step(),
                                        .digest = digest_bits(training_.state().weights()),
                                        .epoch = result.epoch}});
  if (step() / sync_every_ % kPauseEvery != 0) return next;
  for (std::uint32_t i = 0; i < kPauseRounds && next == Next::carry_on; ++i) next = check_sums();
  return next;
}

Next WorkerRounds::check_sums() {
  for (const std::vector<SumCheck>& group : choose_sum_checks(lineage(), step(), elements_max_).groups) {
    std::vector<Next> results(group.size(), Next::carry_on);
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < group.size(); ++i) {
      threads.emplace_back([&, i] { results[i] = one_sum(group[i], static_cast<CallSlot>(i)); });
    }
    results[0] = one_sum(group[0], kMainSlot);
    for (std::thread& thread : threads) thread.join();
    // Next is ordered by weight: who must rejoin need not think about a new round.
    const Next heaviest = *std::max_element(results.begin(), results.end());
    if (heaviest != Next::carry_on) return heaviest;
  }
  return Next::carry_on;
}

Next WorkerRounds::mixed() {
  return mixed_.run({.lineage = lineage(), .step = step(), .tags = tags_, .elements_max = elements_max_},
                    roster_);
}

/// Now and then this member gives a call up before the others have come. All call it again then.
std::uint32_t WorkerRounds::bound_of(const SumCheck& check) const {
  constexpr std::uint64_t kEvery = 256;
  constexpr std::uint64_t kBoundMs = 8;
  const std::uint64_t dice = mix64(check.key ^ collectives_.peer_id());
  return dice % kEvery == 0 ? static_cast<std::uint32_t>(1 + dice / kEvery % kBoundMs) : 0;
}

Next WorkerRounds::mail() {
  return mail_.run({.self = collectives_.peer_id(), .roster = roster_, .size_class = mix64(lineage() ^ step())});
}

Next WorkerRounds::one_sum(const SumCheck& check, CallSlot slot) {
  GuardedBuffer send(check.count);
  GuardedBuffer apart(check.in_place ? 0 : check.count);
  GuardedBuffer& receive = check.in_place ? send : apart;
  fill_sum_input(check, collectives_.peer_id(), send.view());
  const ReduceResult result = collectives_.reduce({.phase = "check",
                                                   .send = &send,
                                                   .receive = &receive,
                                                   .tag = check.tag,
                                                   .plan = check.plan,
                                                   .slot = slot,
                                                   .timeout_ms = bound_of(check)});
  if (result.next != Next::carry_on) return result.next;
  const std::string wrong = verify_sum(check, result.members, receive.view());
  if (!wrong.empty()) reporter_.violation("wrong_sum", "check: " + wrong);
  return Next::carry_on;
}

}  // namespace hawser::churn
