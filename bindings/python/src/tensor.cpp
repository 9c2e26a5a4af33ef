#include "tensor.hpp"

#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <utility>

#include "failure.hpp"

namespace hawser_python {
namespace {

std::string name_of_type(nb::handle object) {
  return nb::cast<std::string>(
      nb::str(nb::handle(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()))).attr("__name__")));
}

std::optional<hawserDataType_t> data_type(nb::dlpack::dtype type) {
  using Code = nb::dlpack::dtype_code;
  if (type.lanes != 1) return std::nullopt;
  const auto at = [&](Code code, unsigned bits) {
    return type.code == static_cast<std::uint8_t>(code) && type.bits == bits;
  };
  if (at(Code::Float, 32)) return hawserFloat32;
  if (at(Code::Float, 64)) return hawserFloat64;
  if (at(Code::Float, 16)) return hawserFloat16;
  if (at(Code::Bfloat, 16)) return hawserBfloat16;
  if (at(Code::Int, 8)) return hawserInt8;
  if (at(Code::UInt, 8)) return hawserUint8;
  if (at(Code::Int, 16)) return hawserInt16;
  if (at(Code::UInt, 16)) return hawserUint16;
  if (at(Code::Int, 32)) return hawserInt32;
  if (at(Code::UInt, 32)) return hawserUint32;
  if (at(Code::Int, 64)) return hawserInt64;
  if (at(Code::UInt, 64)) return hawserUint64;
  return std::nullopt;
}

template <class Array>
bool is_contiguous(const Array& array) {
  std::int64_t expected = 1;
  for (std::size_t i = array.ndim(); i-- > 0;) {
    const auto extent = static_cast<std::int64_t>(array.shape(i));
    if (extent != 1 && array.stride(i) != expected) return false;
    expected *= extent;
  }
  return true;
}

/// The stream on which the caller's framework works now: that of torch for its tensors, the one that a simulated tensor
/// was written on. Null, the device's default stream, for all others.
void* stream_of(nb::handle object, int device) {
  const nb::object own = nb::getattr(object, "hawser_stream", nb::none());
  if (!own.is_none()) return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(own));
  const nb::object module = nb::getattr(object.type(), "__module__", nb::none());
  if (!nb::isinstance<nb::str>(module) || !nb::cast<std::string>(module).starts_with("torch")) return nullptr;
  const nb::object current = nb::module_::import_("torch.cuda").attr("current_stream")(device);
  return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(current.attr("cuda_stream")));
}

template <class Array>
Tensor described(Array array, nb::handle object, const char* role, Where where) {
  const std::string what = std::string("the ") + role + " tensor";
  const int device_type = array.device_type();
  // Page-locked host memory is the CPU's as well.
  const bool on_host = device_type == nb::device::cpu::value || device_type == nb::device::cuda_host::value;
  const bool on_device = device_type == nb::device::cuda::value || device_type == nb::device::cuda_managed::value ||
                         device_type == kSimulatedDeviceType;
  if (!on_host && !on_device)
    raise_invalid_argument(what + " is on a device (DLPack type " + std::to_string(device_type) +
                           ") that Hawser does not know; give it a tensor in CPU memory");
  if (on_device && where == Where::host)
    raise_invalid_argument(what + " is on a device; this call takes tensors in CPU memory");
  const auto type = data_type(array.dtype());
  if (!type) {
    const nb::object dtype = nb::getattr(object, "dtype", nb::none());
    raise_invalid_argument(what + " has a type that does not travel" +
                           (dtype.is_none() ? "" : " (" + std::string(nb::str(dtype).c_str()) + ")") +
                           "; these do: float16, bfloat16, float32, float64, and integers of 8 to 64 bits");
  }
  if (array.size() > 1 && !is_contiguous(array))
    raise_invalid_argument(what + " is not contiguous (in C order); copy it first");
  Tensor tensor;
  tensor.data = const_cast<void*>(static_cast<const void*>(array.data()));
  tensor.count = array.size();
  tensor.type = *type;
  tensor.on_device = on_device;
  if (on_device) {
    std::int32_t device = -1;
    raise_unless_ok(outcome_of(hawserDeviceOf(array.data(), tensor.bytes(), &device)));
    if (tensor.bytes() > 0 && device < 0)
      raise_invalid_argument(what + " says that it is on a device, but no device is known here that has its memory; " +
                             "HAWSER_DEVICE must not be none, and CUDA must be in use in this process");
    tensor.stream = stream_of(object, static_cast<int>(array.device_id()));
  }
  tensor.memory = std::move(array);
  return tensor;
}

std::optional<Tensor> described_as(nb::handle object, Access access, const char* role, Where where) {
  if (access == Access::write) {
    nb::ndarray<> array;
    if (nb::try_cast(object, array, false)) return described(std::move(array), object, role, where);
  } else {
    nb::ndarray<nb::ro> array;
    if (nb::try_cast(object, array, false)) return described(std::move(array), object, role, where);
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t Tensor::bytes() const {
  switch (type) {
    case hawserInt8:
    case hawserUint8: return count;
    case hawserFloat16:
    case hawserBfloat16:
    case hawserInt16:
    case hawserUint16: return 2 * count;
    case hawserFloat32:
    case hawserInt32:
    case hawserUint32: return 4 * count;
    default: return 8 * count;
  }
}

Tensor tensor_of(nb::handle object, Access access, const char* role, Where where) {
  if (auto tensor = described_as(object, access, role, where)) return std::move(*tensor);
  // Torch exports no tensor that requires gradients; detached, it is the same memory.
  const nb::object requires_grad = nb::getattr(object, "requires_grad", nb::none());
  if (requires_grad.is(Py_True) && nb::hasattr(object, "detach")) {
    const nb::object detached = object.attr("detach")();
    if (auto tensor = described_as(detached, access, role, where)) return std::move(*tensor);
  }
  if (access == Access::write && described_as(object, Access::read, role, where))
    raise_invalid_argument(std::string("the ") + role + " tensor is read-only");
  const std::string sentence =
      std::string("the ") + role + " tensor is a " + name_of_type(object) +
      " that gives its memory neither through DLPack nor through the buffer protocol; "
      "NumPy arrays and torch tensors do";
  throw nb::type_error(sentence.c_str());
}

}  // namespace hawser_python
