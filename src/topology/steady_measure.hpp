#pragma once

#include <cstdint>

namespace hawser::topology {

/// One measured quantity as it is told to others: held still under the noise of measuring, so that plans that follow
/// from it stay what they are. A mean over the latest samples; what is told changes
/// - at once, with a sample that is more than twice or less than half the mean: something happened, and the mean
///   begins anew with it;
/// - while the mean settles (the first 8 samples), if it has moved by 15 %, and once more with the last of these;
/// - from then on, if it has moved by 30 %.
/// Samples that are within 20 % of the truth let it settle for good. Pure.
class SteadyMeasure {
 public:
  /// A new sample; 0, for unknown, is none.
  void take(std::uint64_t sample);
  /// Forgets what was; the next sample is the first.
  void begin_anew() { samples_ = 0; }

  /// What is told; 0: no sample yet.
  std::uint64_t held() const { return held_; }

 private:
  std::uint64_t held_ = 0;
  double mean_ = 0;
  std::uint32_t samples_ = 0;  ///< In the mean; at most as many as it reaches back.
};

}  // namespace hawser::topology
