#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "report_line.hpp"

namespace hawser::churn {

/// Whether barriers hold: nobody may leave one before all its members have entered it. Pure. Moments are of a
/// clock that all processes share.
class BarrierLedger {
 public:
  /// Takes a `barrier` line (epoch, seq, entered, left). Returns what is wrong, if something is.
  std::optional<std::string> on_barrier(const std::string& worker, const ReportLine& line);

 private:
  struct Moments {
    std::uint64_t last_entry_ns = 0;
    std::string last_to_enter;
    std::uint64_t first_exit_ns = UINT64_MAX;
    std::string first_to_leave;
  };
  std::map<std::pair<std::uint64_t, std::uint64_t>, Moments> barriers_;  // (epoch, sequence)
};

}  // namespace hawser::churn
