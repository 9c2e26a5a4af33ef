#pragma once

#include <functional>

#include "device/devices.hpp"

namespace hawser::kernel_bench {

/// Puts some work on the stream.
using Work = std::function<Result<void>(device::Stream&)>;

/// Seconds that the device takes for the work once: the best of `rounds` rounds, in each of which it does the work as
/// often as makes the host's part of the time small. Blocks. Error: that of the work, or of the stream.
Result<double> seconds_of(device::Stream& stream, int rounds, const Work& work);

}  // namespace hawser::kernel_bench
