#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/instant.hpp"

namespace hawser {

/// Whether compressing payloads pays on one link, found out by trying: payloads go in runs of one kind, packed or
/// plain, and the kind whose runs get there faster (in bytes before compression, so what a compression costs and
/// what it saves are both in it) is kept; the other one is tried again less and less often. Of packed runs, payloads
/// that don't get smaller are sent plain, and tried less and less often.
class CompressionChoice {
 public:
  /// A payload that shrinks less than to this share is sent as it is.
  static constexpr double kShareThatPays = 0.9;
  static constexpr std::uint32_t kSkippedMost = 64;
  /// Of one run: one of the two, and long enough that acknowledgements which come in bursts don't blur it.
  static constexpr std::uint32_t kRunPayloads = 16;
  static constexpr std::size_t kRunBytes = 2 << 20;
  static constexpr Duration kRunLeast = milliseconds(20);
  /// Runs between two trials of the other kind, at first and at most.
  static constexpr std::uint32_t kTrialEveryLeast = 1;
  static constexpr std::uint32_t kTrialEveryMost = 256;
  /// How much faster the other kind must be.
  static constexpr double kBetter = 1.1;

  /// To be asked before each payload that may be compressed.
  bool worth_trying() {
    if (!packed_now()) return false;
    if (left_to_skip_ == 0) return true;
    --left_to_skip_;
    return false;
  }
  void paid() { skip_ = left_to_skip_ = 0; }
  /// Tries again after 1, 2, 4 .. payloads.
  void did_not_pay() { left_to_skip_ = skip_ = std::clamp<std::uint32_t>(2 * skip_, 1, kSkippedMost); }

  /// A payload of so many bytes, before compression, goes out; `now`: before any compression; `choosing`:
  /// worth_trying() was asked for it.
  void handed(Instant now, std::size_t bytes, bool choosing) {
    // It was not the compression that kept the link waiting.
    if (sent_ == arrived_ && now > arrived_at_ + kPause) interrupted_ = true;
    sent_ += bytes;
    run_bytes_ += bytes;
    if (run_bytes_ == bytes) handed_first_ = now;
    if (!choosing || (++in_run_ < kRunPayloads && run_bytes_ < kRunBytes) || now < handed_first_ + kRunLeast) return;
    in_run_ = 0;
    run_bytes_ = 0;
    runs_.push_back({.packed = packed_now(), .end = sent_});
    if (trying_)
      trying_ = false;
    else if (++runs_kept_ >= trial_every_)
      trying_ = true, runs_kept_ = 0;
  }
  /// The other side has got so many bytes, before compression, since it last said so.
  void acknowledged(Instant now, std::size_t bytes) {
    arrived_ += bytes;
    arrived_at_ = now;
    while (!runs_.empty() && arrived_ >= runs_.front().end) {
      const Run run = runs_.front();
      runs_.pop_front();
      // A link that had nothing to do for a while tells nothing of its speed.
      if (run_began_ && now >= *run_began_ + kRunLeast / 4 && !interrupted_)
        measured(run.packed, static_cast<double>(run.end - run_start_) /
                                 std::chrono::duration<double>(now - *run_began_).count());
      interrupted_ = false;
      run_began_ = now;
      run_start_ = run.end;
    }
  }
  /// Connections have broken: what was under way will be handed again.
  void interrupted() {
    runs_.clear();
    run_began_.reset();
    sent_ = arrived_ = run_start_ = 0;
    in_run_ = 0;
  }

 private:
  static constexpr Duration kPause = milliseconds(2);

  struct Run {
    bool packed = false;
    std::uint64_t end = 0;  ///< In bytes sent.
  };

  bool packed_now() const { return packed_ != trying_; }
  void measured(bool packed, double rate) {
    double& known = rates_[packed ? 1 : 0];
    known = known == 0 ? rate : (known + rate) / 2;
    if (packed == packed_ || rates_[packed_ ? 1 : 0] == 0) return;
    if (known > kBetter * rates_[packed_ ? 1 : 0]) {
      packed_ = packed;
      trial_every_ = kTrialEveryLeast;
    } else {
      trial_every_ = std::min(2 * trial_every_, kTrialEveryMost);
    }
  }

  bool packed_ = true;
  bool trying_ = false;  ///< The other kind, for one run.
  std::uint32_t trial_every_ = kTrialEveryLeast;
  std::uint32_t runs_kept_ = 0;
  std::uint32_t in_run_ = 0;
  std::size_t run_bytes_ = 0;
  std::array<double, 2> rates_{};  ///< Plain, packed.
  std::deque<Run> runs_;           ///< Under way.
  std::uint64_t sent_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t run_start_ = 0;
  Instant arrived_at_{};
  Instant handed_first_{};  ///< Of the run.
  std::optional<Instant> run_began_;
  bool interrupted_ = false;
  std::uint32_t skip_ = 0;
  std::uint32_t left_to_skip_ = 0;
};

}  // namespace hawser
