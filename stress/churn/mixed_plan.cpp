#include "mixed_plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint64_t kFirstTag = 10;  // those below belong to the rest of the round
constexpr std::uint64_t kGroupTag = 100;
constexpr std::uint64_t kListTag = 1000;
constexpr std::uint32_t kListEvery = 6;
constexpr std::uint32_t kListTensors = 40;
constexpr std::uint32_t kLargeEvery = 12;
constexpr std::uint64_t kLargeFactor = 5;

using Random = std::mt19937_64;

bool one_in(Random& random, std::uint32_t n) { return random() % n == 0; }

/// Uniform in the logarithm, mostly odd.
std::uint64_t log_uniform(Random& random, std::uint64_t most) {
  std::uniform_real_distribution<double> exponent(
      0, std::log(static_cast<double>(std::max<std::uint64_t>(2, most))));
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::exp(exponent(random))) | 1, 1, most);
}

std::uint64_t choose_count(Random& random, std::uint64_t elements_max) {
  switch (random() % 12) {
    case 0: return 1;
    case 1: return std::min<std::uint64_t>(elements_max, 2 + random() % 6);
    case 2: return log_uniform(random, elements_max);
    default: return log_uniform(random, std::max<std::uint64_t>(1, elements_max / 8));
  }
}

hawserPlan_t choose_plan(Random& random) {
  constexpr std::array plans{hawserPlanAuto, hawserPlanRing, hawserPlanDirect, hawserPlanAuto};
  return plans.at(random() % plans.size());
}

hawserQuantization_t choose_quantization(Random& random, hawserDataType_t type) {
  constexpr std::array<hawserQuantization_t, 10> kinds{{
      {hawserQuantizeMinMax, hawserToUint8, 0, 0},
      {hawserQuantizeMinMax, hawserToInt8, 0, 0},
      {hawserQuantizeMinMax, hawserToUint16, 0, 0},
      {hawserQuantizeZeroPointScale, hawserToUint8, 0, 0},
      {hawserQuantizeZeroPointScale, hawserToInt8, 0, 0},
      {hawserQuantizeZeroPointScale, hawserToUint16, 0, 0},
      {hawserQuantizeBlockwise, hawserToInt8, 64, 0},
      {hawserQuantizeBlockwise, hawserToInt4, 64, 0},
      {hawserQuantizeCast, hawserToBfloat16, 0, 0},
      {hawserQuantizeCast, hawserToFloat16, 0, 0},
  }};
  const bool half = type == hawserFloat16 || type == hawserBfloat16;  // a cast of those saves nothing
  hawserQuantization_t chosen = kinds.at(random() % (kinds.size() - (half ? 2 : 0)));
  if (chosen.block != 0) chosen.block <<= random() % 5;
  chosen.stochastic = one_in(random, 3) ? 1 : 0;
  return chosen;
}

/// A tensor with error feedback is quantised the same each time: what a coarse call left behind would not fit
/// the bound of a finer one.
hawserQuantization_t quantization_with_residual(hawserDataType_t type) {
  switch (type) {
    case hawserFloat32: return {hawserQuantizeBlockwise, hawserToInt8, 256, 0};
    case hawserFloat64: return {hawserQuantizeMinMax, hawserToUint8, 0, 0};
    case hawserFloat16: return {hawserQuantizeZeroPointScale, hawserToInt8, 0, 1};
    default: return {hawserQuantizeBlockwise, hawserToInt4, 64, 0};
  }
}

MixedCall choose_call(Random& random, hawserDataType_t type, std::uint64_t count) {
  MixedCall call;
  call.key = random();
  call.count = count;
  call.type = type;
  call.op = static_cast<hawserReduceOp_t>(random() % kReduceOps);
  call.plan = choose_plan(random);
  call.in_place = one_in(random, 2);
  call.compressible = one_in(random, 4);
  return call;
}

hawserDataType_t type_number(std::uint64_t number) {
  return static_cast<hawserDataType_t>(number % kDataTypes);
}

std::vector<MixedCall> choose_tags(Random& random, const MixedRule& rule) {
  std::vector<MixedCall> tags;
  for (std::uint32_t i = 0; i < rule.tags; ++i) {
    const std::uint64_t number = std::uint64_t{rule.step} * rule.tags + i;
    MixedCall call = choose_call(random, type_number(number), choose_count(random, rule.elements_max));
    call.tag = kFirstTag + i;
    if (is_float(call.type) && call.op != hawserProd && one_in(random, 3)) {
      call.quantization = choose_quantization(random, call.type);
      // One of each type at once: a residual serves one call at a time.
      call.residual = i < kDataTypes && call.op <= hawserAvg && one_in(random, 2);
      if (call.residual) {
        call.count = kResidualElements;
        call.quantization = quantization_with_residual(call.type);
      }
    }
    tags.push_back(call);
  }
  if (rule.step % kLargeEvery == 3 && !tags.front().residual)
    tags.front().count = kLargeFactor * rule.elements_max;
  return tags;
}

MixedList choose_list(Random& random, const MixedRule& rule) {
  constexpr std::array<std::uint32_t, 3> in_flight{0, 3, 16};
  constexpr std::array<std::uint32_t, 4> fuse{0, 0, 64 << 10, 1};
  MixedList list{.tensors = {},
                 .first_tag = kListTag,
                 .in_flight = in_flight.at(random() % in_flight.size()),
                 .fuse_bytes = fuse.at(random() % fuse.size())};
  const MixedCall common = choose_call(random, hawserFloat32, 1);
  const bool quantised = common.op != hawserProd && one_in(random, 4);
  const hawserQuantization_t quantization =
      quantised ? choose_quantization(random, hawserFloat16) : hawserQuantization_t{};
  for (std::uint32_t i = 0; i < kListTensors; ++i) {
    // Of two types more than of the others, as in a model.
    const auto type = i % 3 != 0 ? type_number(common.key % 2 + 2 * (i % 2)) : type_number(random());
    const std::uint64_t most =
        i % 10 == 0 ? rule.elements_max : std::max<std::uint64_t>(1, rule.elements_max / 50);
    MixedCall tensor = choose_call(random, type, one_in(random, 10) ? 1 : log_uniform(random, most));
    tensor.op = common.op;
    tensor.plan = common.plan;
    tensor.compressible = common.compressible;
    if (is_float(type)) tensor.quantization = quantization;
    list.tensors.push_back(tensor);
  }
  return list;
}

}  // namespace

bool MixedCall::compressed_by(std::uint64_t peer_id) const {
  return compressible && (mix64(key ^ peer_id) & 1) != 0;
}

MixedRound choose_mixed_round(const MixedRule& rule) {
  Random random(mix64(rule.lineage ^ mix64(rule.step + 0x6d69786564u)));
  MixedRound round;
  round.threads = one_in(random, 3);
  round.tags = choose_tags(random, rule);
  round.group = static_cast<GroupKind>(rule.step % 4);
  // Of every member so many: less, as there are many.
  round.group_call = choose_call(random, type_number(rule.step / 4),
                                 choose_count(random, std::max<std::uint64_t>(1, rule.elements_max / 4)));
  round.group_call.tag = kGroupTag;
  if (is_float(round.group_call.type) && round.group_call.op != hawserProd && one_in(random, 3))
    round.group_call.quantization = choose_quantization(random, round.group_call.type);
  if (rule.step % kListEvery == 1) round.list = choose_list(random, rule);
  return round;
}

}  // namespace hawser::churn
