#include "runtime/device_works.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "device_kernels/launches.hpp"
#include "kernels/quantize.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

using Part = DeviceDesk::Part;

/// Appends what one step of a work is on a device.
class StepWriter {
 public:
  StepWriter(DeviceDesk& desk, DeviceWork& work) : desk_(desk), work_(work) {}

  Result<void> operator()(const CopyBytes& step) {
    copy(step.to, step.from, step.bytes);
    return {};
  }
  Result<void> operator()(const WidenOwn& step) {
    widen_own(step.type, step.sum, step.values, step.residual, step.count);
    return {};
  }
  Result<void> operator()(const DequantizeCombine& step) {
    const auto payload = fetch_payload(step.quantization, step.type, step.quantized, step.count);
    if (!payload.ok()) return payload.error();
    put([&](auto& out) {
      device_kernels::dequantize_combine(out, step.quantization, step.type, step.op, step.sum, step.own, *payload,
                                         step.count);
    });
    return {};
  }
  Result<void> operator()(const DequantizeValues& step) {
    const auto payload = fetch_payload(step.quantization, step.type, step.quantized, step.count);
    if (!payload.ok()) return payload.error();
    const bool wide = step.type != working_type(step.type);
    const Result<std::byte*> values =
        wide ? take(Part::second, working_bytes(step.type, step.count)) : Result<std::byte*>(step.place);
    if (!values.ok()) return values.error();
    put([&](auto& out) {
      device_kernels::dequantize(out, step.quantization, step.type, *payload, step.count, *values);
      if (wide) device_kernels::narrow_float(out, step.type, step.place, *values, step.count);
    });
    return {};
  }
  Result<void> operator()(const FinishSum& step) {
    put([&](auto& out) {
      device_kernels::finish(out, step.floats ? working_type(step.type) : step.type, step.op, step.sum, step.count,
                             step.contributors);
      if (step.place == nullptr) return;
      if (step.floats)
        device_kernels::narrow_float(out, step.type, step.place, step.sum, step.count);
      else
        device_kernels::narrow(out, step.type, step.op, step.place, step.sum, step.count);
    });
    return {};
  }
  Result<void> operator()(const QuantizeValues& step);
  /// No collective asks a device for anything else.
  template <class Other>
  Result<void> operator()(const Other&) {
    return Error{Status::invalid_argument, "a step of a work that devices do not do; this is a bug"};
  }

 private:
  static std::size_t working_bytes(DataType type, std::uint64_t count) {
    return static_cast<std::size_t>(count) * element_bytes(working_type(type));
  }
  Result<std::byte*> take(Part part, std::size_t bytes) {
    auto memory = desk_.take(part, bytes);
    if (!memory.ok()) return memory.error();
    work_.memory.push_back(std::move(*memory));
    return work_.memory.back()->bytes();
  }
  template <class Append>
  void put(const Append& append) {
    std::vector<device::Launch> launches;
    append(launches);
    for (device::Launch& launch : launches) work_.steps.emplace_back(std::move(launch));
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
    work_.steps.emplace_back(device::WorkQueue::Copy{.to = to, .from = from, .bytes = bytes});
  }
  void widen_own(DataType type, std::byte* sum, const std::byte* values, const std::byte* residual,
                 std::uint64_t count) {
    put([&](auto& out) {
      if (residual != nullptr)
        device_kernels::add_residual(out, type, sum, values, residual, count);
      else
        device_kernels::widen_float(out, type, sum, values, count);
    });
  }
  Result<std::byte*> fetch_payload(const Quantization& quantization, DataType type, const std::byte* from,
                                   std::uint64_t count) {
    const std::size_t bytes = quantized_bytes(quantization, type, count);
    auto payload = take(Part::payload, bytes);
    if (payload.ok()) copy(*payload, from, bytes);
    return payload;
  }

  DeviceDesk& desk_;
  DeviceWork& work_;
};

Result<void> StepWriter::operator()(const QuantizeValues& step) {
  const std::size_t bytes = working_bytes(step.type, step.count);
  const std::size_t payload_bytes = quantized_bytes(step.quantization, step.type, step.count);
  const auto payload = take(Part::payload, payload_bytes);
  if (!payload.ok()) return payload.error();
  const auto scratch =
      take(Part::scratch, device_kernels::quantize_scratch_bytes(step.quantization, step.type, step.count));
  if (!scratch.ok()) return scratch.error();
  const bool wide = step.type != working_type(step.type);
  const std::byte* values = step.values;
  if (step.widens && (step.residual != nullptr || wide)) {
    const auto own = take(Part::first, bytes);
    if (!own.ok()) return own.error();
    widen_own(step.type, *own, step.values, step.residual, step.count);
    values = *own;
  }
  // The difference needs the values, which may lie in the place.
  std::byte* decoded = wide || step.next_residual != nullptr ? nullptr : step.place;
  if (decoded == nullptr && (step.place != nullptr || step.next_residual != nullptr)) {
    const auto second = take(Part::second, bytes);
    if (!second.ok()) return second.error();
    decoded = *second;
  }
  put([&](auto& out) {
    device_kernels::quantize(out, step.quantization, step.type, values, step.count, step.seed, *payload, decoded,
                             *scratch);
    if (step.next_residual != nullptr)
      device_kernels::difference(out, step.type, step.next_residual, values, decoded, step.residual_scale, step.count);
    if (step.place != nullptr && step.place != decoded)
      device_kernels::narrow_float(out, step.type, step.place, decoded, step.count);
  });
  copy(step.out, *payload, payload_bytes);
  return {};
}

}  // namespace

Result<std::shared_ptr<const device::Memory>> DeviceDesk::take(Part part, std::size_t bytes) {
  Buffer& buffer = parts_[static_cast<std::size_t>(part)];
  if (!buffer.memory || buffer.bytes < bytes) {
    auto made = devices_.allocate(device_, std::max<std::size_t>(1, bytes));
    if (!made.ok()) return made.error();
    buffer = {.memory = std::move(*made), .bytes = bytes};
  }
  return buffer.memory;
}

bool runs_works(const device::Devices& devices) {
  // They all come from one source: one stands for all.
  std::vector<device::Launch> one;
  device_kernels::widen_float(one, DataType::float32, nullptr, nullptr, 1);
  return devices.runs(*one.front().kernel);
}

Result<DeviceWork> on_device(const Work& work, DeviceDesk& desk) {
  DeviceWork made;
  StepWriter writer(desk, made);
  for (const WorkStep& step : work.steps)
    if (const auto written = std::visit(writer, step); !written.ok()) return written.error();
  return made;
}

}  // namespace hawser
