#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/data_type.hpp"
#include "catch.hpp"
#include "kernels/element_values.hpp"
#include "kernels/guarded_buffer.hpp"

namespace hawser::device_kernels {

inline const std::vector<std::size_t>& counts() {
  static const std::vector<std::size_t> all = [] {
    std::vector<std::size_t> found;
    for (std::size_t count = 0; count <= 70; ++count) found.push_back(count);
    found.insert(found.end(), {255, 256, 257, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 9001});
    return found;
  }();
  return all;
}

inline std::vector<std::byte> any_elements(DataType type, std::size_t count, Random& random) {
  std::vector<std::byte> bytes;
  with_element_type(type, [&](auto zero) { bytes = bytes_of(any_values<decltype(zero)>(count, random)); });
  return bytes;
}

template <class T>
bool same_numbers(const std::vector<std::byte>& got, const std::vector<std::byte>& expected) {
  for (std::size_t i = 0; i < got.size() / sizeof(T); ++i) {
    T left;
    T right;
    std::memcpy(&left, got.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&right, expected.data() + i * sizeof(T), sizeof(T));
    if (!same_bits(left, right) && !(is_nan(left) && is_nan(right))) return false;
  }
  return true;
}

/// The same bytes. Of two NaNs of float32 or float64 in one place, the payloads may differ.
inline void require_same(DataType type, const std::vector<std::byte>& got, const std::vector<std::byte>& expected) {
  if (got == expected) return;
  REQUIRE(got.size() == expected.size());
  if (type == DataType::float64)
    REQUIRE(same_numbers<double>(got, expected));
  else if (type == DataType::float32)
    REQUIRE(same_numbers<float>(got, expected));
  else
    REQUIRE(got == expected);
}

}  // namespace hawser::device_kernels
