#include "base/quantization.hpp"

namespace hawser {
namespace {

const char* to_string(QuantizedType type) {
  constexpr std::array names{"uint8", "int8", "uint16", "int4", "bfloat16", "float16"};
  return names.at(static_cast<std::size_t>(type));
}

const char* to_string(QuantizationScheme scheme) {
  constexpr std::array names{"none", "min_max", "zero_point_scale", "blockwise", "cast"};
  return names.at(static_cast<std::size_t>(scheme));
}

Error unusable(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

bool fits(QuantizationScheme scheme, QuantizedType type) {
  switch (scheme) {
    case QuantizationScheme::none: return type == QuantizedType::uint8;
    case QuantizationScheme::min_max:
    case QuantizationScheme::zero_point_scale:
      return type == QuantizedType::uint8 || type == QuantizedType::int8 || type == QuantizedType::uint16;
    case QuantizationScheme::blockwise: return type == QuantizedType::int8 || type == QuantizedType::int4;
    case QuantizationScheme::cast: return type == QuantizedType::bfloat16 || type == QuantizedType::float16;
  }
  return false;
}

const char* types_of(QuantizationScheme scheme) {
  switch (scheme) {
    case QuantizationScheme::blockwise: return "int8 or int4";
    case QuantizationScheme::cast: return "bfloat16 or float16";
    default: return "uint8, int8 or uint16";
  }
}

}  // namespace

Result<void> check(const Quantization& q, DataType type) {
  if (!q) {
    if (q != Quantization{}) return unusable("a quantised type, block or rounding needs a quantisation scheme");
    return {};
  }
  if (!is_float(type))
    return unusable(std::string("quantisation is for floats, not for ") + hawser::to_string(type));
  if (!fits(q.scheme, q.type))
    return unusable(std::string(to_string(q.scheme)) + " quantises to " + types_of(q.scheme) + ", not to " +
                    to_string(q.type));
  if (q.scheme == QuantizationScheme::blockwise) {
    const bool power = q.block != 0 && (q.block & (q.block - 1)) == 0;
    if (!power || q.block < kQuantizationBlockMin || q.block > kQuantizationBlockMax)
      return unusable("a block is a power of two from 64 to 1024 values, not " + std::to_string(q.block));
  } else if (q.block != 0) {
    return unusable("only blockwise quantisation has blocks; leave the block 0");
  }
  if (q.scheme == QuantizationScheme::cast && is_half(type))
    return unusable(std::string("a cast of ") + hawser::to_string(type) + " to " + to_string(q.type) +
                    " saves nothing");
  return {};
}

std::string describe(const Quantization& q) {
  if (!q) return {};
  std::string text = to_string(q.scheme);
  if (q.block != 0) text += " (" + std::to_string(q.block) + ")";
  text += std::string(" to ") + to_string(q.type);
  if (q.stochastic) text += ", stochastic";
  return text;
}

}  // namespace hawser
