#pragma once

#include <hawser.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

/// Python's tensors as memory: through DLPack, the buffer protocol or __cuda_array_interface__, never copied.
namespace hawser_python {

namespace nb = nanobind;

enum class Access { read, write };

/// kDLExtDev of DLPack: what tensors on the simulated device say of themselves.
inline constexpr int kSimulatedDeviceType = 12;

/// As hawserDeviceOf has it.
inline constexpr std::int32_t kHostMemory = -1;

/// Keeps the memory of a Python object where it is. To be made, copied and dropped with the GIL only.
struct Tensor {
  void* data = nullptr;
  std::uint64_t count = 0;
  hawserDataType_t type = hawserFloat32;
  std::int32_t device = kHostMemory;
  void* stream = nullptr;  ///< Of a device's tensor: the one whose work comes first. Null: the device's default stream.
  std::variant<std::monostate, nb::ndarray<>, nb::ndarray<nb::ro>, nb::object> memory;

  bool on_device() const { return device != kHostMemory; }
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
