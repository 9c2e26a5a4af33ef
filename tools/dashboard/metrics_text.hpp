#pragma once

#include <string>

#include "status_report.hpp"

enum class MetricsFormat {
  prometheus,   ///< Text format 0.0.4.
  open_metrics  ///< OpenMetrics 1.0.
};

/// A run as metrics. Names are by Prometheus' rules: base units, `_total` for what only grows. `report`: null if the
/// master does not answer. Links are told of groups of up to kLinkMembersMax members, which bounds the series.
std::string metrics_text(const StatusReport* report, MetricsFormat format);

inline constexpr std::uint32_t kLinkMembersMax = 32;
