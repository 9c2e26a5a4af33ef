#include "plan/root_shares.hpp"

#include <algorithm>
#include <numeric>

#include "plan/packing_lp.hpp"

namespace hawser {
namespace {

using topology::Estimates;

constexpr std::uint32_t kLinearProgramMax = 32;  ///< Members, or regions.
constexpr double kWorthIt = 1.01;
constexpr int kHalvings = 100;
constexpr int kEveningSteps = 12;

double access(const Estimates& estimates, std::uint32_t rank) {
  return std::min(estimates.uplink(rank), estimates.downlink(rank));
}

Shares even(std::size_t members) { return Shares(members, 1.0 / static_cast<double>(members)); }

/// Makes them add up to 1; even if they add up to nothing.
Shares normalised(Shares shares) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (!(sum > 0)) return even(shares.size());
  for (double& share : shares) share /= sum;
  return shares;
}

/// Shares x with sum 1 that make max (1 + x_i fan) / capacity_i small, those with x_i = 0 aside: filled to
/// one level.
Shares water_fill(const std::vector<double>& capacities, double fan) {
  if (fan <= 0) return even(capacities.size());
  const auto filled = [&](double seconds_per_byte) {
    Shares shares;
    for (const double capacity : capacities)
      shares.push_back(std::max(0.0, (seconds_per_byte * capacity - 1) / fan));
    return shares;
  };
  double low = 0;
  double high = (1 + fan) / *std::max_element(capacities.begin(), capacities.end());
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    const Shares shares = filled(middle);
    (std::accumulate(shares.begin(), shares.end(), 0.0) < 1 ? low : high) = middle;
  }
  return normalised(filled(high));
}

/// By cable and rank: on how many of its pairs the rank is.
std::vector<std::vector<double>> ends_on_cables(const Estimates& estimates) {
  std::vector<std::vector<double>> ends(estimates.cable_rates().size(),
                                        std::vector<double>(estimates.world_size()));
  for (std::uint32_t from = 0; from < estimates.world_size(); ++from)
    for (std::uint32_t to = 0; to < estimates.world_size(); ++to) {
      const std::uint32_t cable = estimates.cable(from, to);
      if (cable == topology::kNoCable) continue;
      ends[cable][from] += 1;
      ends[cable][to] += 1;
    }
  return ends;
}

/// In v = w / T, so that sum(v) = 1 / T is what is maximised. Rates as fractions of the fastest.
PackingProblem direct_problem(const Estimates& estimates, double fastest) {
  const std::uint32_t members = estimates.world_size();
  PackingProblem problem{.variables = members, .rows = {}, .limits = {}};
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    std::vector<double> row(members, 1.0);
    row[rank] += members - 2.0;
    problem.rows.push_back(std::move(row));
    problem.limits.push_back(access(estimates, rank) / fastest);
  }
  for (std::uint32_t a = 0; a < members; ++a)
    for (std::uint32_t b = a + 1; b < members; ++b) {
      std::vector<double> row(members);
      row[a] = row[b] = 1;
      problem.rows.push_back(std::move(row));
      problem.limits.push_back(std::min(estimates.rate(a, b), estimates.rate(b, a)) / fastest);
    }
  const auto ends = ends_on_cables(estimates);
  for (std::size_t cable = 0; cable < ends.size(); ++cable) {
    problem.rows.push_back(ends[cable]);
    problem.limits.push_back(estimates.cable_rates()[cable] / fastest);
  }
  return problem;
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

Shares evened_solution(PackingProblem problem) {
  std::vector<double> best = solve(problem);
  const double wanted = sum_of(best) / kWorthIt;
  for (std::size_t variable = 0; variable < problem.variables; ++variable) {
    std::vector<double> row(problem.variables);
    row[variable] = 1;
    problem.rows.push_back(std::move(row));
    problem.limits.push_back(0);
  }
  double low = wanted / static_cast<double>(problem.variables);
  double high = *std::max_element(best.begin(), best.end());
  for (int step = 0; step < kEveningSteps; ++step) {
    const double middle = (low + high) / 2;
    std::fill(problem.limits.end() - static_cast<std::ptrdiff_t>(problem.variables), problem.limits.end(),
              middle);
    std::vector<double> tried = solve(problem);
    if (sum_of(tried) < wanted) {
      low = middle;
    } else {
      high = middle;
      best = std::move(tried);
    }
  }
  return normalised(std::move(best));
}

