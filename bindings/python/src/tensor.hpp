#pragma once

#include <hawser.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

/// Python's tensors as memory: through DLPack or the buffer protocol, never copied.
namespace hawser_python {

namespace nb = nanobind;

enum class Access { read, write };

/// Keeps the memory of a Python object where it is. To be made, copied and dropped with the GIL only.
struct Tensor {
  void* data = nullptr;
  std::uint64_t count = 0;
  hawserDataType_t type = hawserFloat32;
  std::variant<std::monostate, nb::ndarray<>, nb::ndarray<nb::ro>> memory;

  std::uint64_t bytes() const;
};

/// `role` names the argument in errors. Raises TypeError (no tensor at all), InvalidArgument (not contiguous,
/// read only, a type that doesn't travel, not in CPU memory).
Tensor tensor_of(nb::handle object, Access access, const char* role);

/// What a call needs until it has ended, whoever still waits for it. To be dropped with the GIL only.
struct Kept {
  std::vector<Tensor> tensors;
  std::vector<nb::object> objects;
  std::shared_ptr<void> token;  ///< Shows its other owners that the call lasts.
};

}  // namespace hawser_python
