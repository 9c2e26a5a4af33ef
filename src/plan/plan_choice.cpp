#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "plan/apportion.hpp"
#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/plan_hierarchical.hpp"
#include "plan/plan_partial.hpp"
#include "plan/plan_rows.hpp"
#include "plan/prediction.hpp"

namespace hawser {

namespace {

/// Chunks until the shares of roots repeat, at most. Where each of them may have trees of its own, fewer.
constexpr std::uint32_t kSlotsMax = 1024;
constexpr std::uint32_t kSlotsOfTreesMax = 256;
/// Of all ranks as roots, where the ways to them change.
constexpr std::uint32_t kTurnsMax = 4;

bool in_segments(Collective collective) {
  return collective == Collective::all_gather || collective == Collective::reduce_scatter;
}

/// Not more than `most`, and so that the chunks make about whole rounds.
std::uint32_t slots_for(std::uint64_t chunks, std::uint32_t most) {
  return static_cast<std::uint32_t>(divide_up(chunks, divide_up(chunks, most)));
}

std::string in_words(double seconds) {
  std::array<char, 32> text{};
  if (seconds < 1)
    std::snprintf(text.data(), text.size(), "%.3g ms", seconds * 1e3);
  else
    std::snprintf(text.data(), text.size(), "%.3g s", seconds);
  return text.data();
}

/// Where no rate is known, or nothing is to be moved. Direct has 2 hops, a ring 2(N-1), for the same bytes.
PlanKind kind_without_rates(const PlanInput& in, std::string& reason) {
  if (in.kind == PlanKind::hierarchical) {
    reason = "hierarchical was asked for, but no regions are known";
    return PlanKind::direct;
  }
  if (in.kind != PlanKind::automatic) {
    reason = "asked for";
    return in.kind;
  }
  if (in.network != nullptr && in.elements == 0)
    reason = "direct: there is nothing to move";
  else if (in.between_hosts)
    reason = "direct: nothing is known of the links yet";
  else
    reason = "direct: all members are on one host, whose links are not measured";
  return PlanKind::direct;
}

/// Every rank is a root in its turn.
template <class Make>
std::vector<Trees> trees_of_roots(const Plan& plan, const Make& make) {
  std::vector<Trees> trees;
  const std::uint64_t roots = std::min<std::uint64_t>(plan.world_size, plan.chunking.chunks());
  for (std::uint32_t root = 0; root < roots; ++root) trees.push_back(make(root));
  return trees;
}

/// Where some pairs have no way of their own, and plans do without these.
bool avoids_pairs(const PlanInput& in) { return in.network != nullptr && in.network->estimates.avoids_pairs(); }

void use_shared_trees(Plan& plan, const SharedTrees& shared) {
  const std::vector<std::uint32_t> counts =
      apportion(shared.shares, slots_for(plan.chunking.chunks(), kSlotsOfTreesMax));
  std::vector<std::uint32_t> used_counts;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    plan.trees.push_back(shared.trees[i]);
    used_counts.push_back(counts[i]);
  }
  plan.cycle = interleave(used_counts);
}

/// Trees of any depth, where some pairs have no way of their own.
void use_deep_trees(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::hierarchical;
  use_shared_trees(plan, in.network->deep_along_links);
}

/// Every rank is a root in its turn, and the ways to it change from turn to turn.
void use_direct_along_links(const PlanInput& in, Plan& plan) {
  const std::uint64_t turns = divide_up(plan.chunking.chunks(), in.world_size);
  TreeCycle made = direct_cycle_along_links(in.network->estimates, in.collective,
                                            static_cast<std::uint32_t>(std::clamp<std::uint64_t>(turns, 1, kTurnsMax)));
  plan.trees = std::move(made.trees);
  plan.cycle = std::move(made.cycle);
}

/// Relays at some roots.
void use_relayed(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::direct;
  plan.relays = in.relays;
  use_shared_trees(plan, in.network->relayed);
}

/// Every member and every relay is a root in its turn: nothing is known of any.
void use_relays_in_turn(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::direct;
  plan.relays = in.relays;
  const std::uint64_t roots = std::min<std::uint64_t>(plan.nodes(), plan.chunking.chunks());
  for (std::uint32_t root = 0; root < roots; ++root)
    plan.trees.push_back(root < in.world_size ? direct_trees_beside_relays(root, in.world_size, in.relays)
                                              : relayed_trees(root, in.world_size, in.relays));
  plan.reason += "; " + std::to_string(in.relays) + (in.relays == 1 ? " relay adds" : " relays add") + ", too";
}

/// Who has no share gets no trees.
template <class Make>
void use_shares(Plan& plan, const Shares& shares, const Make& make) {
  const std::vector<std::uint32_t> counts = apportion(shares, slots_for(plan.chunking.chunks(), kSlotsMax));
  std::vector<std::uint32_t> used_counts;
  for (std::uint32_t rank = 0; rank < counts.size(); ++rank) {
    if (counts[rank] == 0) continue;
    plan.trees.push_back(make(rank));
    used_counts.push_back(counts[rank]);
  }
  plan.cycle = interleave(used_counts);
}

void use_ring(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::ring;
  const auto make = [&](std::uint32_t root) {
    return in.network != nullptr ? ring_trees(root, in.network->ring) : ring_trees(root, in.world_size);
  };
  if (in.collective == Collective::broadcast)
    plan.trees = {make(in.root)};
  else
    plan.trees = trees_of_roots(plan, make);
}

void use_star(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::direct;
  const auto along_links = [&] {
    const topology::Estimates& estimates = in.network->estimates;
    return trees_along_links({.root = in.root}, estimates, {estimates, in.collective});
  };
  plan.trees = {avoids_pairs(in) ? along_links() : direct_trees(in.root, in.world_size)};
}

void use_direct(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::direct;
  if (in.collective != Collective::broadcast) {
    if (avoids_pairs(in)) return use_direct_along_links(in, plan);
    plan.trees = trees_of_roots(plan, [&](std::uint32_t root) { return direct_trees(root, in.world_size); });
    return;
  }
  if (avoids_pairs(in)) return use_star(in, plan);
  // So small that the second hop costs more than the root's sending it to everybody.
  if (plan.chunking.chunks() < in.world_size) {
    plan.trees = {direct_trees(in.root, in.world_size)};
    return;
  }
  for (std::uint32_t relay = 0; relay < in.world_size; ++relay)
    if (relay != in.root) plan.trees.push_back(relay_trees(in.root, relay, in.world_size));
}

/// Roots or relays by what the links can do.
void use_direct_by_rates(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::direct;
  if (avoids_pairs(in))
    use_shared_trees(plan, in.collective == Collective::broadcast
                               ? relay_trees_along_links(in.network->estimates, in.root)
                               : in.network->flat_along_links);
  else if (in.collective == Collective::broadcast)
    use_shares(plan, relay_shares(in.network->estimates, in.root),
               [&](std::uint32_t relay) { return relay_trees(in.root, relay, in.world_size); });
  else
    use_shares(plan, in.network->direct,
               [&](std::uint32_t root) { return direct_trees(root, in.world_size); });
}

void use_hierarchical(const PlanInput& in, Plan& plan) {
  plan.kind = PlanKind::hierarchical;
  const std::uint32_t most = std::max(kSlotsOfTreesMax, in.world_size);
  const std::uint32_t slots = slots_for(plan.chunking.chunks(), most);
  TreeCycle made;
  if (in.collective == Collective::broadcast)
    made = hierarchical_broadcast_cycle(*in.network, in.root, slots);
  else if (in_segments(in.collective))
    made = hierarchical_cycle_of_ranks(*in.network, in.collective, std::max(1U, slots / in.world_size));
  else
    made = hierarchical_cycle(*in.network, slots);
  plan.trees = std::move(made.trees);
  plan.cycle = std::move(made.cycle);
}

/// Where members have links along rows and columns only. The same bytes as direct, in 4 hops.
void use_rows(const PlanInput& in, Plan& plan) {
  const std::string rows = "rows of " + std::to_string(in.row_width);
  if (in.kind == PlanKind::ring) {
    plan.kind = PlanKind::ring;
    plan.reason = "asked for";
    const std::vector<std::uint32_t> order = ring_of_rows(in.world_size, in.row_width);
    const auto make = [&](std::uint32_t root) { return ring_trees(root, order); };
    plan.trees =
        in.collective == Collective::broadcast ? std::vector<Trees>{make(in.root)} : trees_of_roots(plan, make);
    return;
  }
  plan.kind = PlanKind::hierarchical;
  plan.reason =
      "hierarchical (" + rows + "): in so large a group members have links along rows and columns of ranks only";
  if (in.kind == PlanKind::direct) plan.reason += "; direct was asked for, and needs all links";
  if (in.kind == PlanKind::hierarchical) plan.reason += "; asked for";
  if (in.collective != Collective::broadcast) {
    plan.trees =
        trees_of_roots(plan, [&](std::uint32_t root) { return row_trees(root, in.world_size, in.row_width); });
    return;
  }
  plan.trees = row_relay_trees(in.root, in.world_size, in.row_width);
  // Too small for the second way to pay.
  if (plan.chunking.chunks() < plan.trees.size()) plan.trees = {row_trees(in.root, in.world_size, in.row_width)};
}

struct Candidate {
  std::string name;
  Plan plan;
  std::uint32_t margin_percent = 0;  ///< By which it must be faster than those before it.
  double seconds() const { return plan.predicted_seconds; }
};

/// The simplest plan, and whichever beats it by more than what is measured may be wrong.
class Choice {
 public:
  Choice(const PlanInput& in, const Plan& empty) : in_(in), empty_(empty) {}

