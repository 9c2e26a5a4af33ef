#pragma once

#include <vector>

#include "device/kernel.hpp"

namespace hawser::device_kernels {

/// Runs launches whose memory is the host's, one after the other: there, or on the devices that HAWSER_TEST_DEVICE
/// names (cuda, sim). Then a device has copies of the memory, as far from alignment, while they run.
void run_launches(const std::vector<device::Launch>& launches);

}  // namespace hawser::device_kernels
