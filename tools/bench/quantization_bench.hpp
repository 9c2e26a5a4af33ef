#pragma once

#include <cstdint>
#include <vector>

namespace hawser::bench {

struct QuantizationOptions {
  std::vector<std::uint32_t> worlds{2, 4, 8};
  std::uint64_t count = 1 << 20;
  std::uint32_t steps = 20;  ///< Of the runs with error feedback.
};

/// Prints, as Markdown, each scheme's relative error and bytes on the wire by world size, plan and kind of
/// data, in one process over loopback. 0 if all members held the same bits everywhere.
int run_quantization_bench(const QuantizationOptions& options);

}  // namespace hawser::bench
