#pragma once

#include <string>

#include "options.hpp"
#include "recovery_clock.hpp"
#include "tally.hpp"

namespace hawser::churn {

/// Writes all numbers of a churn run as JSON. False if the file can't be written.
bool write_churn_report(const ChurnOptions& options, const Tally& tally, const RecoveryClock& clock);

}  // namespace hawser::churn
