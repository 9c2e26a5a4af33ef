#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/digest128.hpp"

/// Digests of content as a tree of two levels, so that slices can be hashed on several threads, checked one
/// by one as they arrive, and hashed anew alone. The content is cut into slices of 1 MiB, the last one
/// shorter; none if there are no bytes.
///
///     slice = XXH3-128(bytes of the slice, seed)
///     root  = XXH3-128(digests of all slices in order, length in bytes, seed; seed)
///
/// Digests travel as 16 bytes, low half first, and numbers as 8, all little-endian. Every implementation
/// gives the same digest on every machine. For equal digests read: equal content, unless somebody meant to
/// deceive.
namespace hawser {

inline constexpr std::size_t kDigestSliceBytes = 1 << 20;

/// Number of slices of so many bytes.
constexpr std::uint64_t slice_count(std::uint64_t bytes) {
  return bytes / kDigestSliceBytes + (bytes % kDigestSliceBytes != 0 ? 1 : 0);
}
/// Bytes of one slice of so many bytes in total.
constexpr std::uint64_t slice_bytes(std::uint64_t total_bytes, std::uint64_t slice) {
  const std::uint64_t left = total_bytes - slice * kDigestSliceBytes;
  return left < kDigestSliceBytes ? left : kDigestSliceBytes;
}

/// Of 1 to kDigestSliceBytes bytes. Neither blocks nor allocates; safe from any thread.
Digest128 digest_slice(std::span<const std::byte> slice, std::uint64_t seed);

/// The root over slice_count(total_bytes) digests. Allocates 16 bytes for each of them.
Digest128 digest_of_slices(std::span<const Digest128> slices, std::uint64_t total_bytes, std::uint64_t seed);

/// The root of a whole span.
Digest128 digest_content(std::span<const std::byte> content, std::uint64_t seed);

/// The digest of one span, split so that the caller may spread the work: digest(i) for every slice, once
/// each, on any threads at the same time; then, after all of them, root(). Refers to the content, which
/// must not change meanwhile.
class DigestJob {
 public:
  DigestJob(std::span<const std::byte> content, std::uint64_t seed);

  std::size_t slices() const { return digests_.size(); }
  void digest(std::size_t slice);
  const std::vector<Digest128>& slice_digests() const { return digests_; }
  Digest128 root() const { return digest_of_slices(digests_, content_.size(), seed_); }

 private:
  std::span<const std::byte> content_;
  std::uint64_t seed_;
  std::vector<Digest128> digests_;
};

}  // namespace hawser
