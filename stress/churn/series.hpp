#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace hawser::churn {

/// Measurements of one thing, for their quantiles.
class Series {
 public:
  void add(double value) { values_.push_back(value); }
  std::size_t count() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  /// The smallest value that at least the fraction q of all values don't exceed; 0 if there are none.
  double quantile(double q) const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const double place = q * static_cast<double>(sorted.size());
    const auto index = static_cast<std::size_t>(std::max(0.0, place - 1e-9));
    return sorted[std::min(index, sorted.size() - 1)];
  }
  double min() const { return quantile(0); }
  double median() const { return quantile(0.5); }
  double p95() const { return quantile(0.95); }
  double p99() const { return quantile(0.99); }
  double max() const { return quantile(1); }

 private:
  std::vector<double> values_;
};

}  // namespace hawser::churn
