#include "wire/checksum.hpp"

#include <xxhash.h>

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

#else

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

#endif

}  // namespace hawser
