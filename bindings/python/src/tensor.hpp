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

/// kDLExtDev of DLPack: what tensors on the simulated device say of themselves.
inline constexpr int kSimulatedDeviceType = 12;

/// Keeps the memory of a Python object where it is. To be made, copied and dropped with the GIL only.
struct Tensor {
  void* data = nullptr;
  std::uint64_t count = 0;
  hawserDataType_t type = hawserFloat32;
  bool on_device = false;
  void* stream = nullptr;  ///< Of a device's tensor: the current one of its framework, where it can be asked.
  std::variant<std::monostate, nb::ndarray<>, nb::ndarray<nb::ro>> memory;

  std::uint64_t bytes() const;
};

/// Which memory a call takes.
enum class Where { host, host_or_device };

/// `role` names the argument in errors. Raises TypeError (no tensor at all), InvalidArgument (not contiguous,
/// read only, a type that doesn't travel, in memory that this call does not take).
Tensor tensor_of(nb::handle object, Access access, const char* role, Where where = Where::host);

/// What a call needs until it has ended, whoever still waits for it. To be dropped with the GIL only.
struct Kept {
  std::vector<Tensor> tensors;
  std::vector<nb::object> objects;
  std::shared_ptr<void> token;  ///< Shows its other owners that the call lasts.
};

}  // namespace hawser_python
