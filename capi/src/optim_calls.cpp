#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "boundary.hpp"
#include "device/devices.hpp"
#include "device_kernels/diloco_launches.hpp"
#include "hawser_optim.h"
#include "optim/diloco.hpp"

namespace capi = hawser::capi;
namespace kernels = hawser::device_kernels;

namespace {

using hawser::DataType;
using hawser::Result;

Result<DataType> inner_type_of(const hawserDataType_t& from) {
  const auto type = capi::enumerator(capi::number_in(from), hawser::kDataTypes.back(), "a data type");
  if (type.ok() && !hawser::is_float(*type))
    return capi::invalid_argument(std::string("parameters are floats, not ") + hawser::to_string(*type));
  return type;
}

Result<DataType> outer_type_of(const hawserDataType_t& from) {
  const auto type = inner_type_of(from);
  if (type.ok() && *type != hawser::working_type(*type))
    return capi::invalid_argument(std::string("outer parameters are float32 or float64, not ") +
                                  hawser::to_string(*type));
  return type;
}

/// A tensor of the caller.
struct Tensor {
  const char* name;
  const void* data;
  DataType type;
  bool written = false;
  /// Element by element over this one: it may be the same memory.
  const Tensor* in_place = nullptr;
};

bool overlap(const Tensor& a, const Tensor& b, std::uint64_t count) {
  const auto begin = [](const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.data); };
  const auto end = [&](const Tensor& tensor) {
    return begin(tensor) + count * hawser::element_bytes(tensor.type);
  };
  return begin(a) < end(b) && begin(b) < end(a);
}

Result<void> check_pair(const Tensor& a, const Tensor& b, std::uint64_t count) {
  const bool same = (a.in_place == &b || b.in_place == &a) && a.data == b.data && a.type == b.type;
  if (same || !(a.written || b.written) || !overlap(a, b, count)) return {};
  return capi::invalid_argument(std::string(a.name) + " and " + b.name + " overlap");
}

Result<void> check_tensors(std::span<const Tensor> tensors, std::uint64_t count) {
  if (count == 0) return {};
  constexpr std::size_t kElementBytesMax = 8;
  if (count > static_cast<std::uint64_t>(PTRDIFF_MAX) / kElementBytesMax)
    return capi::invalid_argument("no memory holds " + std::to_string(count) + " elements");
  for (const Tensor& tensor : tensors)
    if (tensor.data == nullptr) return capi::invalid_argument(std::string(tensor.name) + " is null");
  for (std::size_t i = 0; i < tensors.size(); ++i)
    for (std::size_t j = i + 1; j < tensors.size(); ++j)
      if (const auto apart = check_pair(tensors[i], tensors[j], count); !apart.ok()) return apart;
  return {};
}

Result<hawser::OuterStep> step_of(const hawserOuterStepOptions_t* callers) {
  const hawserOuterStepOptions_t defaults = HAWSER_OUTER_STEP_OPTIONS_INIT;
  const auto options =
      capi::read_struct(callers != nullptr ? *callers : defaults, "hawserOuterStepOptions_t");
  if (!options.ok()) return options.error();
  if (options->nesterov > 1) return capi::invalid_argument("nesterov is 0 or 1");
  return hawser::OuterStep{.learning_rate = options->learning_rate,
                           .momentum = options->momentum,
                           .nesterov = options->nesterov != 0};
}

/// Where this thread puts what it does on devices.
thread_local std::uintptr_t this_threads_stream = 0;

/// The device that all of them lie on, or kHost.
Result<int> place_of(const hawser::device::Devices& devices, std::span<const Tensor> tensors, std::uint64_t count) {
  int place = hawser::device::kHost;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    const auto on = devices.where(tensor.data, count * hawser::element_bytes(tensor.type));
    if (!on.ok()) return hawser::Error{on.status(), std::string(tensor.name) + ": " + on.error().sentence};
    if (i > 0 && *on != place)
      return capi::invalid_argument(std::string(tensors[0].name) + " and " + tensor.name +
                                    " lie on different devices, or one on the host: copy one to where the other is");
    place = *on;
  }
  return place;
}

/// Checks the tensors, and does it where they lie: on the host at once, on a device in its stream.
template <class OnHost, class OnDevice>
hawserResult_t apply(std::span<const Tensor> tensors, std::uint64_t count, const OnHost& on_host,
                     const OnDevice& on_device) {
  if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
  if (count == 0) return hawserSuccess;
  const auto devices = hawser::device::devices();
  if (!devices.ok()) return capi::report(devices.error());
  const auto place = place_of(**devices, tensors, count);
  if (!place.ok()) return capi::report(place.error());
  if (*place == hawser::device::kHost) {
    on_host();
    return hawserSuccess;
  }
  std::vector<hawser::device::Launch> launches;
  on_device(launches);
  for (const hawser::device::Launch& launch : launches)
    if (const auto put = (*devices)->launch_on(*place, this_threads_stream, launch); !put.ok())
      return capi::report(put);
  return hawserSuccess;
}

std::byte* bytes(void* data) { return static_cast<std::byte*>(data); }
const std::byte* bytes(const void* data) { return static_cast<const std::byte*>(data); }

}  // namespace