  Plan make() {
    const bool structured = in_.network->estimates.regions().structured();
    const bool forced_hierarchical = in_.kind == PlanKind::hierarchical;
    const bool forced_ring = in_.kind == PlanKind::ring;
    const bool has_ring = in_.network->ring_is_whole;
    if (wanted(PlanKind::direct) || (forced_hierarchical && !structured) || (forced_ring && !has_ring)) try_direct();
    if (wanted(PlanKind::ring) && has_ring) consider("ring", use_ring);
    if (wanted(PlanKind::hierarchical) && structured)
      consider(
          "hierarchical (" + std::to_string(in_.network->estimates.regions().members.size()) + " regions)",
          use_hierarchical);
    if (wanted(PlanKind::hierarchical) && avoids_pairs(in_) && in_.collective == Collective::all_reduce)
      consider("deep trees", use_deep_trees, 0);
    if (wanted(PlanKind::direct) && in_.collective == Collective::all_reduce && !in_.network->relayed.trees.empty() &&
        empty_.chunking.chunks() <= limits::kRelayedChunksMax)
      consider("through relays", use_relayed);
    const auto chosen = choose();
    std::rotate(candidates_.begin(), chosen, chosen + 1);
    std::stable_sort(candidates_.begin() + 1, candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.seconds() < b.seconds(); });
    const std::string why = reason_of_rates();
    Plan plan = std::move(candidates_.front().plan);
    plan.reason = candidates_.front().name + ": " + why;
    add_missing_pairs(plan);
    if (!in_.network->estimates.knows_rates()) plan.predicted_seconds = 0;
    if (forced_ring && !has_ring) plan.reason += "; no ring of existing links was found";
    if (forced_hierarchical && !structured) plan.reason += "; there are no regions: " + regions_reason();
    if (in_.kind != PlanKind::automatic) plan.reason += "; asked for";
    return plan;
  }

