#include <hawser_sim_device.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <array>
#include <cstdint>
#include <map>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"
#include "tensor.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

void need(hawserResult_t result) { raise_unless_ok(outcome_of(result)); }

/// One for all tensors of a device, as frameworks have one that is current. Lasts as long as the process.
void* stream_of_device(int device) {
  static std::map<int, void*> streams;
  void*& stream = streams[device];
  if (stream == nullptr) need(hawserSimDeviceStream(device, &stream));
  return stream;
}

/// Memory on the simulated device (HAWSER_DEVICE=sim), in the shape of a host array, which its stream writes there.
class SimulatedTensor {
 public:
  SimulatedTensor(nb::handle array, int device)
      : host_(tensor_of(array, Access::read, "source")), device_(device), stream_(stream_of_device(device)) {
    need(hawserSimDeviceAllocate(device, host_.bytes() + 1, &memory_));
    need(hawserSimDeviceWrite(stream_, memory_, host_.data, host_.bytes()));
  }
  ~SimulatedTensor() { (void)hawserSimDeviceFree(memory_); }
  SimulatedTensor(const SimulatedTensor&) = delete;
  SimulatedTensor& operator=(const SimulatedTensor&) = delete;

  /// Copies what is there, once its stream has done all, into a host array of the same size.
  void copy_to(nb::handle array) const {
    const Tensor to = tensor_of(array, Access::write, "target");
    if (to.bytes() != host_.bytes()) raise_invalid_argument("the target tensor has another size");
    synchronise();
    need(hawserSimDeviceCopy(to.data, memory_, host_.bytes()));
  }
  /// Waits until its stream has done all that is on it. What it waits for may need another of Python's threads.
  void synchronise() const {
    Outcome outcome;
    {
      const GilReleased released;
      outcome = outcome_of(hawserSimDeviceSynchronise(stream_));
    }
    raise_unless_ok(outcome);
  }
  /// A capsule, as __dlpack__ gives it.
  nb::object dlpack(nb::handle self) const {
    const std::size_t shape[] = {static_cast<std::size_t>(host_.count)};
    const nb::ndarray<> array(memory_, 1, shape, self, nullptr, dtype(), kSimulatedDeviceType, device_);
    return nb::cast(array, nb::rv_policy::reference);
  }
  int device() const { return device_; }
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(memory_); }
  std::uintptr_t stream() const { return reinterpret_cast<std::uintptr_t>(stream_); }

 private:
  nb::dlpack::dtype dtype() const {
    if (const auto* own = std::get_if<nb::ndarray<nb::ro>>(&host_.memory)) return own->dtype();
    return std::get<nb::ndarray<>>(host_.memory).dtype();
  }

  Tensor host_;
  int device_;
  void* stream_;
  void* memory_ = nullptr;
};

}  // namespace

void bind_sim_device(nb::module_& module) {
  nb::class_<SimulatedTensor>(module, "SimulatedTensor")
      .def(nb::init<nb::handle, int>(), nb::arg("array"), nb::arg("device") = 0)
      .def("copy_to", &SimulatedTensor::copy_to, nb::arg("array"))
      .def("synchronise", &SimulatedTensor::synchronise)
      .def_prop_ro("device", &SimulatedTensor::device)
      .def_prop_ro("address", &SimulatedTensor::address)
      .def_prop_ro("hawser_stream", &SimulatedTensor::stream)
      .def("dlpack", [](nb::handle self) { return nb::cast<SimulatedTensor&>(self).dlpack(self); });
  module.def("simulated_device_counters", [] {
    hawserSimDeviceCounters_t counters = HAWSER_SIM_DEVICE_COUNTERS_INIT;
    need(hawserSimDeviceCount(&counters));
    return std::array<std::uint64_t, 3>{counters.bytes_down, counters.bytes_up, counters.pinned_bytes_most};
  });
}

}  // namespace hawser_python
