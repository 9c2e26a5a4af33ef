#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

namespace hawser::sim {

/// What a peer puts in: a whole number from 1 to 16, so that every sum is exact in float and a part that is
/// missing or counted twice always shows.
inline float contribution(std::uint64_t salt, std::uint64_t element) {
  const std::uint64_t mixed = (salt ^ (element * 0x9e3779b97f4a7c15ULL)) * 0xd6e8feb86659fd93ULL;
  return static_cast<float>(1 + (mixed >> 60));
}

/// Memory of calls that have ended, kept for a while full of a pattern, to catch whoever still writes to it.
/// Under the address sanitizer the memory is given back at once, which catches readers as well.
class Quarantine {
 public:
  /// Throws Violation where memory taken in earlier was written to.
  void take(std::unique_ptr<std::byte[]> memory, std::size_t bytes);
  /// Looks at everything that is still held.
  void inspect() const;

 private:
  struct Held {
    std::unique_ptr<std::byte[]> memory;
    std::size_t bytes;
  };
  std::deque<Held> held_;
  std::size_t held_bytes_ = 0;
};

/// The application's memory for one all-reduce, filled with its contribution.
class UserBuffers {
 public:
  UserBuffers(std::uint64_t count, std::uint64_t salt, bool in_place);

  const std::byte* send() const { return send_.get(); }
  std::byte* receive() { return receive_ ? receive_.get() : send_.get(); }
  bool in_place() const { return receive_ == nullptr; }
  /// The send buffer holds the contribution bit for bit.
  bool send_intact() const;
  std::span<const float> result() const;
  void retire_to(Quarantine& quarantine) &&;

 private:
  std::uint64_t count_;
  std::uint64_t salt_;
  std::unique_ptr<std::byte[]> send_;
  std::unique_ptr<std::byte[]> receive_;  ///< Null in place.
};

}  // namespace hawser::sim
