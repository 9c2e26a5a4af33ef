#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/random.hpp"
#include "membership/lease.hpp"

namespace hawser::sim {

/// What gives masters their lease, as an etcd does. It ends times to live at the first moment that it may. Now and then
/// it is away for some seconds.
class LeaseService {
 public:
  /// None: it does not answer.
  std::optional<LeaseAnswer> serve(Instant now, const LeaseRequest& request, Random& random);
  /// From now on it is always there.
  void stay() { stays_ = true; }

 private:
  std::optional<LeaseHolder> holder_;
  std::map<std::uint64_t, Instant> lives_;
  std::uint64_t ids_ = 0;
  std::uint64_t revisions_ = 1;
  Instant away_until_{};
  bool stays_ = false;
};

}  // namespace hawser::sim
