#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hawser {

/// XXH3-64 with seed 0, by the widest vector instructions that this processor has. Safe from any thread.
std::uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace hawser
