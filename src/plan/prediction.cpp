#include "plan/prediction.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/assert.hpp"

namespace hawser {
namespace {

using topology::Estimates;

constexpr double kMessageSeconds = 5e-6;

/// Of one element, in bytes.
struct ElementBytes {
  double leaf_up;
  double inner_up;
  double down;
};

ElementBytes per_element(const WireBytes& wire, std::uint32_t element_bytes) {
  const auto or_memory = [&](std::uint64_t bytes) {
    return bytes == 0 ? static_cast<double>(element_bytes) : static_cast<double>(bytes) / 1024;
  };
  return {
      .leaf_up = or_memory(wire.leaf_up), .inner_up = or_memory(wire.inner_up), .down = or_memory(wire.down)};
}

/// By trees: how many elements use them.
std::vector<double> elements_by_trees(const Plan& plan) {
  const Chunking& chunking = plan.chunking;
  const std::uint64_t chunks = chunking.chunks();
  const std::uint64_t slots = plan.cycle.empty() ? plan.trees.size() : plan.cycle.size();
  std::vector<double> elements(plan.trees.size());
  for (std::uint64_t slot = 0; slot < std::min(slots, chunks); ++slot) {
    const std::uint64_t rounds = (chunks - slot - 1) / slots + 1;
    elements[plan.tree_index(slot)] +=
        static_cast<double>(rounds) * static_cast<double>(chunking.chunk_elements);
  }
  // The last chunk of each segment may be short.
  for (std::uint64_t chunk = chunks - chunking.segments; chunk < chunks; ++chunk)
    elements[plan.tree_index(chunk)] -= static_cast<double>(chunking.chunk_elements - chunking.count(chunk));
  return elements;
}

/// One direction of the trees of a chunk.
struct Flow {
  const std::vector<std::uint32_t>& parent;
  bool up = true;
  double leaf_bytes = 0;  ///< Per element, on the link from or to a rank that has no children.
  double inner_bytes = 0;
};

/// The way between the root and a rank.
struct Path {
  double seconds = 0;
  double slowest_chunk_seconds = 0;  ///< Of the hops on it.
  double beside_slowest() const { return seconds - slowest_chunk_seconds; }
};

class Loads {
 public:
  explicit Loads(const Estimates& estimates)
      : estimates_(estimates),
        pairs_(static_cast<std::size_t>(estimates.world_size()) * estimates.world_size()),
        pairs_up_(pairs_.size()) {}

  /// Adds what a flow of so many elements carries, and finds its longest path for chunks of so many.
  Path add(const Flow& flow, std::uint32_t root, double elements, double chunk_elements) {
    const auto world_size = static_cast<std::uint32_t>(flow.parent.size());
    children_.assign(world_size, 0);
    for (const std::uint32_t parent : flow.parent)
      if (parent != kNoParent) ++children_[parent];
    // Many ranks send to few: row by row of the receivers. In a chain all are alike, and both directions take one
    // matrix.
    const auto inner = world_size - std::count(children_.begin(), children_.end(), 0U);
    const bool by_receiver = flow.up && 8 * inner < world_size;
    paths_.assign(world_size, {.seconds = -1});
    paths_[root] = {};
    Path longest;
    for (std::uint32_t rank = 0; rank < world_size; ++rank) {
      if (rank != root && flow.parent[rank] == kNoParent) continue;  // A relay that these trees do without.
      if (rank != root)
        (by_receiver ? pairs_up_ : pairs_)[place(flow, by_receiver, rank)] += elements * bytes(flow, rank);
      const Path path = path_of(flow, by_receiver, rank, chunk_elements);
      if (path.beside_slowest() > longest.beside_slowest()) longest = path;
    }
    return longest;
  }

  /// The busiest resource. Once, after all flows.
  void find_bottleneck(Prediction& out) {
    add_ups();
    take_detours();
    const std::uint32_t world_size = estimates_.world_size();
    std::vector<double> up(world_size);
    std::vector<double> down(world_size);
    std::vector<double> cables(estimates_.cable_rates().size());
    Busiest busiest;
    for (std::uint32_t from = 0; from < world_size; ++from)
      for (std::uint32_t to = 0; to < world_size; ++to) {
        const double load = pairs_[static_cast<std::size_t>(from) * world_size + to];
        if (load == 0) continue;
        up[from] += load;
        down[to] += load;
        if (estimates_.cable(from, to) != topology::kNoCable) cables[estimates_.cable(from, to)] += load;
        busiest.look({load / estimates_.rate(from, to), Resource::pair, from, to});
      }
    for (std::uint32_t cable = 0; cable < cables.size(); ++cable)
      busiest.look({cables[cable] / estimates_.cable_rates()[cable], Resource::cable, cable, 0});
    for (std::uint32_t rank = 0; rank < world_size; ++rank) {
      busiest.look({up[rank] / estimates_.uplink(rank), Resource::uplink, rank, 0});
      busiest.look({down[rank] / estimates_.downlink(rank), Resource::downlink, rank, 0});
    }
    out.transfer_seconds = busiest.use.seconds;
    out.bottleneck = describe(busiest.use);
  }

