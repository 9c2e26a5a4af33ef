#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace hawser::churn {

/// One round of a good 64-bit mixer (the finaliser of SplitMix64). Pure.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Digest of a buffer's bits: equal buffers have equal digests, and two that differ collide by accident only.
/// Not cryptographic. Works on eight bytes at a time because each result of each worker goes through it.
inline std::uint64_t digest_bytes(std::span<const std::byte> bytes) {
  std::uint64_t state = mix64(bytes.size());
  std::size_t i = 0;
  std::uint64_t word = 0;
  for (; i + sizeof word <= bytes.size(); i += sizeof word) {
    std::memcpy(&word, bytes.data() + i, sizeof word);
    state = std::rotl(state ^ (word * 0x9fb21c651e98df25u), 29) * 0xa0761d6478bd642fu;
  }
  word = 0;
  if (i < bytes.size()) {
    std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    state = mix64(state ^ word);
  }
  return mix64(state);
}

inline std::uint64_t digest_bits(std::span<const float> values) {
  return digest_bytes(std::as_bytes(values));
}

}  // namespace hawser::churn
