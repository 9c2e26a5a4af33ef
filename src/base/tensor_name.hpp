#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"

namespace hawser::limits {

inline constexpr std::size_t kTensorNameBytesMax = 255;
/// Named tensors of one shared state or one checkpoint.
inline constexpr std::size_t kTensorsMax = 65536;
/// Content of all tensors of one shared state or one checkpoint together.
inline constexpr std::uint64_t kTensorBytesMax = std::uint64_t{4} << 40;

}  // namespace hawser::limits

namespace hawser {

/// Names of tensors are 1 to 255 bytes of UTF-8 (RFC 3629) without control characters and line breaks.
/// Error: invalid_argument, with a sentence that is itself fit to print.
Result<void> check_tensor_name(std::string_view name);

}  // namespace hawser
