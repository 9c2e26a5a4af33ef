#pragma once

#include <cstring>

#include "base/key_id.hpp"

/// Keys of runs that have them.
namespace hawser::sim {

/// Another one for each number.
inline KeyId key_of(std::uint64_t number) {
  KeyId key;
  std::memcpy(key.bytes.data(), &number, sizeof number);
  key.bytes.back() = 1;
  return key;
}

/// One that was a member's, and that the rules deny.
inline const KeyId kBannedKey = [] {
  KeyId key;
  key.bytes.fill(0xba);
  return key;
}();

}  // namespace hawser::sim
