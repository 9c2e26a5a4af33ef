#include "runtime/device_works.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "device_kernels/launches.hpp"
#include "device_kernels/list_launches.hpp"
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
    put([&](auto& out) {
      device_kernels::dequantize_values(out, step.quantization, step.type, *payload, step.count, step.place);
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
    return work_.memory.back().get();
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
  const bool adds_residual = step.widens && step.residual != nullptr;
  if (adds_residual || (step.widens && step.next_residual != nullptr && wide)) {
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
  const auto quantize =
      step.widens && values == step.values ? device_kernels::quantize_values : device_kernels::quantize;
  put([&](auto& out) {
    quantize(out, step.quantization, step.type, values, step.count, step.seed, *payload, decoded, *scratch);
    if (step.next_residual != nullptr)
      device_kernels::difference(out, step.type, step.next_residual, values, decoded, step.residual_scale, step.count);
    if (step.place != nullptr && step.place != decoded)
      device_kernels::narrow_float(out, step.type, step.place, decoded, step.count);
  });
  copy(step.out, *payload, payload_bytes);
  return {};
}

/// Copies on the device, of pieces that lie one behind the other on one side, or none: one launch does many of them.
std::vector<device::Launch> copies_at_once(const Work& work, const device::Devices& devices) {
  std::vector<device_kernels::Segment> from, to;
  bool gathers = true;
  bool scatters = true;
  const auto is_there = [&](const std::byte* memory, std::size_t bytes) {
    const auto on = devices.where(memory, bytes);
    return on.ok() && *on == work.device;
  };
  for (const WorkStep& step : work.steps) {
    const auto* const copy = std::get_if<CopyBytes>(&step);
    if (copy == nullptr || !is_there(copy->from, copy->bytes) || !is_there(copy->to, copy->bytes)) return {};
    if (!from.empty()) {
      gathers = gathers && copy->to == to.back().at + to.back().bytes;
      scatters = scatters && copy->from == from.back().at + from.back().bytes;
    }
    from.push_back({.at = const_cast<std::byte*>(copy->from), .bytes = copy->bytes});
    to.push_back({.at = copy->to, .bytes = copy->bytes});
  }
  std::vector<device::Launch> launches;
  if (from.size() > 1 && gathers) device_kernels::gather(launches, from, to.front().at);
  if (from.size() > 1 && scatters && !gathers) device_kernels::scatter(launches, from.front().at, to);
  return launches;
}

}  // namespace

DeviceDesk::Sizes DeviceDesk::needs(const Signature& signature) {
  // The accumulators of a chunk fit into a frame.
  const std::uint64_t count = std::min<std::uint64_t>(
      signature.count, limits::kFramePayloadBytesMax / element_bytes(working_type(signature.type)));
  const std::size_t values = static_cast<std::size_t>(count) * element_bytes(working_type(signature.type));
  return {quantized_bytes(signature.quantization, signature.type, count), values, values,
          device_kernels::quantize_scratch_bytes(signature.quantization, signature.type, count)};
}

Result<void> DeviceDesk::make_ready(const Sizes& sizes, bool may_trim) {
  for (std::size_t part = 0; part < sizes.size(); ++part)
    if (const auto there = take(static_cast<Part>(part), sizes[part], may_trim); !there.ok())
      return there.error();
  return {};
}

Result<std::shared_ptr<std::byte>> DeviceDesk::take(Part part, std::size_t bytes, bool may_trim) {
  Buffer& buffer = parts_[static_cast<std::size_t>(part)];
  {
    const std::lock_guard lock(mutex_);
    if (buffer.memory && buffer.bytes >= bytes) return buffer.memory;
  }
  // Without the mutex: works need not wait for the driver.
  auto made = memory_->take(bytes, may_trim);
  if (!made.ok()) return made.error();
  const std::lock_guard lock(mutex_);
  if (!buffer.memory || buffer.bytes < bytes) buffer = {.memory = std::move(*made), .bytes = bytes};
  return buffer.memory;
}

bool runs_works(const device::Devices& devices) {
  // They all come from one source: one stands for all.
  static const device::Kernel* const kOne = [] {
    std::vector<device::Launch> launches;
    device_kernels::widen_float(launches, DataType::float16, nullptr, nullptr, 1);
    HAWSER_ASSERT(!launches.empty());
    return launches.front().kernel;
  }();
  return devices.runs(*kOne);
}

Result<DeviceWork> on_device(const Work& work, DeviceDesk& desk) {
  DeviceWork made;
  if (runs_works(desk.devices()))
    for (device::Launch& launch : copies_at_once(work, desk.devices())) made.steps.emplace_back(std::move(launch));
  if (!made.steps.empty()) return made;
  StepWriter writer(desk, made);
  for (const WorkStep& step : work.steps)
    if (const auto written = std::visit(writer, step); !written.ok()) return written.error();
  return made;
}

}  // namespace hawser