 private:
  bool wanted(PlanKind kind) const { return in_.kind == PlanKind::automatic || in_.kind == kind; }
  const std::string& regions_reason() const { return in_.network->estimates.regions().reason; }

  std::string reason_of_rates() const {
    if (!in_.network->estimates.knows_rates()) return "no rates are known of the links yet, only delays";
    const double chosen = candidates_.front().seconds();
    std::string reason = in_words(chosen) + " predicted";
    if (candidates_.size() > 1 && candidates_[1].seconds() < chosen)
      reason += ", and none is " + std::to_string(in_.margin_percent) + " % faster";
    for (std::size_t i = 1; i < candidates_.size(); ++i)
      reason += (i == 1 ? "; " : ", ") + candidates_[i].name + " " + in_words(candidates_[i].seconds());
    return reason;
  }

  void add_missing_pairs(Plan& plan) const {
    const std::uint32_t missing = in_.network->estimates.missing_pairs();
    if (missing == 0) return;
    plan.along_links = avoids_pairs(in_);
    plan.reason += "; " + std::to_string(missing) +
                   (missing == 1 ? " pair has no way of its own" : " pairs have no ways of their own") +
                   (plan.along_links ? ", and none of these is used" : ", and the others do not join all members");
  }

  void try_direct() {
    consider("direct", use_direct);
    // Where a segment belongs to a rank, its root is given.
    // Where pairs are missing, all trees take the same few links: what is measured wrong of these is as wrong for all.
    const std::uint32_t margin_percent = avoids_pairs(in_) ? 0 : in_.margin_percent;
    if (!in_segments(in_.collective)) consider("direct by rates", use_direct_by_rates, margin_percent);
    if (in_.collective == Collective::broadcast) consider("star", use_star);
  }

