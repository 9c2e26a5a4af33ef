#pragma once

/// All that this folder offers.
#include "device_kernels/digest_launches.hpp"
#include "device_kernels/diloco_launches.hpp"
#include "device_kernels/list_launches.hpp"
#include "device_kernels/quantize_launches.hpp"
#include "device_kernels/reduce_launches.hpp"
