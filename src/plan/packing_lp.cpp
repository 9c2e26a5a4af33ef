#include "plan/packing_lp.hpp"

#include <utility>

#include "base/assert.hpp"

namespace hawser {
namespace {

constexpr double kNothing = 1e-12;

/// Dictionary form: each row says how far a basic variable is from zero as a function of the free ones.
class Tableau {
 public:
  explicit Tableau(const PackingProblem& problem)
      : free_(problem.variables),
        rows_(problem.rows),
        limits_(problem.limits),
        gain_(problem.variables, 1.0) {
    for (std::size_t column = 0; column < free_.size(); ++column) free_[column] = column;
    for (std::size_t row = 0; row < rows_.size(); ++row) basic_.push_back(free_.size() + row);
  }

  std::vector<double> run() {
    const std::size_t variables = free_.size();
    const std::size_t greedy_pivots = 4 * (variables + rows_.size());
    for (std::size_t pivots = 0;; ++pivots) {
      // The steepest column is fast, the lowest one (Bland) cannot go in circles.
      const std::size_t column = entering(pivots < greedy_pivots);
      if (column == free_.size()) break;
      const std::size_t row = leaving(column);
      HAWSER_ASSERT(row < rows_.size());
      pivot(row, column);
    }
    std::vector<double> values(variables, 0.0);
    for (std::size_t row = 0; row < rows_.size(); ++row)
      if (basic_[row] < variables) values[basic_[row]] = limits_[row] > 0 ? limits_[row] : 0;
    return values;
  }

 private:
  std::size_t entering(bool steepest) const {
    std::size_t best = free_.size();
    for (std::size_t column = 0; column < free_.size(); ++column) {
      if (gain_[column] <= kNothing) continue;
      if (best == free_.size() || (steepest ? gain_[column] > gain_[best] : free_[column] < free_[best]))
        best = column;
    }
    return best;
  }

  std::size_t leaving(std::size_t column) const {
    std::size_t best = rows_.size();
    double best_step = 0;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (rows_[row][column] <= kNothing) continue;
      const double step = limits_[row] / rows_[row][column];
      if (best == rows_.size() || step < best_step || (step == best_step && basic_[row] < basic_[best])) {
        best = row;
        best_step = step;
      }
    }
    return best;
  }

  void pivot(std::size_t row, std::size_t column) {
    const double divisor = rows_[row][column];
    for (double& value : rows_[row]) value /= divisor;
    limits_[row] /= divisor;
    rows_[row][column] = 1 / divisor;
    for (std::size_t other = 0; other < rows_.size(); ++other) {
      if (other == row || rows_[other][column] == 0) continue;
      const double factor = rows_[other][column];
      subtract(rows_[other], rows_[row], factor, column);
      limits_[other] -= factor * limits_[row];
      if (limits_[other] < 0) limits_[other] = 0;
    }
    subtract(gain_, rows_[row], gain_[column], column);
    std::swap(basic_[row], free_[column]);
  }

  static void subtract(std::vector<double>& from, const std::vector<double>& what, double factor,
                       std::size_t column) {
    for (std::size_t i = 0; i < from.size(); ++i)
      from[i] = i == column ? -factor * what[i] : from[i] - factor * what[i];
  }

  std::vector<std::size_t> free_;
  std::vector<std::size_t> basic_;
  std::vector<std::vector<double>> rows_;
  std::vector<double> limits_;
  std::vector<double> gain_;
};

}  // namespace

std::vector<double> solve(const PackingProblem& problem) { return Tableau(problem).run(); }

}  // namespace hawser