 private:
  enum class Resource : std::uint8_t { none, pair, cable, uplink, downlink };
  struct Use {
    double seconds = 0;
    Resource resource = Resource::none;
    std::uint32_t first = 0;
    std::uint32_t second = 0;
  };
  struct Busiest {
    Use use;
    /// Of equally busy ones the later: an access link says more than one of its pairs.
    void look(const Use& other) {
      if (other.resource != Resource::none && other.seconds >= use.seconds && other.seconds > 0) use = other;
    }
  };

  std::string describe(const Use& use) const {
    switch (use.resource) {
      case Resource::pair:
        return "the link from rank " + std::to_string(use.first) + " to rank " + std::to_string(use.second);
      case Resource::uplink: return "the uplink of rank " + std::to_string(use.first);
      case Resource::downlink: return "the downlink of rank " + std::to_string(use.first);
      case Resource::cable: return "the cable " + ends_of(use.first);
      case Resource::none: break;
    }
    return "nothing";
  }
  std::string ends_of(std::uint32_t cable) const {
    for (std::uint32_t from = 0; from < estimates_.world_size(); ++from)
      for (std::uint32_t to = 0; to < estimates_.world_size(); ++to)
        if (estimates_.cable(from, to) == cable)
          return "from the region of rank " + std::to_string(from) + " to that of rank " + std::to_string(to);
    return "";
  }

  std::size_t at(std::uint32_t row, std::uint32_t column) const {
    return static_cast<std::size_t>(row) * estimates_.world_size() + column;
  }
  /// Of the link between a rank and its parent, in matrices by senders or by receivers.
  std::size_t place(const Flow& flow, bool by_receiver, std::uint32_t rank) const {
    const std::uint32_t parent = flow.parent[rank];
    return flow.up && !by_receiver ? at(rank, parent) : at(parent, rank);
  }
  /// In squares, since one of the two matrices is gone through across its rows.
  void add_ups() {
    constexpr std::uint32_t kSide = 32;
    const std::uint32_t size = estimates_.world_size();
    for (std::uint32_t rows = 0; rows < size; rows += kSide)
      for (std::uint32_t columns = 0; columns < size; columns += kSide)
        for (std::uint32_t from = rows; from < std::min(rows + kSide, size); ++from)
          for (std::uint32_t to = columns; to < std::min(columns + kSide, size); ++to)
            pairs_[at(from, to)] += pairs_up_[at(to, from)];
  }
  /// What a go-between passes on comes in by its downlink and leaves by its uplink.
  void take_detours() {
    if (estimates_.missing_pairs() == 0) return;
    const std::uint32_t size = estimates_.world_size();
    for (std::uint32_t from = 0; from < size; ++from)
      for (std::uint32_t to = 0; to < size; ++to) {
        const std::uint32_t by = estimates_.through(from, to);
        if (by >= size) continue;
        const double load = std::exchange(pairs_[at(from, to)], 0);
        pairs_[at(from, by)] += load;
        pairs_[at(by, to)] += load;
      }
  }
  double bytes(const Flow& flow, std::uint32_t rank) const {
    return children_[rank] == 0 ? flow.leaf_bytes : flow.inner_bytes;
  }

  /// Follows the parents until a rank whose path is known, then comes back and fills in.
  Path path_of(const Flow& flow, bool by_receiver, std::uint32_t rank, double chunk_elements) {
    const std::vector<double>& rates = by_receiver ? estimates_.rates_by_receiver() : estimates_.rates_by_sender();
    const std::vector<double>& delays = by_receiver ? estimates_.delays_by_receiver() : estimates_.delays_by_sender();
    climbed_.clear();
    for (std::uint32_t on_way = rank; paths_[on_way].seconds < 0; on_way = flow.parent[on_way])
      climbed_.push_back(on_way);
    for (std::size_t i = climbed_.size(); i-- > 0;) {
      const std::uint32_t child = climbed_[i];
      const std::uint32_t parent = flow.parent[child];
      const std::size_t link = place(flow, by_receiver, child);
      const double chunk_seconds = chunk_elements * bytes(flow, child) / rates[link];
      const double hop = delays[link] + chunk_seconds + kMessageSeconds * children_[parent];
      paths_[child] = {.seconds = paths_[parent].seconds + hop,
                       .slowest_chunk_seconds = std::max(paths_[parent].slowest_chunk_seconds, chunk_seconds)};
    }
    return paths_[rank];
  }

