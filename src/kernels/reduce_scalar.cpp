#include "kernels/reduce_scalar.hpp"

#include <cstring>

namespace hawser {
namespace {

float load(const std::byte* from) {
  float value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void store(std::byte* to, float value) { std::memcpy(to, &value, sizeof value); }

void add_float32(std::byte* out, const std::byte* a, const std::byte* b, std::uint64_t count) {
  for (std::uint64_t at = 0; at < count * sizeof(float); at += sizeof(float))
    store(out + at, load(a + at) + load(b + at));
}

void divide_float32(std::byte* values, std::uint64_t count, double divisor) {
  const auto by = static_cast<float>(divisor);
  for (std::uint64_t at = 0; at < count * sizeof(float); at += sizeof(float))
    store(values + at, load(values + at) / by);
}

}  // namespace

const ReduceTable& reduce_scalar() {
  static constexpr ReduceTable table{.name = "scalar",
                                     .float32 = {.add = add_float32, .divide = divide_float32}};
  return table;
}

}  // namespace hawser
