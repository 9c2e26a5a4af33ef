#include "mixed_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "digest.hpp"
#include "number_formats.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint32_t kTriedOutMax = 12;

std::uint64_t pattern_elements(const ValueRule& rule) { return std::min(rule.count, kPatternElements); }

std::int64_t ordinary_value(const ValueRule& rule, std::uint32_t base, std::uint32_t index) {
  std::uint32_t v = base + index * 0x9e3779b1u;
  v ^= v >> 15;
  v *= 0x85ebca77u;
  const auto nibble = static_cast<std::int64_t>(v >> 28);
  // Powers of two, so that floats stay exact; mostly ones, so that they stay small.
  if (rule.op == hawserProd) return nibble < 7 ? 1 : nibble < 13 ? -1 : 2;
  return is_unsigned(rule.type) ? nibble : nibble - 8;
}

/// What a member puts into its own element of the roster, and all others into that one. The result differs
/// from `others` exactly if the member contributed.
struct Mark {
  std::int64_t own = 1;
  std::int64_t others = 0;
};
Mark mark_of(hawserReduceOp_t op) {
  switch (op) {
    case hawserAvg: return {.own = 64, .others = 0};  // not rounded away among 64 members
    case hawserProd: return {.own = 2, .others = 1};
    case hawserMin: return {.own = 0, .others = 1};
    default: return {.own = 1, .others = 0};
  }
}

std::vector<std::int64_t> values_of(const ValueRule& rule, std::uint64_t peer_id) {
  const auto base = static_cast<std::uint32_t>(mix64(peer_id ^ mix64(rule.key)));
  std::vector<std::int64_t> values(pattern_elements(rule));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = ordinary_value(rule, base, static_cast<std::uint32_t>(i));
  const Mark mark = mark_of(rule.op);
  for (std::size_t i = 0; i < std::min(values.size(), rule.roster.size()); ++i)
    values[i] = rule.roster[i] == peer_id ? mark.own : mark.others;
  return values;
}

std::int64_t combine(hawserReduceOp_t op, std::int64_t a, std::int64_t b) {
  switch (op) {
    case hawserProd:
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
    case hawserMax: return std::max(a, b);
    case hawserMin: return std::min(a, b);
    default: return a + b;
  }
}

std::vector<std::int64_t> reduce_exactly(const ValueRule& rule, std::span<const std::uint64_t> members) {
  std::vector<std::int64_t> total;
  for (const std::uint64_t id : members) {
    const std::vector<std::int64_t> one = values_of(rule, id);
    if (total.empty()) {
      total = one;
    } else {
      for (std::size_t i = 0; i < one.size(); ++i) total[i] = combine(rule.op, total[i], one[i]);
    }
  }
  return total;
}

std::int64_t mean_to_even(std::int64_t sum, std::int64_t n) {
  std::int64_t quotient = sum / n;
  std::int64_t rest = sum % n;
  if (rest < 0) {
    --quotient;
    rest += n;
  }
  if (2 * rest > n || (2 * rest == n && quotient % 2 != 0)) ++quotient;
  return quotient;
}

template <class T>
void put(T value, std::byte* out) {
  std::memcpy(out, &value, sizeof value);
}

template <class T>
T get(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

/// A whole number divided by another, as floats do it: in float32 for all but float64, rounded once more for
/// the 16-bit ones. Integers are cut to their bits.
void encode(hawserDataType_t type, std::int64_t value, std::int64_t divisor, std::byte* out) {
  const float quotient = static_cast<float>(value) / static_cast<float>(divisor);
  switch (type) {
    case hawserFloat32: return put(quotient, out);
    case hawserFloat64: return put(static_cast<double>(value) / static_cast<double>(divisor), out);
    case hawserFloat16: return put(to_float16(quotient), out);
    case hawserBfloat16: return put(to_bfloat16(quotient), out);
    default: break;
  }
  const std::int64_t whole = divisor == 1 ? value : mean_to_even(value, divisor);
  switch (bytes_of(type)) {
    case 1: return put(static_cast<std::uint8_t>(whole), out);
    case 2: return put(static_cast<std::uint16_t>(whole), out);
    case 4: return put(static_cast<std::uint32_t>(whole), out);
    default: return put(whole, out);
  }
}

double decode(hawserDataType_t type, const std::byte* in) {
  switch (type) {
    case hawserFloat32: return get<float>(in);
    case hawserFloat64: return get<double>(in);
    case hawserFloat16: return from_float16(get<std::uint16_t>(in));
    case hawserBfloat16: return from_bfloat16(get<std::uint16_t>(in));
    case hawserInt8: return get<std::int8_t>(in);
    case hawserUint8: return get<std::uint8_t>(in);
    case hawserInt16: return get<std::int16_t>(in);
    case hawserUint16: return get<std::uint16_t>(in);
    case hawserInt32: return get<std::int32_t>(in);
    case hawserUint32: return get<std::uint32_t>(in);
    case hawserInt64: return static_cast<double>(get<std::int64_t>(in));
    case hawserUint64: return static_cast<double>(get<std::uint64_t>(in));
  }
  return 0;
}

Pattern encode_all(hawserDataType_t type, std::span<const std::int64_t> values, std::size_t divisor) {
  const std::size_t element = bytes_of(type);
  Pattern pattern(values.size() * element);
  for (std::size_t i = 0; i < values.size(); ++i)
    encode(type, values[i], static_cast<std::int64_t>(divisor), pattern.data() + i * element);
  return pattern;
}

std::string sentence_of(const ValueRule& rule, std::uint64_t element, double is, double expected) {
  return "element " + std::to_string(element) + " of " + std::to_string(rule.count) + " " +
         name_of(rule.type) + " (" + name_of(rule.op) + ") is " + std::to_string(is) + " instead of " +
         std::to_string(expected);
}

/// What a unit of quantisation does to a value, relative to the largest amplitude in its chunk or block.
double relative_error(hawserQuantizedType_t type) {
  switch (type) {
    case hawserToUint8:
    case hawserToInt8: return 1.0 / 120;
    case hawserToUint16: return 1.0 / 30'000;
    case hawserToInt4: return 1.0 / 6.5;
    case hawserToBfloat16: return 1.0 / 128;
    case hawserToFloat16: return 1.0 / 1024;
  }
  return 0;
}

}  // namespace

