#pragma once

#include <cstdint>
#include <optional>

#include "hawser.h"
#include "pccl_compat.h"

/// PCCL's enums as Hawser's. Nothing: the number is none of them.
namespace hawser_pccl {

std::optional<hawserDataType_t> type_of(pcclDataType_t type);

/// A descriptor as the arguments of hawserAllReduce.
struct Reduction {
  std::uint64_t count;
  hawserDataType_t type;
  hawserAllReduceOptions_t options;
};

/// Reads a descriptor. On a wrong number it keeps the sentence and returns nothing.
std::optional<Reduction> reduction_of(const pcclReduceDescriptor_t& descriptor);

}  // namespace hawser_pccl
