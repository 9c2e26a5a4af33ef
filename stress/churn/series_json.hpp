#pragma once

#include <cstdint>
#include <string_view>

#include "json/json_writer.hpp"
#include "series.hpp"

namespace hawser::churn {

/// Count, min, median, p95, p99, max.
inline void write_json(JsonWriter& json, std::string_view key, const Series& series) {
  json.open(key)
      .add("count", std::uint64_t{series.count()})
      .add("min", series.min())
      .add("median", series.median())
      .add("p95", series.p95())
      .add("p99", series.p99())
      .add("max", series.max())
      .close();
}

}  // namespace hawser::churn
