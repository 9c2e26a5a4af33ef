#include "topology/steady_measure.hpp"

#include <algorithm>

namespace hawser::topology {
namespace {

constexpr double kJump = 2;
constexpr std::uint32_t kSettled = 8;
constexpr std::uint32_t kReach = 16;
constexpr double kBandSettling = 1.15;
constexpr double kBand = 1.3;

bool differ_by_more(double a, double b, double times) { return a > b * times || b > a * times; }

}  // namespace

void SteadyMeasure::take(std::uint64_t sample) {
  if (sample == 0) return;
  const auto value = static_cast<double>(sample);
  if (samples_ == 0 || differ_by_more(value, mean_, kJump)) {
    mean_ = value;
    samples_ = 1;
    held_ = sample;
    return;
  }
  const bool settles = samples_ + 1 == kSettled;
  const double band = samples_ + 1 < kSettled ? kBandSettling : kBand;
  samples_ = std::min(samples_ + 1, kReach);
  mean_ += (value - mean_) / samples_;
  if (settles || differ_by_more(mean_, static_cast<double>(held_), band))
    held_ = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(mean_));
}

}  // namespace hawser::topology
