#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#  define HAWSER_SANITIZED 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#    define HAWSER_SANITIZED 1
#  endif
#endif

#if defined(HAWSER_SANITIZED)
// As in <sanitizer/allocator_interface.h>, which GCC's packages don't all have.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#else
#  include <malloc.h>
#endif

namespace hawser::testing {

/// What the program has taken from the allocator and not given back.
inline std::size_t bytes_held() {
#if defined(HAWSER_SANITIZED)
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

/// The input as choices; zeros when it is used up.
class Choices {
 public:
  explicit Choices(std::span<const std::byte> bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  std::size_t below(std::size_t bound) { return byte() % bound; }
  std::size_t byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::size_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::span<const std::byte> take(std::size_t length) {
    const auto taken = rest_.first(std::min(length, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace hawser::testing
