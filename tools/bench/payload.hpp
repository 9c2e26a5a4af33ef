#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/collective_kind.hpp"

namespace hawser::bench {

/// What a member puts in and what must come out. The values are small integers, so that every order of
/// additions gives the same exact result. They repeat after a prime number of elements, so that a chunk in
/// another's place is noticed, and start elsewhere in every round, so that an old result is noticed.
class Payload {
 public:
  Payload(const CollectiveKind& kind, std::uint32_t rank, std::uint32_t world);

  void fill(std::uint64_t round, std::span<std::byte> send) const;
  /// "" if all values are right, else which is not.
  std::string check(std::uint64_t round, std::span<const std::byte> received) const;

 private:
  std::size_t start_of(std::uint64_t round) const;

  CollectiveKind kind_;
  std::vector<std::byte> input_;
  std::vector<std::byte> expected_;
};

}  // namespace hawser::bench
