#include "kernels/content_digest.hpp"

#include <xxhash.h>

#include "base/assert.hpp"

#if defined(HAWSER_XXH128_DISPATCH) && HAWSER_XXH128_DISPATCH
#  define XXH_DISPATCH_DISABLE_REPLACE 1
#  include <xxh_x86dispatch.h>
#endif

namespace hawser {
namespace {

#if defined(HAWSER_XXH128_DISPATCH) && HAWSER_XXH128_DISPATCH

XXH128_hash_t xxh3_128(const void* bytes, std::size_t count, std::uint64_t seed) {
  // The library picks its implementation in the first call, without a lock: that call is made under ours.
  static const XXH128_hash_t chosen = XXH3_128bits_withSeed_dispatch("", 0, 0);
  static_cast<void>(chosen);
  return XXH3_128bits_withSeed_dispatch(bytes, count, seed);
}

#else

XXH128_hash_t xxh3_128(const void* bytes, std::size_t count, std::uint64_t seed) {
  return XXH3_128bits_withSeed(bytes, count, seed);
}

#endif

Digest128 digest(std::span<const std::byte> bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = xxh3_128(bytes.data(), bytes.size(), seed);
  return {.low = hash.low64, .high = hash.high64};
}

void append(std::vector<std::byte>& bytes, std::uint64_t number) {
  for (unsigned shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<std::byte>(number >> shift));
}

}  // namespace

Digest128 digest_slice(std::span<const std::byte> slice, std::uint64_t seed) {
  HAWSER_ASSERT(!slice.empty() && slice.size() <= kDigestSliceBytes);
  return digest(slice, seed);
}

Digest128 digest_of_slices(std::span<const Digest128> slices, std::uint64_t total_bytes, std::uint64_t seed) {
  HAWSER_ASSERT(slices.size() == slice_count(total_bytes));
  std::vector<std::byte> leaves;
  leaves.reserve((slices.size() + 1) * kDigestBytes);
  for (const Digest128& slice : slices) append_digest(slice, leaves);
  append(leaves, total_bytes);
  append(leaves, seed);
  return digest(leaves, seed);
}

Digest128 digest_content(std::span<const std::byte> content, std::uint64_t seed) {
  DigestJob job(content, seed);
  for (std::size_t slice = 0; slice < job.slices(); ++slice) job.digest(slice);
  return job.root();
}

DigestJob::DigestJob(std::span<const std::byte> content, std::uint64_t seed)
    : content_(content), seed_(seed), digests_(slice_count(content.size())) {}

void DigestJob::digest(std::size_t slice) {
  HAWSER_ASSERT(slice < slices());
  digests_[slice] =
      digest_slice(content_.subspan(slice * kDigestSliceBytes, slice_bytes(content_.size(), slice)), seed_);
}

}  // namespace hawser
