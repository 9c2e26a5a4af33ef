#pragma once

#include <cstddef>
#include <cstdint>

#include "base/digest128.hpp"
#include "device_kernels/elementwise.hpp"
#include "kernels/mean.hpp"

/// XXH3-128 with a seed, in the words of its specification (xxHash, doc/xxhash_spec.md): the constants, and what is done
/// with up to 240 bytes. All numbers are little-endian.
namespace hawser::device_kernels::xxh3 {

using Word = std::uint64_t;
inline constexpr Word kPrime32_1 = 0x9E3779B1U;
inline constexpr Word kPrime32_2 = 0x85EBCA77U;
inline constexpr Word kPrime32_3 = 0xC2B2AE3DU;
inline constexpr Word kPrime64_1 = 0x9E3779B185EBCA87ULL;
inline constexpr Word kPrime64_2 = 0xC2B2AE3D27D4EB4FULL;
inline constexpr Word kPrime64_3 = 0x165667B19E3779F9ULL;
inline constexpr Word kPrime64_4 = 0x85EBCA77C2B2AE63ULL;
inline constexpr Word kPrime64_5 = 0x27D4EB2F165667C5ULL;
inline constexpr Word kPrimeMix1 = 0x165667919E3779F9ULL;
inline constexpr Word kPrimeMix2 = 0x9FB21C651E98DF25ULL;

inline constexpr unsigned kSecretWords = 24;
inline constexpr unsigned kSecretBytes = kSecretWords * sizeof(Word);
/// Up to so many bytes are hashed by hash_short().
inline constexpr std::uint64_t kShortBytesMax = 240;

/// Of the default secret.
HAWSER_HOST_DEVICE inline Word default_secret(unsigned index) {
  static constexpr Word kWords[kSecretWords] = {
      0xbe4ba423396cfeb8ULL, 0x1cad21f72c81017cULL, 0xdb979083e96dd4deULL, 0x1f67b3b7a4a44072ULL,
      0x78e5c0cc4ee679cbULL, 0x2172ffcc7dd05a82ULL, 0x8e2443f7744608b8ULL, 0x4c263a81e69035e0ULL,
      0xcb00c391bb52283cULL, 0xa32e531b8b65d088ULL, 0x4ef90da297486471ULL, 0xd8acdea946ef1938ULL,
      0x3f349ce33f76faa8ULL, 0x1d4f0bc7c7bbdcf9ULL, 0x3159b4cd4be0518aULL, 0x647378d9c97e9fc8ULL,
      0xc3ebd33483acc5eaULL, 0xeb6313faffa081c5ULL, 0x49daf0b751dd0d17ULL, 0x9e68d429265516d3ULL,
      0xfca1477d58be162bULL, 0xce31d07ad1b8f88fULL, 0x280416958f3acb45ULL, 0x7e404bbbcafbd7afULL,
  };
  return kWords[index];
}
/// Of the secret that is derived from the seed.
HAWSER_HOST_DEVICE inline Word derived_secret(unsigned index, Word seed) {
  return index % 2 == 0 ? default_secret(index) + seed : default_secret(index) - seed;
}

/// The 8 bytes at any offset of a secret; word(i) is its word number i.
template <class WordOf>
HAWSER_HOST_DEVICE inline Word secret_at(unsigned offset, const WordOf& word) {
  const unsigned shift = offset % 8 * 8;
  const Word low = word(offset / 8);
  return shift == 0 ? low : low >> shift | word(offset / 8 + 1) << (64 - shift);
}
HAWSER_HOST_DEVICE inline Word default_secret_at(unsigned offset) {
  return secret_at(offset, [](unsigned index) { return default_secret(index); });
}

constexpr std::uint32_t lower(Word word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t upper(Word word) { return static_cast<std::uint32_t>(word >> 32); }

constexpr std::uint32_t swapped(std::uint32_t value) {
  return value << 24 | (value & 0xff00U) << 8 | (value >> 8 & 0xff00U) | value >> 24;
}
constexpr Word swapped(Word value) { return Word{swapped(lower(value))} << 32 | swapped(upper(value)); }

/// Both halves of the product, one over the other.
constexpr Word folded_product(Word a, Word b) {
  const Uint128 product = wide_product(a, b);
  return product.low ^ product.high;
}

constexpr Word avalanche(Word x) {
  x = (x ^ (x >> 37)) * kPrimeMix1;
  return x ^ (x >> 32);
}
constexpr Word avalanche_xxh64(Word x) {
  x = (x ^ (x >> 33)) * kPrime64_2;
  x = (x ^ (x >> 29)) * kPrime64_3;
  return x ^ (x >> 32);
}

/// Bytes at any alignment.
struct Input {
  const std::byte* at;
  std::uint64_t bytes;

  HAWSER_HOST_DEVICE std::uint32_t byte(std::uint64_t index) const { return static_cast<std::uint32_t>(at[index]); }
  template <class T>
  HAWSER_HOST_DEVICE T number(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, at + offset, sizeof value);
    return value;
  }
};

HAWSER_HOST_DEVICE inline Digest128 hash_1_to_3(const Input& input, Word seed) {
  const auto length = static_cast<std::uint32_t>(input.bytes);
  const std::uint32_t combined =
      input.byte(length - 1) | length << 8 | input.byte(0) << 16 | input.byte(length / 2) << 24;
  const std::uint32_t turned = swapped(combined) << 13 | swapped(combined) >> 19;
  const Word first = default_secret(0);
  const Word second = default_secret(1);
  return {.low = avalanche_xxh64((Word{lower(first) ^ upper(first)} + seed) ^ combined),
          .high = avalanche_xxh64((Word{lower(second) ^ upper(second)} - seed) ^ turned)};
}

HAWSER_HOST_DEVICE inline Digest128 hash_4_to_8(const Input& input, Word seed) {
  const Word modified_seed = seed ^ Word{swapped(lower(seed))} << 32;
  const Word combined = input.number<std::uint32_t>(0) | Word{input.number<std::uint32_t>(input.bytes - 4)} << 32;
  const Word value = ((default_secret(2) ^ default_secret(3)) + modified_seed) ^ combined;
  auto [low, high] = wide_product(value, kPrime64_1 + (input.bytes << 2));
  high += low << 1;
  low ^= high >> 3;
  low = (low ^ (low >> 35)) * kPrimeMix2;
  return {.low = low ^ (low >> 28), .high = avalanche(high)};
}

HAWSER_HOST_DEVICE inline Digest128 hash_9_to_16(const Input& input, Word seed) {
  const Word last = input.number<Word>(input.bytes - 8);
  const Word first = ((default_secret(4) ^ default_secret(5)) - seed) ^ input.number<Word>(0) ^ last;
  const Word second = ((default_secret(6) ^ default_secret(7)) + seed) ^ last;
  const Uint128 product = wide_product(first, kPrime64_1);
  const Word high = product.high + (Word{upper(second)} << 32) + lower(second) * kPrime32_2;
  const Word low = (product.low + ((input.bytes - 1) << 54)) ^ swapped(high);
  const Uint128 mixed = wide_product(low, kPrime64_2);
  return {.low = avalanche(mixed.low), .high = avalanche(mixed.high + high * kPrime64_2)};
}

/// What 17 to 240 bytes are mixed into.
struct Mixture {
  Word low;
  Word high;