  const Estimates& estimates_;
  std::vector<double> pairs_;     ///< Bytes, by senders.
  std::vector<double> pairs_up_;  ///< Those of flows that climb, by receivers.
  std::vector<std::uint32_t> children_;
  std::vector<Path> paths_;
  std::vector<std::uint32_t> climbed_;
};

}  // namespace

Prediction predict(const Plan& plan, const WireBytes& wire, std::uint32_t element_bytes,
                   const Estimates& estimates) {
  HAWSER_ASSERT(!plan.trees.empty() && plan.nodes() == estimates.world_size());
  const ElementBytes bytes = per_element(wire, element_bytes);
  const std::vector<double> elements = elements_by_trees(plan);
  Prediction out;
  Loads loads(estimates);
  for (std::size_t i = 0; i < plan.trees.size(); ++i) {
    if (elements[i] == 0) continue;
    const Trees& trees = plan.trees[i];
    const double chunk = std::min(elements[i], static_cast<double>(plan.chunking.chunk_elements));
    Path up;
    Path down;
    if (plan.climbs())
      up = loads.add({trees.reduce_parent, true, bytes.leaf_up, bytes.inner_up}, trees.root, elements[i],
                     chunk);
    if (plan.descends())
      down =
          loads.add({trees.broadcast_parent, false, bytes.down, bytes.down}, trees.root, elements[i], chunk);
    out.path_seconds =
        std::max(out.path_seconds,
                 up.seconds + down.seconds - std::max(up.slowest_chunk_seconds, down.slowest_chunk_seconds));
  }
  loads.find_bottleneck(out);
  out.commit_seconds = estimates.control_round_trip();
  out.seconds = out.transfer_seconds + out.path_seconds + out.commit_seconds;
  return out;
}

namespace {

/// In units of a segment.
struct LeastTraffic {
  double sent = 1;  ///< By each member.
  double received = 1;
  double together = 0;
};

LeastTraffic least_traffic(Collective collective, double members) {
  switch (collective) {
    case Collective::all_reduce: return {.sent = 1, .received = 1, .together = 2 * (members - 1)};
    case Collective::broadcast: return {.sent = 0, .received = 0, .together = members - 1};
    case Collective::all_gather:
      return {.sent = 1, .received = members - 1, .together = members * (members - 1)};
    case Collective::reduce_scatter:
      return {.sent = members - 1, .received = 1, .together = members * (members - 1)};
    default: return {.sent = 0, .received = 0, .together = 0};
  }
}

/// What must cross the border of a region with so many members.
std::array<double, 2> out_and_in(const PlanInput& input, double inside, bool has_root) {
  const double outside = input.world_size - inside;
  switch (input.collective) {
    case Collective::all_reduce: return {1, 1};
    case Collective::broadcast: return {has_root ? 1.0 : 0.0, has_root ? 0.0 : 1.0};
    case Collective::all_gather: return {inside, outside};
    case Collective::reduce_scatter: return {outside, inside};
    default: return {0, 0};
  }
}

double across_borders(const PlanInput& input, const Estimates& estimates) {
  const topology::Regions& regions = estimates.regions();
  if (regions.members.size() < 2) return 0;
  double slowest = 0;
  for (std::uint32_t region = 0; region < regions.members.size(); ++region) {
    const auto& inside = regions.members[region];
    std::vector<std::uint32_t> outside;
    for (std::uint32_t rank = 0; rank < estimates.world_size(); ++rank)
      if (regions.of_rank[rank] != region) outside.push_back(rank);
    const auto [out, in] =
        out_and_in(input, static_cast<double>(inside.size()), regions.of_rank[input.root] == region);
    slowest = std::max({slowest, out / estimates.rate_between(inside, outside),
                        in / estimates.rate_between(outside, inside)});
  }
  return slowest;
}

}  // namespace

double ideal_seconds(const PlanInput& input, const Estimates& estimates) {
  const std::uint32_t members = estimates.world_size();
  const ElementBytes bytes = per_element(input.wire, input.element_bytes);
  double least_bytes = std::numeric_limits<double>::infinity();
  if (reduces(input.collective)) least_bytes = std::min(bytes.leaf_up, bytes.inner_up);
  if (input.collective != Collective::reduce_scatter) least_bytes = std::min(least_bytes, bytes.down);
  const LeastTraffic least = least_traffic(input.collective, members);
  double per_segment = across_borders(input, estimates);
  double uplinks = 0;
  double downlinks = 0;
  double loneliest = 0;
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    const bool root = input.collective == Collective::broadcast && rank == input.root;
    const bool leaf = input.collective == Collective::broadcast && rank != input.root;
    per_segment = std::max({per_segment, (root ? 1 : least.sent) / estimates.uplink(rank),
                            (leaf ? 1 : least.received) / estimates.downlink(rank)});
    uplinks += estimates.uplink(rank);
    downlinks += estimates.downlink(rank);
    double nearest = std::numeric_limits<double>::infinity();
    for (std::uint32_t to = 0; to < members; ++to)
      if (to != rank) nearest = std::min({nearest, estimates.delay(rank, to), estimates.delay(to, rank)});
    loneliest = std::max(loneliest, nearest);
  }
  per_segment = std::max({per_segment, least.together / uplinks, least.together / downlinks});
  return per_segment * static_cast<double>(input.elements) * least_bytes + loneliest +
         estimates.control_round_trip();
}

}  // namespace hawser