  template <class Use>
  void consider(const std::string& name, const Use& use) {
    consider(name, use, in_.margin_percent);
  }
  template <class Use>
  void consider(const std::string& name, const Use& use, std::uint32_t margin_percent) {
    candidates_.push_back({.name = name, .plan = empty_, .margin_percent = margin_percent});
    Plan& made = candidates_.back().plan;
    use(in_, made);
    const topology::Estimates& links = made.relays == 0 ? in_.network->estimates : *in_.network->with_relays;
    made.predicted_seconds = predict(made, in_.wire, in_.element_bytes, links).seconds;
  }

  /// They stand in the order of what a wrong measurement can spoil, the sturdiest first. A later one must be worth it.
  std::vector<Candidate>::iterator choose() {
    auto chosen = candidates_.begin();
    for (auto one = candidates_.begin(); one != candidates_.end(); ++one)
      if (one->seconds() * (100.0 + one->margin_percent) < chosen->seconds() * 100.0) chosen = one;
    return chosen;
  }

  const PlanInput& in_;
  const Plan& empty_;
  std::vector<Candidate> candidates_;
};

/// What the slowest link carries in a second, in bytes as the chunks are reckoned.
std::uint64_t slowest_in_memory_bytes(const PlanInput& in) {
  if (in.network == nullptr || !in.network->estimates.knows_rates()) return 0;
  const double rate = in.network->estimates.slowest_rate();
  const double shrinks =
      in.wire.down == 0 ? 1 : in.element_bytes * 1024.0 / static_cast<double>(in.wire.down);
  return static_cast<std::uint64_t>(std::clamp(rate * shrinks, 1.0, 1e15));
}

/// A first large call shows what relays can do. A small one is over sooner without them.
bool uses_relays_unknown(const PlanInput& in, Plan& plan) {
  const bool asks_for_it = in.kind == PlanKind::automatic || in.kind == PlanKind::direct;
  const bool is_unknown = in.network == nullptr || (!in.network->estimates.knows_rates() && !avoids_pairs(in));
  if (in.relays == 0 || in.row_width != 0 || !is_unknown || in.collective != Collective::all_reduce || !asks_for_it ||
      plan.chunking.chunks() < in.world_size + in.relays || plan.chunking.chunks() > limits::kRelayedChunksMax)
    return false;
  return kind_without_rates(in, plan.reason) == PlanKind::direct;
}

}  // namespace

Plan make_plan(const PlanInput& in) {
  HAWSER_ASSERT(in.world_size >= 2);
  HAWSER_ASSERT(in.network == nullptr || in.network->estimates.world_size() == in.world_size);
  HAWSER_ASSERT(in.network == nullptr || in.row_width == 0);
  Plan plan{.collective = in.collective,
            .kind = PlanKind::direct,
            .reason = {},
            .world_size = in.world_size,
            .chunking = cut({.elements = in.elements,
                             .element_bytes = in.element_bytes,
                             .world_size = in.world_size,
                             .segments = in_segments(in.collective) ? in.world_size : 1,
                             .bytes_per_second = slowest_in_memory_bytes(in),
                             .between_hosts = in.between_hosts}),
            .trees = {},
            .cycle = {},
            .predicted_seconds = 0};
  if (uses_relays_unknown(in, plan)) {
    use_relays_in_turn(in, plan);
    return plan;
  }
  if (in.network != nullptr && plan.chunking.chunks() > 0) return Choice(in, plan).make();
  if (in.row_width != 0)
    use_rows(in, plan);
  else if (kind_without_rates(in, plan.reason) == PlanKind::ring)
    use_ring(in, plan);
  else
    use_direct(in, plan);
  return plan;
}

}  // namespace hawser
