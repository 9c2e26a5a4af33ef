#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "boundary.hpp"
#include "hawser_optim.h"
#include "optim/diloco.hpp"

namespace capi = hawser::capi;

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

std::byte* bytes(void* data) { return static_cast<std::byte*>(data); }
const std::byte* bytes(const void* data) { return static_cast<const std::byte*>(data); }

}  // namespace

extern "C" {

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
    if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
    if (count != 0) hawser::pseudo_gradient(*type, bytes(delta), bytes(outer), bytes(inner), count, scale);
    return hawserSuccess;
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
    if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
    if (count != 0) hawser::scale(*ours, bytes(values), count, ratio);
    return hawserSuccess;
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
    if (const auto fine = check_tensors(std::span(tensors).first(used), count); !fine.ok())
      return capi::report(fine);
    if (count != 0)
      hawser::outer_step(*ours, {.outer = bytes(outer), .momentum = bytes(momentum), .delta = bytes(delta)},
                         count, *step);
    return hawserSuccess;
  });
}

hawserResult_t hawserClearMomentum(void* momentum, uint64_t count, hawserDataType_t type) {
  return capi::guarded([&] {
    const auto ours = outer_type_of(type);
    if (!ours.ok()) return capi::report(ours.error());
    const std::array<Tensor, 1> tensors{
        {{.name = "momentum", .data = momentum, .type = *ours, .written = true}}};
    if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
    if (count != 0) hawser::clear_momentum(*ours, bytes(momentum), count);
    return hawserSuccess;
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
    if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
    if (count != 0) hawser::mix(*type, bytes(local), bytes(global), count, alpha);
    return hawserSuccess;
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
    if (const auto fine = check_tensors(tensors, count); !fine.ok()) return capi::report(fine);
    if (count != 0) hawser::add_difference(*type, bytes(local), bytes(a), bytes(b), count);
    return hawserSuccess;
  });
}

}  // extern "C"
