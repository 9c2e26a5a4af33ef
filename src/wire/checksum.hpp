#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;

namespace hawser {

/// XXH3-64 with seed 0, by the widest vector instructions that this processor has. Safe from any thread.
std::uint64_t checksum(std::span<const std::byte> bytes);

/// The same, of bytes that come piece by piece: each piece is read while it still lies in the cache.
class ChecksumStream {
 public:
  ChecksumStream();
  /// Forgets what came before.
  void begin();
  void add(std::span<const std::byte> bytes);
  /// Of all that came since begin().
  std::uint64_t value() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace hawser
