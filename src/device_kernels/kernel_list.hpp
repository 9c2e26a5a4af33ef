#pragma once

#include "device_kernels/blockwise_kernels.hpp"
#include "device_kernels/cast_kernels.hpp"
#include "device_kernels/decode_kernels.hpp"
#include "device_kernels/digest_kernels.hpp"
#include "device_kernels/diloco_kernels.hpp"
#include "device_kernels/list_kernels.hpp"
#include "device_kernels/quantize_kernels.hpp"
#include "device_kernels/reduce_kernels.hpp"

/// Every kernel: ENTRY(its kName, its struct). A GPU finds it by its name.
#define HAWSER_DEVICE_KERNELS(ENTRY)                   \
  ENTRY(hawser_combine, Combine)                       \
  ENTRY(hawser_convert, Convert)                       \
  ENTRY(hawser_divide, Divide)                         \
  ENTRY(hawser_difference, Difference)                 \
  ENTRY(hawser_find_places, FindPlaces)                \
  ENTRY(hawser_encode_chunk, EncodeChunk)              \
  ENTRY(hawser_encode_groups, EncodeGroups)            \
  ENTRY(hawser_encode_cast, EncodeCast)                \
  ENTRY(hawser_decode, Decode)                         \
  ENTRY(hawser_copy_segments, CopySegments)            \
  ENTRY(hawser_digest_slices, DigestSlices)            \
  ENTRY(hawser_step_outer, StepOuter)                  \
  ENTRY(hawser_scale_values, ScaleValues)              \
  ENTRY(hawser_fill_negative_zeros, FillNegativeZeros) \
  ENTRY(hawser_mix, Mix)                               \
  ENTRY(hawser_add_difference, AddDifference)
