#pragma once

#include <memory>

#include "device/devices.hpp"

namespace hawser::device {

/// NVIDIA's GPUs. `load`: uses the driver from the start; error: system, if there is none, or no GPU. Otherwise it is
/// used once the process itself has loaded it; before that all memory is the host's. So a process without tensors on
/// GPUs pays nothing, and gets no context on any.
///
/// Contexts are the devices' primary ones, which the CUDA runtime and PyTorch use.
Result<std::unique_ptr<Devices>> cuda_devices(bool load);

}  // namespace hawser::device
