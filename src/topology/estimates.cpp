#include "topology/estimates.hpp"

#include <algorithm>
#include <cfloat>

#include "base/assert.hpp"

namespace hawser::topology {
namespace {

static_assert(FLT_EVAL_METHOD == 0, "doubles must be computed as doubles, or members would plan differently");

constexpr double kDelaySecondsUnknown = 50e-6;
constexpr std::uint64_t kRateUnknown = 12'500'000;
/// Than between regions, where nothing but delays is known.
constexpr double kFasterInRegion = 4;

double seconds_of_ns(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

/// The lower one of two in the middle.
std::uint64_t median(std::vector<std::uint64_t>& known) {
  const auto middle = known.begin() + static_cast<std::ptrdiff_t>((known.size() - 1) / 2);
  std::nth_element(known.begin(), middle, known.end());
  return *middle;
}

std::uint64_t typical_rate(const Matrix& matrix) {
  std::vector<std::uint64_t> known;
  for (const PairMeasure& pair : matrix.pairs)
    if (pair.bytes_per_second != 0) known.push_back(pair.bytes_per_second);
  for (const MemberMeasure& member : matrix.members)
    for (const std::uint64_t rate : {member.uplink_bytes_per_second, member.downlink_bytes_per_second})
      if (rate != 0) known.push_back(rate);
  return known.empty() ? kRateUnknown : median(known);
}

/// What is measured of a pair without a way of its own is the way to its go-between.
double typical_delay(const Matrix& matrix) {
  std::vector<std::uint64_t> known;
  for (const PairMeasure& pair : matrix.pairs)
    if (pair.delay_ns != 0 && pair.through == kStraight) known.push_back(pair.delay_ns);
  return known.empty() ? kDelaySecondsUnknown : seconds_of_ns(median(known));
}

/// Rows become columns. In squares, so that neither matrix is gone through across its rows.
std::vector<double> turned(const std::vector<double>& matrix, std::uint32_t size) {
  constexpr std::uint32_t kSide = 32;
  std::vector<double> out(matrix.size());
  for (std::size_t rows = 0; rows < size; rows += kSide)
    for (std::size_t columns = 0; columns < size; columns += kSide)
      for (std::size_t row = rows; row < std::min<std::size_t>(rows + kSide, size); ++row)
        for (std::size_t column = columns; column < std::min<std::size_t>(columns + kSide, size); ++column)
          out[column * size + row] = matrix[row * size + column];
  return out;
}

}  // namespace

Estimates::Estimates(const Matrix& matrix)
    : world_size_(matrix.world_size), knows_rates_(topology::knows_rates(matrix)) {
  estimate_limits(matrix);
  estimate_rates(matrix);
  estimate_delays(matrix);
  if (misses_pairs(matrix)) {
    find_detours(matrix);
    estimate_detours();
  }
  regions_ = find_regions(*this);
  if (!knows_rates_) assume_near_is_fast();
  take_observed_cables(matrix);
  assume_cables_between_regions();
  rates_by_receiver_ = turned(rates_, world_size_);
  delays_by_receiver_ = turned(delays_, world_size_);
}

void Estimates::estimate_limits(const Matrix& matrix) {
  const double typical = static_cast<double>(typical_rate(matrix));
  for (std::uint32_t rank = 0; rank < world_size_; ++rank) {
    const MemberMeasure& member = matrix.members[rank];
    std::uint64_t up = member.uplink_bytes_per_second;
    std::uint64_t down = member.downlink_bytes_per_second;
    for (std::uint32_t other = 0; other < world_size_; ++other) {
      if (member.uplink_bytes_per_second == 0) up = std::max(up, matrix.pair(rank, other).bytes_per_second);
      if (member.downlink_bytes_per_second == 0)
        down = std::max(down, matrix.pair(other, rank).bytes_per_second);
    }
    uplinks_.push_back(up == 0 ? typical : static_cast<double>(up));
    downlinks_.push_back(down == 0 ? typical : static_cast<double>(down));
    control_round_trip_ = std::max(control_round_trip_, 2 * seconds_of_ns(member.control_delay_ns));
  }
}

void Estimates::estimate_rates(const Matrix& matrix) {
  rates_.resize(matrix.pairs.size());
  slowest_rate_ = uplinks_[0];
  for (std::uint32_t from = 0; from < world_size_; ++from)
    for (std::uint32_t to = 0; to < world_size_; ++to) {
      double rate = std::min(uplinks_[from], downlinks_[to]);
      const std::uint64_t measured = matrix.pair(from, to).bytes_per_second;
      if (measured != 0) rate = std::min(rate, static_cast<double>(measured));
      rates_[at(from, to)] = rate;
      if (from != to) slowest_rate_ = std::min(slowest_rate_, rate);
    }
}

void Estimates::estimate_delays(const Matrix& matrix) {
  delays_.resize(matrix.pairs.size());
  const double typical = typical_delay(matrix);
  for (std::uint32_t from = 0; from < world_size_; ++from)
    for (std::uint32_t to = 0; to < world_size_; ++to) {
      if (from == to) continue;
      std::uint64_t delay_ns = matrix.pair(from, to).delay_ns;
      if (delay_ns == 0) delay_ns = matrix.pair(to, from).delay_ns;
      delays_[at(from, to)] = delay_ns == 0 ? typical : seconds_of_ns(delay_ns);
    }
}

/// By the one that was told, if it has links to both; else by the nearest that has.
void Estimates::find_detours(const Matrix& matrix) {
  through_.reserve(matrix.pairs.size());
  for (const PairMeasure& pair : matrix.pairs) through_.push_back(pair.through);
  const auto joins = [&](std::uint32_t by, std::uint32_t a, std::uint32_t b) {
    return by != a && by != b && matrix.pair(a, by).through == kStraight && matrix.pair(by, b).through == kStraight;
  };
  for (std::uint32_t a = 0; a < world_size_; ++a)
    for (std::uint32_t b = a + 1; b < world_size_; ++b) {
      if (has_link(a, b)) continue;
      ++missing_pairs_;
      std::uint32_t best = through_[at(a, b)];
      if (best == kByAnyone || !joins(best, a, b)) {
        best = kByAnyone;
        double shortest = 0;
        for (std::uint32_t by = 0; by < world_size_; ++by) {
          if (!joins(by, a, b)) continue;
          const double way = delay(a, by) + delay(by, b);
          if (best != kByAnyone && way >= shortest) continue;
          best = by;
          shortest = way;
        }
      }
      through_[at(a, b)] = through_[at(b, a)] = best;
    }
  is_joined_ = links_join_all();
}

bool Estimates::links_join_all() const {
  std::vector<std::uint32_t> reached{0};
  std::vector<bool> is_reached(world_size_);
  is_reached[0] = true;
  for (std::size_t i = 0; i < reached.size(); ++i)
    for (std::uint32_t to = 0; to < world_size_; ++to) {
      if (is_reached[to] || !has_link(reached[i], to)) continue;
      is_reached[to] = true;
      reached.push_back(to);
    }
  return reached.size() == world_size_;
}

void Estimates::estimate_detours() {
  double slowest = 0;
  for (std::uint32_t from = 0; from < world_size_; ++from)
    for (std::uint32_t to = 0; to < world_size_; ++to) {
      const std::uint32_t by = through(from, to);
      if (from == to) continue;
      if (by < world_size_) {
        rates_[at(from, to)] = std::min(rate(from, by), rate(by, to));
        delays_[at(from, to)] = delay(from, by) + delay(by, to);
      }
      const bool counts = by == kStraight || !is_joined_;
      if (counts && (slowest == 0 || rate(from, to) < slowest)) slowest = rate(from, to);
    }
  slowest_rate_ = slowest;
}

/// Windows and losses make TCP the slower the longer the way is (Mathis et al. 1997), and what joins regions is shared.
void Estimates::assume_near_is_fast() {
  if (!regions_.structured()) return;
  for (std::vector<double>* const rates : {&uplinks_, &downlinks_})
    for (double& rate : *rates) rate *= kFasterInRegion;
  for (std::uint32_t from = 0; from < world_size_; ++from)
    for (std::uint32_t to = 0; to < world_size_; ++to)
      if (regions_.of_rank[from] == regions_.of_rank[to]) rates_[at(from, to)] *= kFasterInRegion;
}

void Estimates::take_observed_cables(const Matrix& matrix) {
  cable_of_.assign(matrix.pairs.size(), kNoCable);
  for (const Cable& cable : matrix.cables) {
    const auto index = static_cast<std::uint32_t>(cable_rates_.size());
    cable_rates_.push_back(static_cast<double>(cable.bytes_per_second));
    for (const std::uint32_t from : cable.from)
      for (const std::uint32_t to : cable.to) cable_of_[at(from, to)] = index;
  }
}

void Estimates::assume_cables_between_regions() {
  for (const auto& from_region : regions_.members)
    for (const auto& to_region : regions_.members) {
      // A single pair is its own cable.
      if (&from_region == &to_region || from_region.size() * to_region.size() == 1) continue;
      double best = 0;
      bool observed = false;
      for (const std::uint32_t from : from_region)
        for (const std::uint32_t to : to_region) {
          best = std::max(best, rate(from, to));
          observed = observed || cable(from, to) != kNoCable;
        }
      if (observed) continue;
      const auto index = static_cast<std::uint32_t>(cable_rates_.size());
      cable_rates_.push_back(best);
      for (const std::uint32_t from : from_region)
        for (const std::uint32_t to : to_region) cable_of_[at(from, to)] = index;
    }
}

double Estimates::rate_between(const std::vector<std::uint32_t>& senders,
                               const std::vector<std::uint32_t>& receivers) const {
  std::vector<bool> counted(cable_rates_.size());
  double together = 0;
  for (const std::uint32_t from : senders)
    for (const std::uint32_t to : receivers) {
      const std::uint32_t shared = cable(from, to);
      if (shared == kNoCable) together += rate(from, to);
      if (shared == kNoCable || counted[shared]) continue;
      counted[shared] = true;
      together += cable_rates_[shared];
    }
  return together;
}

}  // namespace hawser::topology
