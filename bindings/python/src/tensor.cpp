#include "tensor.hpp"

#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <utility>

#include "cuda_array.hpp"
#include "failure.hpp"
#include "tensor_facts.hpp"

namespace hawser_python {
namespace {

std::string name_of_type(nb::handle object) {
  return nb::cast<std::string>(
      nb::str(nb::handle(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()))).attr("__name__")));
}

std::optional<hawserDataType_t> data_type(nb::dlpack::dtype type) {
  using Code = nb::dlpack::dtype_code;
  if (type.lanes != 1) return std::nullopt;
  switch (static_cast<Code>(type.code)) {
    case Code::Float: return travelling_type('f', type.bits);
    case Code::Bfloat: return type.bits == 16 ? std::optional(hawserBfloat16) : std::nullopt;
    case Code::Int: return travelling_type('i', type.bits);
    case Code::UInt: return travelling_type('u', type.bits);
    default: return std::nullopt;
  }
}

bool is_torch_tensor(nb::handle object) {
  // Not imported for that: who has a tensor of torch has imported it.
  const nb::object modules = nb::module_::import_("sys").attr("modules");
  const nb::object torch = modules.attr("get")("torch");
  return !torch.is_none() && nb::hasattr(torch, "Tensor") && nb::isinstance(object, torch.attr("Tensor"));
}

/// The stream on which the caller's framework works now: that of torch for its tensors, the one that a simulated tensor
/// was written on. Null for all others: whom `__dlpack__` is called of without a stream, orders itself before the
/// device's default stream.
void* stream_of(nb::handle object, int device) {
  const nb::object own = nb::getattr(object, "hawser_stream", nb::none());
  if (!own.is_none()) return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(own));
  if (!is_torch_tensor(object)) return nullptr;
  const nb::object current = nb::module_::import_("torch.cuda").attr("current_stream")(device);
  return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(current.attr("cuda_stream")));
}

template <class Array>
TensorFacts facts_of(const Array& array, nb::handle object, const char* role) {
  const int device_type = array.device_type();
  // Page-locked host memory is the CPU's as well.
  const bool on_host = device_type == nb::device::cpu::value || device_type == nb::device::cuda_host::value;
  const bool on_device = device_type == nb::device::cuda::value || device_type == nb::device::cuda_managed::value ||
                         device_type == kSimulatedDeviceType;
  if (!on_host && !on_device)
    raise_invalid_argument(std::string("the ") + role + " tensor is on a device (DLPack type " +
                           std::to_string(device_type) + ") that Hawser does not know; give it a tensor in CPU memory");
  TensorFacts facts{.data = const_cast<void*>(static_cast<const void*>(array.data())),
                    .type = data_type(array.dtype()),
                    .on_device = on_device};
  for (std::size_t i = 0; i < array.ndim(); ++i) {
    facts.shape.push_back(static_cast<std::int64_t>(array.shape(i)));
    facts.strides.push_back(array.stride(i));
  }
  const nb::object dtype = nb::getattr(object, "dtype", nb::none());
  if (!dtype.is_none()) facts.type_name = nb::str(dtype).c_str();
  if (on_device) facts.stream = stream_of(object, static_cast<int>(array.device_id()));
  return facts;
}

bool is_contiguous(const TensorFacts& facts) {
  std::int64_t expected = 1;
  for (std::size_t i = facts.shape.size(); i-- > 0;) {
    if (facts.shape[i] != 1 && facts.strides[i] != expected) return false;
    expected *= facts.shape[i];
  }
  return true;
}

/// A tensor of these facts, if the call takes it.
Tensor checked(const TensorFacts& facts, const char* role, Where where) {
  const std::string what = std::string("the ") + role + " tensor";
  if (facts.on_device && where == Where::host)
    raise_invalid_argument(what + " is on a device; this call takes tensors in CPU memory");
  if (!facts.type)
    raise_invalid_argument(what + " has a type that does not travel" +
                           (facts.type_name.empty() ? "" : " (" + facts.type_name + ")") +
                           "; these do: float16, bfloat16, float32, float64, and integers of 8 to 64 bits");
  Tensor tensor;
  tensor.count = 1;
  for (const std::int64_t extent : facts.shape) tensor.count *= static_cast<std::uint64_t>(extent);
  if (tensor.count > 1 && !facts.strides.empty() && !is_contiguous(facts))
    raise_invalid_argument(what + " is not contiguous (in C order); copy it first");
  tensor.data = facts.data;
  tensor.type = *facts.type;
  if (!facts.on_device) return tensor;
  tensor.stream = facts.stream;
  raise_unless_ok(outcome_of(hawserDeviceOf(tensor.data, tensor.bytes(), &tensor.device)));
  if (tensor.bytes() > 0 && !tensor.on_device())
    raise_invalid_argument(what + " says that it is on a device, but no device is known here that has its memory; " +
                           "HAWSER_DEVICE must not be none, and CUDA must be in use in this process");
  return tensor;
}

template <class Array>
std::optional<Tensor> imported_as(nb::handle object, const char* role, Where where) {
  Array array;
  if (!nb::try_cast(object, array, false)) return std::nullopt;
  Tensor tensor = checked(facts_of(array, object, role), role, where);
  tensor.memory = std::move(array);
  return tensor;
}

/// Through DLPack or the buffer protocol.
std::optional<Tensor> imported(nb::handle object, Access access, const char* role, Where where) {
  return access == Access::write ? imported_as<nb::ndarray<>>(object, role, where)
                                 : imported_as<nb::ndarray<nb::ro>>(object, role, where);
}

[[noreturn]] void refuse_read_only(const char* role) {
  raise_invalid_argument(std::string("the ") + role +
                         " tensor is read-only, and this call writes to it; give it one that can be written to");
}

/// Through __cuda_array_interface__. It has no bfloat16: nullopt where DLPack may know the type.
std::optional<Tensor> from_cuda_array(nb::handle object, Access access, const char* role, Where where) {
  const auto facts = cuda_array_facts(object, role);
  if (!facts || (!facts->type && nb::hasattr(object, "__dlpack__"))) return std::nullopt;
  if (access == Access::write && facts->is_read_only) refuse_read_only(role);
  Tensor tensor = checked(*facts, role, where);
  tensor.memory = nb::borrow(object);
  return tensor;
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
  // Of torch's tensors torch is asked for the stream. What others say of theirs saves a wait at the default stream.
  if (!is_torch_tensor(object))
    if (auto tensor = from_cuda_array(object, access, role, where)) return std::move(*tensor);
  if (auto tensor = imported(object, access, role, where)) return std::move(*tensor);
  // Torch exports no tensor that requires gradients; detached, it is the same memory.
  const nb::object requires_grad = nb::getattr(object, "requires_grad", nb::none());
  if (requires_grad.is(Py_True) && nb::hasattr(object, "detach")) {
    const nb::object detached = object.attr("detach")();
    if (auto tensor = imported(detached, access, role, where)) return std::move(*tensor);
  }
  if (access == Access::write && imported(object, Access::read, role, where)) refuse_read_only(role);
  const std::string sentence =
      std::string("the ") + role + " tensor is a " + name_of_type(object) +
      " that gives its memory through none of DLPack, the buffer protocol and __cuda_array_interface__; "
      "NumPy arrays and torch tensors do";
  throw nb::type_error(sentence.c_str());
}

}  // namespace hawser_python
