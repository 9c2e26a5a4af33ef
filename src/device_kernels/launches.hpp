#pragma once

/// All that this folder offers.
#include "device_kernels/quantize_launches.hpp"
#include "device_kernels/reduce_launches.hpp"
