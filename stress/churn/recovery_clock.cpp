#include "recovery_clock.hpp"

#include <algorithm>

namespace hawser::churn {

void RecoveryClock::continued(std::uint64_t peer_id) {
  std::erase_if(pending_,
                [&](const Disturbance& d) { return d.cause == Cause::stop && d.peer_id == peer_id; });
}

void RecoveryClock::serving_master_continued() {
  std::erase_if(pending_, [](const Disturbance& d) { return d.cause == Cause::master_stop; });
}

bool RecoveryClock::over(const Disturbance& disturbance, const Step& step) {
  if (step.at_ns <= disturbance.at_ns) return false;
  if (disturbance.cause == Cause::master || disturbance.cause == Cause::master_stop)
    return step.epoch > disturbance.epoch;
  return std::find(step.members.begin(), step.members.end(), disturbance.peer_id) == step.members.end();
}

Series& RecoveryClock::series_of(Cause cause) {
  switch (cause) {
    case Cause::kill: return kills_ms_;
    case Cause::stop: return stops_ms_;
    case Cause::master_stop: return master_stops_ms_;
    case Cause::master: break;
  }
  return masters_ms_;
}

void RecoveryClock::on_step(const Step& step) {
  last_epoch_ = std::max(last_epoch_, step.epoch);
  std::erase_if(pending_, [&](const Disturbance& d) {
    if (!over(d, step)) return false;
    series_of(d.cause).add(static_cast<double>(step.at_ns - d.at_ns) / 1e6);
    return true;
  });
}

}  // namespace hawser::churn
