#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/signature.hpp"

namespace hawser::sim {

/// What a peer puts in: a whole number from 1 to 16, so that every result is exact in any type and a part that
/// is missing or counted twice always shows in a sum.
inline double contribution(std::uint64_t salt, std::uint64_t element) {
  const std::uint64_t mixed = (salt ^ (element * 0x9e3779b97f4a7c15ULL)) * 0xd6e8feb86659fd93ULL;
  return static_cast<double>(1 + (mixed >> 60));
}

/// Those of the first elements.
void contributions(std::uint64_t salt, std::span<double> values);
/// What a reduction of the contributions comes to, element by element. Whole numbers so small that nothing is lost on
/// the way; an average is rounded as the type demands.
void reduce_contributions(const Signature& signature, std::span<const std::uint64_t> salts, std::span<double> results);

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

/// The application's memory for one collective, filled with its contribution.
class UserBuffers {
 public:
  struct Shape {
    Signature signature;
    std::uint32_t world_size = 2;
    std::uint32_t rank = 0;
    bool in_place = false;
  };
  UserBuffers(const Shape& shape, std::uint64_t salt);

  /// Null where this rank gives nothing.
  const std::byte* send() const;
  std::byte* receive();
  bool in_place() const { return receive_ == nullptr; }
  /// The contribution is as it was, bit for bit.
  bool send_intact() const;
  std::span<const std::byte> result() const;
  void retire_to(Quarantine& quarantine) &&;

 private:
  std::uint64_t sent() const;      ///< Elements.
  std::uint64_t received() const;  ///< Elements.
  std::size_t own_share() const;   ///< Bytes.
  bool gives() const;

  Shape shape_;
  std::size_t element_;
  std::unique_ptr<std::byte[]> send_;  ///< In place: the only one, as long as the longer needs it.
  std::size_t send_bytes_ = 0;
  std::vector<std::byte> given_;          ///< What lies at send(), where this rank gives something.
  std::unique_ptr<std::byte[]> receive_;  ///< Null in place.
};

}  // namespace hawser::sim