  /// The 16 bytes at `first` and those at `second`.
  HAWSER_HOST_DEVICE void mix(const Input& input, std::uint64_t first, std::uint64_t second, unsigned secret,
                              Word seed) {
    low += mixed(input, first, secret, seed);
    high += mixed(input, second, secret + 16, seed);
    low ^= input.number<Word>(second) + input.number<Word>(second + 8);
    high ^= input.number<Word>(first) + input.number<Word>(first + 8);
  }
  HAWSER_HOST_DEVICE Digest128 digest(Word bytes, Word seed) const {
    const Word mixed = low * kPrime64_1 + high * kPrime64_4 + (bytes - seed) * kPrime64_2;
    return {.low = avalanche(low + high), .high = 0 - avalanche(mixed)};
  }

 private:
  HAWSER_HOST_DEVICE static Word mixed(const Input& input, std::uint64_t at, unsigned secret, Word seed) {
    return folded_product(input.number<Word>(at) ^ (default_secret_at(secret) + seed),
                          input.number<Word>(at + 8) ^ (default_secret_at(secret + 8) - seed));
  }
};

/// Of chunks from the beginning and from the end, which meet in the middle.
HAWSER_HOST_DEVICE inline Digest128 hash_17_to_128(const Input& input, Word seed) {
  Mixture mixture{.low = input.bytes * kPrime64_1, .high = 0};
  for (auto i = static_cast<unsigned>((input.bytes - 1) / 32 + 1); i-- > 0;)
    mixture.mix(input, 16 * i, input.bytes - 16 * i - 16, 32 * i, seed);
  return mixture.digest(input.bytes, seed);
}

HAWSER_HOST_DEVICE inline Digest128 hash_129_to_240(const Input& input, Word seed) {
  Mixture mixture{.low = input.bytes * kPrime64_1, .high = 0};
  for (unsigned i = 0; i < 4; ++i) mixture.mix(input, 32 * i, 32 * i + 16, 32 * i, seed);
  mixture.low = avalanche(mixture.low);
  mixture.high = avalanche(mixture.high);
  for (unsigned i = 4; i < input.bytes / 32; ++i) mixture.mix(input, 32 * i, 32 * i + 16, 32 * (i - 4) + 3, seed);
  mixture.mix(input, input.bytes - 16, input.bytes - 32, 103, 0 - seed);
  return mixture.digest(input.bytes, seed);
}

/// Of 1 to kShortBytesMax bytes.
HAWSER_HOST_DEVICE inline Digest128 hash_short(const Input& input, Word seed) {
  if (input.bytes <= 3) return hash_1_to_3(input, seed);
  if (input.bytes <= 8) return hash_4_to_8(input, seed);
  if (input.bytes <= 16) return hash_9_to_16(input, seed);
  if (input.bytes <= 128) return hash_17_to_128(input, seed);
  return hash_129_to_240(input, seed);
}

}  // namespace hawser::device_kernels::xxh3
