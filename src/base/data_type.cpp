#include "base/data_type.hpp"

namespace hawser {

const char* to_string(DataType type) {
  constexpr std::array names{"float32", "float64", "float16", "bfloat16", "int8",  "uint8",
                             "int16",   "uint16",  "int32",   "uint32",   "int64", "uint64"};
  return names.at(static_cast<std::size_t>(type));
}

const char* to_string(ReduceOp op) {
  constexpr std::array names{"sum", "avg", "prod", "max", "min"};
  return names.at(static_cast<std::size_t>(op));
}

}  // namespace hawser
