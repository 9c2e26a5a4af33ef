#pragma once

#include <cstdint>
#include <string>

#include "recovery_clock.hpp"
#include "tally.hpp"

namespace hawser::churn {

/// Shows a run to a person: a table that is redrawn in place on a terminal, a line now and then elsewhere.
class Scoreboard {
 public:
  Scoreboard();
  bool terminal() const { return terminal_; }
  /// How often show() should be called.
  std::uint64_t period_ms() const { return terminal_ ? 250 : 2000; }
  void show(const Tally& tally);
  /// A sentence that must not be lost: above the table, or a line of its own.
  void note(const std::string& sentence);
  /// The end of the run: all numbers, recovery times, and as the last line PASS or FAIL with a reason.
  void summary(const Tally& tally, const RecoveryClock& clock, const std::string& end_reason);

 private:
  void erase_table();

  bool terminal_;
  int table_lines_ = 0;
};

}  // namespace hawser::churn
