#include "wire/checksum.hpp"

#include <xxhash.h>

#include <new>

#include "base/assert.hpp"

#if defined(HAWSER_XXH_DISPATCH) && HAWSER_XXH_DISPATCH
#  define XXH_DISPATCH_DISABLE_REPLACE 1
#  include <xxh_x86dispatch.h>
#endif

namespace hawser {

#if defined(HAWSER_XXH_DISPATCH) && HAWSER_XXH_DISPATCH

std::uint64_t checksum(std::span<const std::byte> bytes) {
  // The library picks its implementation in the first call, without a lock: that call is made under ours.
  static const std::uint64_t chosen = XXH3_64bits_dispatch("", 0);
  static_cast<void>(chosen);
  return XXH3_64bits_dispatch(bytes.data(), bytes.size());
}

void ChecksumStream::add(std::span<const std::byte> bytes) {
  HAWSER_ASSERT(XXH3_64bits_update_dispatch(state_.get(), bytes.data(), bytes.size()) == XXH_OK);
}

#else

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void ChecksumStream::add(std::span<const std::byte> bytes) {
  HAWSER_ASSERT(XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()) == XXH_OK);
}

#endif

ChecksumStream::ChecksumStream() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  begin();
}

void ChecksumStream::Free::operator()(XXH3_state_s* state) const { (void)XXH3_freeState(state); }

void ChecksumStream::begin() {
  // So that the library has picked its implementation, as in checksum().
  static const std::uint64_t chosen = checksum({});
  static_cast<void>(chosen);
  HAWSER_ASSERT(XXH3_64bits_reset(state_.get()) == XXH_OK);
}

std::uint64_t ChecksumStream::value() const { return XXH3_64bits_digest(state_.get()); }

}  // namespace hawser
