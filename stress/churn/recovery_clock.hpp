#pragma once

#include <cstdint>
#include <vector>

#include "series.hpp"

namespace hawser::churn {

/// Epochs have the term of their master in their upper bits.
constexpr std::uint64_t term_of(std::uint64_t epoch) { return epoch >> 32; }

/// Measures how long the members needed from a disturbance to the next committed step that took it into
/// account. Pure.
class RecoveryClock {
 public:
  /// A peer was killed, or stopped, at that time. `peer_id` 0: it was no member.
  /// Over with the first step, committed later, without it.
  void killed(std::uint64_t at_ns, std::uint64_t peer_id) {
    pending_.push_back({Cause::kill, at_ns, peer_id, 0});
  }
  void stopped(std::uint64_t at_ns, std::uint64_t peer_id) {
    pending_.push_back({Cause::stop, at_ns, peer_id, 0});
  }
  /// The stopped peer goes on: if the others were still waiting for it, there is nothing to measure.
  void continued(std::uint64_t peer_id);
  /// The master was killed. Over with the first step, committed later, in a later epoch.
  void master_killed(std::uint64_t at_ns) { pending_.push_back({Cause::master, at_ns, 0, last_epoch_}); }
  /// Of several masters, the one that serves was killed, or stopped. Over with the first step, committed later, under
  /// another one.
  void serving_master_killed(std::uint64_t at_ns) { pending_.push_back({Cause::master, at_ns, 0, term_end()}); }
  void serving_master_stopped(std::uint64_t at_ns) { pending_.push_back({Cause::master_stop, at_ns, 0, term_end()}); }
  /// It goes on: if the members were still waiting for it, there is nothing to measure.
  void serving_master_continued();

  struct Step {
    std::uint64_t at_ns = 0;
    std::uint64_t epoch = 0;
    std::vector<std::uint64_t> members;
  };
  void on_step(const Step& step);

  const Series& kills_ms() const { return kills_ms_; }
  const Series& stops_ms() const { return stops_ms_; }
  const Series& masters_ms() const { return masters_ms_; }
  const Series& master_stops_ms() const { return master_stops_ms_; }

 private:
  enum class Cause : std::uint8_t { kill, stop, master, master_stop };
  struct Disturbance {
    Cause cause;
    std::uint64_t at_ns;
    std::uint64_t peer_id;
    std::uint64_t epoch;
  };
  static bool over(const Disturbance& disturbance, const Step& step);
  Series& series_of(Cause cause);
  std::uint64_t term_end() const { return last_epoch_ | 0xffffffff; }

  std::vector<Disturbance> pending_;
  std::uint64_t last_epoch_ = 0;
  Series kills_ms_, stops_ms_, masters_ms_, master_stops_ms_;
};

}  // namespace hawser::churn
