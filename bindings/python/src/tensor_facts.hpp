#pragma once

#include <hawser.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hawser_python {

/// What a Python object says of its memory, whichever way it says it.
struct TensorFacts {
  void* data = nullptr;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< In elements. Empty: contiguous in C order.
  std::optional<hawserDataType_t> type;
  std::string type_name;  ///< For errors. Empty: unknown.
  bool on_device = false;
  bool is_read_only = false;
  void* stream = nullptr;  ///< As in Tensor.
};

/// Of a kind as NumPy has it: f, i or u. None: it does not travel.
std::optional<hawserDataType_t> travelling_type(char kind, std::int64_t bits);

}  // namespace hawser_python