extern "C" {

hawserResult_t hawserOptimSetStream(void* stream) {
  this_threads_stream = reinterpret_cast<std::uintptr_t>(stream);
  return hawserSuccess;
}

hawserResult_t hawserPseudoGradient(const void* outer, const void* inner, void* delta, uint64_t count,
                                    hawserDataType_t inner_type, double scale) {
  return capi::guarded([&] {
    const auto type = inner_type_of(inner_type);
    if (!type.ok()) return capi::report(type.error());
    const DataType outer_type = hawser::working_type(*type);
    if (const auto fine = hawser::check_factor(*type, scale, "the scale"); !fine.ok())
      return capi::report(fine);
    std::array<Tensor, 3> tensors{{{.name = "outer", .data = outer, .type = outer_type},
                                   {.name = "inner", .data = inner, .type = *type},
                                   {.name = "delta", .data = delta, .type = outer_type, .written = true}}};
    tensors[0].in_place = tensors[1].in_place = &tensors[2];
    return apply(
        tensors, count,
        [&] { hawser::pseudo_gradient(*type, bytes(delta), bytes(outer), bytes(inner), count, scale); },
        [&](auto& out) {
          kernels::pseudo_gradient(out, *type, bytes(delta), bytes(outer), bytes(inner), count, scale);
        });
  });
}

hawserResult_t hawserScale(void* values, uint64_t count, hawserDataType_t type, double multiplier,
                           double divisor) {
  return capi::guarded([&] {
    const auto ours = outer_type_of(type);
    if (!ours.ok()) return capi::report(ours.error());
    const hawser::Ratio ratio{.multiplier = multiplier, .divisor = divisor};
    if (const auto fine = hawser::check_ratio(*ours, ratio); !fine.ok()) return capi::report(fine);
    const std::array<Tensor, 1> tensors{{{.name = "values", .data = values, .type = *ours, .written = true}}};
    return apply(
        tensors, count, [&] { hawser::scale(*ours, bytes(values), count, ratio); },
        [&](auto& out) { kernels::scale(out, *ours, bytes(values), count, ratio); });
  });
}

hawserResult_t hawserOuterStep(void* outer, void* momentum, const void* delta, uint64_t count,
                               hawserDataType_t type, const hawserOuterStepOptions_t* options) {
  return capi::guarded([&] {
    const auto ours = outer_type_of(type);
    if (!ours.ok()) return capi::report(ours.error());
    const auto step = step_of(options);
    if (!step.ok()) return capi::report(step.error());
    if (const auto fine = hawser::check_step(*ours, *step); !fine.ok()) return capi::report(fine);
    const std::array<Tensor, 3> tensors{
        {{.name = "outer", .data = outer, .type = *ours, .written = true},
         {.name = "delta", .data = delta, .type = *ours},
         {.name = "momentum", .data = momentum, .type = *ours, .written = true}}};
    const std::size_t used = step->momentum == 0 ? 2 : 3;
    const hawser::OuterTensor all{.outer = bytes(outer), .momentum = bytes(momentum), .delta = bytes(delta)};
    return apply(
        std::span(tensors).first(used), count, [&] { hawser::outer_step(*ours, all, count, *step); },
        [&](auto& out) { kernels::outer_step(out, *ours, all, count, *step); });
  });
}

hawserResult_t hawserClearMomentum(void* momentum, uint64_t count, hawserDataType_t type) {
  return capi::guarded([&] {
    const auto ours = outer_type_of(type);
    if (!ours.ok()) return capi::report(ours.error());
    const std::array<Tensor, 1> tensors{
        {{.name = "momentum", .data = momentum, .type = *ours, .written = true}}};
    return apply(
        tensors, count, [&] { hawser::clear_momentum(*ours, bytes(momentum), count); },
        [&](auto& out) { kernels::clear_momentum(out, *ours, bytes(momentum), count); });
  });
}

hawserResult_t hawserMix(void* local, const void* global, uint64_t count, hawserDataType_t inner_type,
                         double alpha) {
  return capi::guarded([&] {
    const auto type = inner_type_of(inner_type);
    if (!type.ok()) return capi::report(type.error());
    if (const auto fine = hawser::check_alpha(alpha); !fine.ok()) return capi::report(fine);
    const std::array<Tensor, 2> tensors{
        {{.name = "local", .data = local, .type = *type, .written = true},
         {.name = "global", .data = global, .type = hawser::working_type(*type)}}};
    return apply(
        tensors, count, [&] { hawser::mix(*type, bytes(local), bytes(global), count, alpha); },
        [&](auto& out) { kernels::mix(out, *type, bytes(local), bytes(global), count, alpha); });
  });
}

hawserResult_t hawserAddDifference(void* local, const void* a, const void* b, uint64_t count,
                                   hawserDataType_t inner_type) {
  return capi::guarded([&] {
    const auto type = inner_type_of(inner_type);
    if (!type.ok()) return capi::report(type.error());
    const DataType outer_type = hawser::working_type(*type);
    const std::array<Tensor, 3> tensors{{{.name = "local", .data = local, .type = *type, .written = true},
                                         {.name = "a", .data = a, .type = outer_type},
                                         {.name = "b", .data = b, .type = outer_type}}};
    return apply(
        tensors, count, [&] { hawser::add_difference(*type, bytes(local), bytes(a), bytes(b), count); },
        [&](auto& out) { kernels::add_difference(out, *type, bytes(local), bytes(a), bytes(b), count); });
  });
}

}  // extern "C"
