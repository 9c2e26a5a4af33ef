#include "mixed_tally.hpp"

#include <algorithm>

namespace hawser::churn {

void MixedTally::on_reduce(const ReportLine& line, bool first) {
  compressed_calls += line.number("compressed").value_or(0);
  if (!first) return;
  const std::string kind(line.get("kind"));
  ++by_kind[kind];
  if (kind != "barrier") ++by_type[std::string(line.get("type"))];
  if (kind == "all_reduce" || kind == "reduce_scatter") ++by_op[std::string(line.get("op"))];
  with_residual += line.number("residual").value_or(0);
  const std::string quantization(line.get("quant"));
  if (quantization == "none") return;
  ++quantised;
  ++by_quantization[quantization];
}

void MixedTally::on_tags(const ReportLine& line) {
  tags_in_flight_most = std::max(tags_in_flight_most, line.number("flying").value_or(0));
}

void MixedTally::on_many(const ReportLine& line) {
  ++many_calls;
  const std::string_view done = line.get("done");
  many_tensors += static_cast<std::uint64_t>(std::ranges::count(done, '1'));
  many_collectives += line.number("collectives").value_or(0);
  if (line.number("attempts").value_or(1) > 1) ++many_mended;
}

}  // namespace hawser::churn
