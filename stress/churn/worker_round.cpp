#include "worker_round.hpp"

#include <algorithm>
#include <cmath>
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

SumCheck trailer_check(std::uint64_t lineage, std::uint32_t step) {
  return {.key = mix64(lineage) + step, .count = kTrailer};
}

}  // namespace

WorkerRounds::WorkerRounds(CommSession& session, Reporter& reporter, const WorkerOptions& options)
    : session_(session),
      reporter_(reporter),
      collectives_(session, reporter),
      mixed_({.session = session, .reporter = reporter, .collectives = collectives_}, options.seed),
      with_mixed_(options.mixed),
      tags_(options.tags),
      elements_max_(options.elements),
      text_(read_corpus(options.text)),
      random_(options.seed) {}

void WorkerRounds::joined_as(std::uint64_t peer_id) {
  collectives_.joined_as(peer_id);
  // Garbage instead of the old weights: who trains on without a sync is found by its digest.
  model_.randomise(random_);
  synced_ = false;
  lineage_ = 0;
  step_ = 0;
}

Next WorkerRounds::run(bool newcomer) {
  Next next = Next::carry_on;
  if (!newcomer) next = update_topology();
  RoundStart start;
  if (next == Next::carry_on) next = agree(start);
  if (next == Next::carry_on && start.sync_needed) next = sync(start);
  if (next == Next::carry_on) next = train();
  if (next == Next::carry_on) next = check_sums();
  if (next == Next::carry_on && with_mixed_) next = mixed();
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
  hawserCommInfo_t info{};
  const Outcome asked =
      session_.call(kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
  if (asked.result != hawserSuccess) return session_.judge(asked, "info");

  const HeaderEntry own{.peer_id = collectives_.peer_id(),
                        .synced = synced_,
                        .lineage = lineage_,
                        .step = step_,
                        .digest = synced_ ? digest_bits(model_.weights()) : 0};
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

Next WorkerRounds::sync(const RoundStart& start) {
  GuardedBuffer give(model_.weights().size());
  GuardedBuffer get(model_.weights().size());
  if (start.donor_id == collectives_.peer_id()) {
    std::copy(model_.weights().begin(), model_.weights().end(), give.view().begin());
  }
  const ReduceResult result = collectives_.reduce({.phase = "sync", .send = &give, .receive = &get});
  if (result.next != Next::carry_on) return result.next;
  // The donor died before the sync: a sum of zeros. All members see so, and ask anew who has the weights.
  if (std::find(result.members.begin(), result.members.end(), start.donor_id) == result.members.end()) {
    return Next::new_round;
  }
  const std::uint64_t got = digest_bits(get.view());
  if (start.donor_synced && got != start.digest) {
    reporter_.violation("wrong_sum", "sync: the weights are not those of the donor");
  }
  adopt(start, get.view());
  return Next::carry_on;
}

void WorkerRounds::adopt(const RoundStart& start, std::span<const float> weights) {
  std::copy(weights.begin(), weights.end(), model_.weights().begin());
  synced_ = true;
  lineage_ = start.lineage;
  step_ = start.step;
}

Next WorkerRounds::train() {
  NextCharacterModel local = model_;
  const double loss = local.learn({.text = text_, .examples = kExamplesPerRound, .rate = kRate}, random_);
  const std::size_t count = model_.weights().size();
  const SumCheck trailer = trailer_check(lineage_, step_);
  GuardedBuffer delta(count + kTrailer);
  GuardedBuffer other(count + kTrailer);
  for (std::size_t i = 0; i < count; ++i) delta.view()[i] = local.weights()[i] - model_.weights()[i];
  fill_sum_input(trailer, collectives_.peer_id(), delta.view().subspan(count));

  GuardedBuffer& average = step_ % 2 == 0 ? delta : other;
  const ReduceResult result =
      collectives_.reduce({.phase = "deltas", .send = &delta, .receive = &average, .op = hawserAvg});
  if (result.next != Next::carry_on) return result.next;

  const auto members = static_cast<float>(result.members.size());
  std::vector<float> sums(average.view().begin() + static_cast<std::ptrdiff_t>(count), average.view().end());
  // The sums are small integers: rounding finds them again behind a division in float.
  for (float& x : sums) x = std::round(x * members * 64) / 64 + 0.0f;
  const std::string wrong = verify_sum(trailer, result.members, sums);
  if (!wrong.empty()) reporter_.violation("wrong_sum", "deltas (average): " + wrong);

  model_.add(average.view().first(count));
  ++step_;
  reporter_.say(LineBuilder("round")
                    .add("lineage", lineage_)
                    .add("step", std::uint64_t{step_})
                    .add("epoch", result.epoch)
                    .add("seq", result.sequence)
                    .add("digest", digest_bits(model_.weights()))
                    .add("loss", loss)
                    .add("t", now_ns())
                    .list("members", result.members));
  return Next::carry_on;
}

Next WorkerRounds::check_sums() {
  for (const std::vector<SumCheck>& group : choose_sum_checks(lineage_, step_, elements_max_).groups) {
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
  return mixed_.run({.lineage = lineage_, .step = step_, .tags = tags_, .elements_max = elements_max_},
                    roster_);
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
                                                   .slot = slot});
  if (result.next != Next::carry_on) return result.next;
  const std::string wrong = verify_sum(check, result.members, receive.view());
  if (!wrong.empty()) reporter_.violation("wrong_sum", "check: " + wrong);
  return Next::carry_on;
}

}  // namespace hawser::churn
