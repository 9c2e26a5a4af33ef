#include "tensor_facts.hpp"

namespace hawser_python {

std::optional<hawserDataType_t> travelling_type(char kind, std::int64_t bits) {
  struct Known {
    char kind;
    std::int64_t bits;
    hawserDataType_t type;
  };
  static constexpr Known kKnown[] = {
      {'f', 16, hawserFloat16}, {'f', 32, hawserFloat32}, {'f', 64, hawserFloat64}, {'i', 8, hawserInt8},
      {'i', 16, hawserInt16},   {'i', 32, hawserInt32},   {'i', 64, hawserInt64},   {'u', 8, hawserUint8},
      {'u', 16, hawserUint16},  {'u', 32, hawserUint32},  {'u', 64, hawserUint64},
  };
  for (const Known& known : kKnown)
    if (known.kind == kind && known.bits == bits) return known.type;
  return std::nullopt;
}

}  // namespace hawser_python