Pattern input_pattern(const ValueRule& rule, std::uint64_t peer_id) {
  return encode_all(rule.type, values_of(rule, peer_id), 1);
}

Pattern result_pattern(const ValueRule& rule, std::span<const std::uint64_t> members) {
  return encode_all(rule.type, reduce_exactly(rule, members), rule.op == hawserAvg ? members.size() : 1);
}

void lay_pattern(std::span<const std::byte> pattern, std::span<std::byte> out) {
  for (std::size_t at = 0; at < out.size(); at += pattern.size())
    std::memcpy(out.data() + at, pattern.data(), std::min(pattern.size(), out.size() - at));
}

std::size_t first_difference(std::span<const std::byte> pattern, std::span<const std::byte> bytes,
                             std::uint64_t skip) {
  std::size_t place = skip % pattern.size();
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = std::min(pattern.size() - place, bytes.size() - at);
    if (std::memcmp(bytes.data() + at, pattern.data() + place, length) != 0) {
      while (bytes[at] == pattern[place]) ++at, ++place;
      return at;
    }
    at += length;
    place = 0;
  }
  return bytes.size();
}

std::string verify_exact(const ValueRule& rule, std::span<const std::uint64_t> members,
                         std::span<const std::byte> result, std::uint64_t offset) {
  const Pattern right = result_pattern(rule, members);
  const std::size_t element = bytes_of(rule.type);
  const std::size_t wrong = first_difference(right, result, offset * element);
  if (wrong == result.size()) return {};
  const std::uint64_t index = wrong / element;
  return sentence_of(rule, offset + index, decode(rule.type, result.data() + index * element),
                     decode(rule.type, right.data() + (offset + index) * element % right.size())) +
         ", with " + std::to_string(members.size()) + " contributors";
}

double tolerance_of(const ValueRule& rule, const hawserQuantization_t& quantization, std::size_t members,
                    bool residual) {
  const auto n = static_cast<double>(members);
  const double c = relative_error(quantization.type);
  const double amplitude = rule.op == hawserAvg && !rule.roster.empty() ? 64 : 8;
  double tolerance = 1.25 * c * amplitude * n * (n + 1) / 2;
  // Each member owes at most the error of quantising once, and a root of an average n times that.
  if (residual) tolerance = 2 * tolerance + amplitude * c * n * n;
  const double rounding = rule.type == hawserBfloat16 ? 1.0 / 256 : 1.0 / 2048;
  tolerance += (amplitude * n + tolerance) * rounding;
  return rule.op == hawserAvg ? tolerance / n : tolerance;
}

std::string verify_near(const ValueRule& rule, std::span<const std::uint64_t> members,
                        std::span<const std::byte> result, double tolerance, std::uint64_t offset) {
  const std::vector<std::int64_t> exact = reduce_exactly(rule, members);
  const double divisor = rule.op == hawserAvg ? static_cast<double>(members.size()) : 1;
  const std::size_t element = bytes_of(rule.type);
  for (std::size_t i = 0; i < result.size() / element; ++i) {
    const double expected = static_cast<double>(exact[(offset + i) % exact.size()]) / divisor;
    const double is = decode(rule.type, result.data() + i * element);
    if (std::abs(is - expected) <= tolerance) continue;
    return sentence_of(rule, offset + i, is, expected) + ", which is further off than " +
           std::to_string(tolerance) + ", with " + std::to_string(members.size()) + " contributors";
  }
  return {};
}

std::optional<std::vector<std::uint64_t>> read_contributors(const ValueRule& rule,
                                                            std::span<const std::byte> result,
                                                            const ContributorBounds& bounds) {
  const std::size_t element = bytes_of(rule.type);
  const std::size_t told = std::min<std::size_t>(rule.roster.size(), result.size() / element);
  const auto others = static_cast<double>(mark_of(rule.op).others);
  std::vector<std::uint64_t> sure;
  for (std::size_t r = 0; r < told; ++r)
    if (decode(rule.type, result.data() + r * element) != others) sure.push_back(rule.roster[r]);
  const std::size_t open = rule.roster.size() - told;
  if (open > kTriedOutMax) return std::nullopt;
  // The largest set first: mostly nobody is missing.
  for (std::uint32_t set = 1u << open; set-- > 0;) {
    std::vector<std::uint64_t> members = sure;
    for (std::size_t i = 0; i < open; ++i)
      if ((set >> i & 1) != 0) members.push_back(rule.roster[told + i]);
    if (members.size() < bounds.least || members.size() > bounds.most) continue;
    if (std::ranges::find(members, bounds.self) == members.end()) continue;
    if (verify_exact(rule, members, result).empty()) return members;
  }
  return std::vector<std::uint64_t>{};
}

}  // namespace hawser::churn
