#include "runtime/measured_network.hpp"

#include <algorithm>

#include "topology/estimates.hpp"

namespace hawser {
namespace {

void add_cables(topology::Matrix& matrix) {
  const topology::Regions regions = topology::Estimates(matrix).regions();
  if (!regions.structured()) return;
  for (const auto& from : regions.members)
    for (const auto& to : regions.members) {
      if (&from == &to) continue;
      topology::Cable cable{.from = from, .to = to, .bytes_per_second = 0};
      for (const std::uint32_t sender : from)
        for (const std::uint32_t receiver : to) cable.bytes_per_second += matrix.pair(sender, receiver).bytes_per_second;
      cable.bytes_per_second = std::min(cable.bytes_per_second, topology::kBytesPerSecondMax);
      if (cable.bytes_per_second > 0 && matrix.cables.size() < topology::kCablesMax)
        matrix.cables.push_back(std::move(cable));
    }
}

}  // namespace

topology::Matrix matrix_of(const Measures& measures) {
  const auto size = static_cast<std::uint32_t>(measures.rows.size());
  topology::Matrix matrix = topology::Matrix::unknown(size);
  matrix.version = measures.version;
  for (std::uint32_t from = 0; from < size; ++from) {
    const LinkRow& row = measures.rows[from];
    matrix.members[from].uplink_bytes_per_second = std::min(row.uplink_bytes_per_second, topology::kBytesPerSecondMax);
    matrix.members[from].downlink_bytes_per_second =
        std::min(row.downlink_bytes_per_second, topology::kBytesPerSecondMax);
    for (std::uint32_t to = 0; to < row.bytes_per_second.size() && to < size; ++to) {
      if (to == from) continue;
      topology::PairMeasure& pair = matrix.pair(from, to);
      pair.bytes_per_second = std::min(row.bytes_per_second[to], topology::kBytesPerSecondMax);
      pair.delay_ns = std::min(row.delay_ns[to], topology::kDelayNsMax);
    }
  }
  if (topology::knows_rates(matrix)) add_cables(matrix);
  return matrix;
}

}  // namespace hawser
