#include "churn_schedule.hpp"

#include <algorithm>
#include <vector>

#include "digest.hpp"

namespace hawser::churn {

ChurnSchedule::ChurnSchedule(const ChurnOptions& options)
    : random_(mix64(options.seed)), peers_(options.peers) {}

std::uint64_t ChurnSchedule::gap_ms(std::uint64_t mean_ms) {
  const std::uint64_t half = mean_ms / 2;
  return half + random_() % (mean_ms + 1);
}

bool ChurnSchedule::may_lose(const Candidate& victim, std::span<const Candidate> workers) const {
  const std::size_t wanted = peers_ > 3 ? 2 : 1;
  if (majority_) {
    const auto stays = [&](const Candidate& w) { return w.index != victim.index && w.running && w.in_view; };
    const auto staying = static_cast<std::size_t>(std::count_if(workers.begin(), workers.end(), stays));
    // A newcomer may have become a member meanwhile: it counts, too.
    if (2 * staying <= majority_->of || 2 * (majority_->unsettled + 1) >= majority_->of) return false;
  }
  const auto holds = [&](const Candidate& w) { return w.index != victim.index && w.running && w.synced; };
  return static_cast<std::size_t>(std::count_if(workers.begin(), workers.end(), holds)) >= wanted;
}

std::optional<std::uint32_t> ChurnSchedule::choose(std::span<const Candidate> workers, bool members_only) {
  std::vector<std::uint32_t> possible;
  for (const Candidate& w : workers) {
    if (w.running && (w.member || !members_only) && may_lose(w, workers)) possible.push_back(w.index);
  }
  if (possible.empty()) return std::nullopt;
  return possible[random_() % possible.size()];
}

std::optional<std::uint32_t> ChurnSchedule::choose_victim(std::span<const Candidate> workers) {
  return choose(workers, false);
}

std::optional<std::uint32_t> ChurnSchedule::choose_leaver(std::span<const Candidate> workers) {
  return choose(workers, true);
}

std::uint64_t ChurnSchedule::stopped_for_ms() {
  if (chance(0.4)) return 50 + random_() % 3000;
  return 4000 + random_() % 12000;
}

std::uint32_t ChurnSchedule::swing(std::uint32_t target) {
  const std::uint32_t low = std::max(2u, peers_ - peers_ / 3);
  const std::uint32_t high = peers_ + std::max(1u, peers_ / 3);
  if (target <= low) return target + 1;
  if (target >= high) return target - 1;
  return chance(0.5) ? target + 1 : target - 1;
}

}  // namespace hawser::churn
