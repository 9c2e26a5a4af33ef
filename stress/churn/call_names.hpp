#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "hawser.h"

namespace hawser::churn {

inline constexpr std::uint32_t kDataTypes = 12;
inline constexpr std::uint32_t kReduceOps = 5;

inline const char* name_of(hawserDataType_t type) {
  constexpr std::array<const char*, kDataTypes> names{"float32", "float64", "float16", "bfloat16",
                                                      "int8",    "uint8",   "int16",   "uint16",
                                                      "int32",   "uint32",  "int64",   "uint64"};
  return names.at(static_cast<std::size_t>(type));
}

inline const char* name_of(hawserReduceOp_t op) {
  constexpr std::array<const char*, kReduceOps> names{"sum", "avg", "prod", "max", "min"};
  return names.at(static_cast<std::size_t>(op));
}

inline std::string name_of(const hawserQuantization_t& q) {
  constexpr std::array<const char*, 5> schemes{"none", "min_max", "zero_point_scale", "blockwise", "cast"};
  constexpr std::array<const char*, 6> types{"uint8", "int8", "uint16", "int4", "bfloat16", "float16"};
  std::string name = schemes.at(static_cast<std::size_t>(q.scheme));
  if (q.scheme != hawserQuantizeNone) name.append("_").append(types.at(static_cast<std::size_t>(q.type)));
  return name;
}

inline std::size_t bytes_of(hawserDataType_t type) {
  constexpr std::array<std::size_t, kDataTypes> bytes{4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8};
  return bytes.at(static_cast<std::size_t>(type));
}

inline bool is_float(hawserDataType_t type) { return type <= hawserBfloat16; }

inline bool is_unsigned(hawserDataType_t type) {
  return type == hawserUint8 || type == hawserUint16 || type == hawserUint32 || type == hawserUint64;
}

}  // namespace hawser::churn
