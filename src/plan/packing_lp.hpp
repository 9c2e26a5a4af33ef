#pragma once

#include <cstddef>
#include <vector>

namespace hawser {

/// Maximise the sum of v over v >= 0 with rows * v <= limits: a packing problem where nothing is negative, so
/// that v = 0 is a first solution.
struct PackingProblem {
  std::size_t variables = 0;
  std::vector<std::vector<double>> rows;
  std::vector<double> limits;
};

/// The primal simplex method on a dense tableau, exact up to rounding; the same bits everywhere. For some
/// dozens of variables and some hundred rows: O(rows * variables) per pivot. Every variable must be limited
/// by some row.
std::vector<double> solve(const PackingProblem& problem);

}  // namespace hawser
