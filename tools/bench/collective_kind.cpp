// The one file that knows the C API's data types, operations, plans and quantisation by name. A new one is
// added to a list here and to the function below that depends on it.

#include "bench/collective_kind.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string_view>

namespace hawser::bench {
namespace {

template <class T>
struct Named {
  const char* name;
  T value;
};

constexpr std::array kTypes{
    Named<hawserDataType_t>{"float32", hawserFloat32}, Named<hawserDataType_t>{"float64", hawserFloat64},
    Named<hawserDataType_t>{"bfloat16", hawserBfloat16}, Named<hawserDataType_t>{"int8", hawserInt8},
    Named<hawserDataType_t>{"int32", hawserInt32}, Named<hawserDataType_t>{"int64", hawserInt64}};
constexpr std::array kOps{Named<hawserReduceOp_t>{"sum", hawserSum}, Named<hawserReduceOp_t>{"avg", hawserAvg},
                          Named<hawserReduceOp_t>{"max", hawserMax}, Named<hawserReduceOp_t>{"min", hawserMin}};
constexpr std::array kPlans{Named<hawserPlan_t>{"auto", hawserPlanAuto},
                            Named<hawserPlan_t>{"ring", hawserPlanRing},
                            Named<hawserPlan_t>{"direct", hawserPlanDirect},
                            Named<hawserPlan_t>{"hierarchical", hawserPlanHierarchical}};

struct QuantizationKind {
  hawserQuantization_t quantization;
  double tolerance;  ///< Of a sum of what up to 18 members put in.
};
constexpr std::array kQuantizations{
    Named<QuantizationKind>{"none", {{hawserQuantizeNone, hawserToUint8, 0, 0}, 0}},
    Named<QuantizationKind>{"min-max-8", {{hawserQuantizeMinMax, hawserToUint8, 0, 0}, 4}},
    Named<QuantizationKind>{"zero-point-8", {{hawserQuantizeZeroPointScale, hawserToUint8, 0, 0}, 4}},
    Named<QuantizationKind>{"block-8", {{hawserQuantizeBlockwise, hawserToInt8, 256, 0}, 8}},
    Named<QuantizationKind>{"block-4", {{hawserQuantizeBlockwise, hawserToInt4, 256, 0}, 64}},
    Named<QuantizationKind>{"bfloat16", {{hawserQuantizeCast, hawserToBfloat16, 0, 0}, 4}},
    Named<QuantizationKind>{"float16", {{hawserQuantizeCast, hawserToFloat16, 0, 0}, 1}}};

template <class T>
void put(double value, std::byte* to) {
  const auto element = static_cast<T>(value);
  std::memcpy(to, &element, sizeof element);
}

template <class T>
T get(const std::byte* from) {
  T element;
  std::memcpy(&element, from, sizeof element);
  return element;
}

template <class List>
std::vector<std::string> names_in(const List& list) {
  std::vector<std::string> names;
  for (const auto& entry : list) names.emplace_back(entry.name);
  return names;
}

template <class List>
auto find_in(const List& list, std::string_view name) {
  for (const auto& entry : list)
    if (name == entry.name) return entry.value;
  return list[0].value;
}

std::size_t element_bytes(hawserDataType_t type) {
  switch (type) {
    case hawserInt8:
    case hawserUint8: return 1;
    case hawserFloat16:
    case hawserBfloat16:
    case hawserInt16:
    case hawserUint16: return 2;
    case hawserFloat32:
    case hawserInt32:
    case hawserUint32: return 4;
    case hawserFloat64:
    case hawserInt64:
    case hawserUint64: return 8;
  }
  return 1;
}

}  // namespace

std::vector<std::string> type_names() { return names_in(kTypes); }
std::vector<std::string> op_names() { return names_in(kOps); }
std::vector<std::string> plan_names() { return names_in(kPlans); }
std::vector<std::string> quantize_names() { return names_in(kQuantizations); }

CollectiveKind kind_of(const CollectiveNames& names) {
  CollectiveKind kind;
  kind.type = find_in(kTypes, names.type);
  kind.element_bytes = element_bytes(kind.type);
  // An average need not be a whole number: then the type rounds it.
  kind.options.op = find_in(kOps, names.op);
  kind.options.plan = find_in(kPlans, names.plan);
  const QuantizationKind quantization = find_in(kQuantizations, names.quantize);
  kind.options.quantization = quantization.quantization;
  kind.tolerance = quantization.tolerance;
  return kind;
}

const char* plan_name(hawserPlan_t plan) {
  for (const auto& entry : kPlans)
    if (plan == entry.value) return entry.name;
  return "?";
}

void write_element(hawserDataType_t type, double value, std::byte* to) {
  switch (type) {
    case hawserFloat64: return put<double>(value, to);
    case hawserInt8: return put<std::int8_t>(value, to);
    case hawserInt32: return put<std::int32_t>(value, to);
    case hawserInt64: return put<std::int64_t>(value, to);
    // The upper half of a float32; the values are small whole numbers, which lose nothing by that.
    case hawserBfloat16:
      return put<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16, to);
    default: return put<float>(value, to);
  }
}

double read_element(hawserDataType_t type, const std::byte* from) {
  switch (type) {
    case hawserFloat64: return get<double>(from);
    case hawserInt8: return get<std::int8_t>(from);
    case hawserInt32: return get<std::int32_t>(from);
    case hawserInt64: return static_cast<double>(get<std::int64_t>(from));
    case hawserBfloat16: return std::bit_cast<float>(static_cast<std::uint32_t>(get<std::uint16_t>(from)) << 16);
    default: return get<float>(from);
  }
}

double reduced_value(hawserReduceOp_t op, std::span<const double> inputs) {
  const double sum = std::accumulate(inputs.begin(), inputs.end(), 0.0);
  switch (op) {
    case hawserAvg: return sum / static_cast<double>(inputs.size());
    case hawserMax: return *std::max_element(inputs.begin(), inputs.end());
    case hawserMin: return *std::min_element(inputs.begin(), inputs.end());
    default: return sum;
  }
}

}  // namespace hawser::bench
