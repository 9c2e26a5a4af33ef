#pragma once

#include <string>
#include <utility>
#include <vector>

#include "membership/master_bench.hpp"

/// Keys of peers in runs that have them.
namespace hawser {

inline constexpr MasterConfig kWithKeys{.silence = seconds(3600), .needs_keys = true};
inline constexpr std::uint64_t kOperator = 90;

inline KeyId key_of(std::uint64_t number) {
  KeyId key;
  key.bytes[0] = static_cast<std::uint8_t>(number);
  key.bytes[31] = 7;
  return key;
}
inline Badge badge_of(std::uint64_t number, Role role = Role::member, std::vector<std::uint32_t> groups = {}) {
  return {.key = key_of(number), .name = "p" + std::to_string(number), .role = role, .groups = std::move(groups)};
}
/// Peers up to this one hold keys of their own.
inline void all_hold(MasterBench& bench, std::uint64_t last) {
  for (std::uint64_t peer = 1; peer <= last; ++peer) bench.hold(peer, badge_of(peer));
}

}  // namespace hawser