double direct_seconds_per_byte(const Estimates& estimates, const Shares& shares) {
  const std::uint32_t members = estimates.world_size();
  double slowest = 0;
  for (std::uint32_t a = 0; a < members; ++a) {
    slowest = std::max(slowest, (1 + shares[a] * (members - 2.0)) / access(estimates, a));
    for (std::uint32_t b = 0; b < members; ++b)
      if (a != b) slowest = std::max(slowest, (shares[a] + shares[b]) / estimates.rate(a, b));
  }
  std::vector<double> on_cable(estimates.cable_rates().size());
  for (std::uint32_t a = 0; a < members; ++a)
    for (std::uint32_t b = 0; b < members; ++b) {
      const std::uint32_t cable = estimates.cable(a, b);
      if (cable != topology::kNoCable) on_cable[cable] += shares[a] + shares[b];
    }
  for (std::size_t cable = 0; cable < on_cable.size(); ++cable)
    slowest = std::max(slowest, on_cable[cable] / estimates.cable_rates()[cable]);
  return slowest;
}

Shares direct_shares(const Estimates& estimates) {
  const std::uint32_t members = estimates.world_size();
  if (members == 2) return even(2);
  std::vector<double> capacities;
  for (std::uint32_t rank = 0; rank < members; ++rank) capacities.push_back(access(estimates, rank));
  Shares filled = water_fill(capacities, members - 2.0);
  if (members > kLinearProgramMax) return filled;
  const double fastest = *std::max_element(capacities.begin(), capacities.end());
  const PackingProblem problem = direct_problem(estimates, fastest);
  const double seconds_per_byte = 1 / (sum_of(solve(problem)) * fastest);
  if (direct_seconds_per_byte(estimates, filled) <= seconds_per_byte * kWorthIt) return filled;
  return evened_solution(problem);
}

Shares relay_shares(const Estimates& estimates, std::uint32_t root) {
  const std::uint32_t members = estimates.world_size();
  Shares shares(members, 0.0);
  for (std::uint32_t relay = 0; relay < members; ++relay) {
    if (relay == root) continue;
    double rate = estimates.rate(root, relay);
    for (std::uint32_t to = 0; to < members; ++to)
      if (to != relay && to != root) rate = std::min(rate, estimates.rate(relay, to));
    if (members > 2) rate = std::min(rate, estimates.uplink(relay) / (members - 2.0));
    shares[relay] = rate;
  }
  return normalised(std::move(shares));
}

namespace {

/// Seconds per byte over the cables between regions and the regions' access limits together.
double between_regions(const PackingProblem& problem, const Shares& shares) {
  double slowest = 0;
  for (std::size_t row = 0; row < problem.rows.size(); ++row) {
    double load = 0;
    for (std::size_t region = 0; region < shares.size(); ++region)
      load += problem.rows[row][region] * shares[region];
    slowest = std::max(slowest, load / problem.limits[row]);
  }
  return slowest;
}

/// In V = W / T, as for the direct shares.
PackingProblem region_problem(const Estimates& estimates) {
  const auto& regions = estimates.regions().members;
  const std::size_t count = regions.size();
  PackingProblem problem{.variables = count, .rows = {}, .limits = {}};
  for (std::size_t a = 0; a < count; ++a) {
    const double size = static_cast<double>(regions[a].size());
    std::vector<double> row(count, 2 * size - 1);
    row[a] += static_cast<double>(count) - 2;
    double limit = 0;
    for (const std::uint32_t rank : regions[a]) limit += access(estimates, rank);
    problem.rows.push_back(std::move(row));
    problem.limits.push_back(limit);
    for (std::size_t b = a + 1; b < count; ++b) {
      std::vector<double> cut(count);
      cut[a] = cut[b] = 1;
      problem.rows.push_back(std::move(cut));
      problem.limits.push_back(std::min(estimates.rate_between(regions[a], regions[b]),
                                        estimates.rate_between(regions[b], regions[a])));
    }
  }
  const double fastest = *std::max_element(problem.limits.begin(), problem.limits.end());
  for (double& limit : problem.limits) limit /= fastest;
  return problem;
}

}  // namespace

RegionShares region_shares(const Estimates& estimates) {
  const auto& regions = estimates.regions().members;
  RegionShares shares{.root_in = {}, .within_region = Shares(estimates.world_size())};
  for (const auto& region : regions)
    shares.root_in.push_back(static_cast<double>(region.size()) / estimates.world_size());
  if (regions.size() > 2 && regions.size() <= kLinearProgramMax) {
    const PackingProblem problem = region_problem(estimates);
    const double seconds_per_byte = 1 / sum_of(solve(problem));
    if (between_regions(problem, shares.root_in) > seconds_per_byte * kWorthIt)
      shares.root_in = evened_solution(problem);
  }
  for (std::size_t region = 0; region < regions.size(); ++region) {
    std::vector<double> capacities;
    for (const std::uint32_t rank : regions[region]) capacities.push_back(access(estimates, rank));
    const double fan = static_cast<double>(regions[region].size()) - 1 +
                       shares.root_in[region] * (static_cast<double>(regions.size()) - 2);
    const Shares within = water_fill(capacities, fan);
    for (std::size_t i = 0; i < within.size(); ++i) shares.within_region[regions[region][i]] = within[i];
  }
  return shares;
}

}  // namespace hawser
