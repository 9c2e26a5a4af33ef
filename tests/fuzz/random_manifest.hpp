#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "fuzz/script_choices.hpp"
#include "shared_state/manifest.hpp"

namespace hawser::testing {

inline std::uint64_t any_number(Choices& choices, std::size_t bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes; ++i) number = number << 8 | choices.byte();
  return number;
}

/// What an honest member may say of itself, as the choices have it: up to eight tensors of up to 2^26 elements.
inline Manifest any_manifest(Choices& choices) {
  Manifest manifest{.revision = any_number(choices, 2)};
  if (choices.below(2) == 1) manifest.agreed_revision = any_number(choices, 1);
  manifest.strategy = static_cast<SyncStrategy>(choices.below(kSyncStrategyMax + 1));
  manifest.incomplete = choices.below(4) == 1;
  manifest.trouble = std::string(choices.below(3), 't');
  const std::size_t tensors = choices.below(9);
  for (std::size_t i = 0; i < tensors; ++i) {
    std::string name(1 + choices.below(limits::kTensorNameBytesMax - 1), 'n');
    name += static_cast<char>('a' + i);
    manifest.tensors.push_back({.name = std::move(name),
                                .type = kDataTypes[choices.below(kDataTypes.size())],
                                .count = any_number(choices, choices.below(4)),
                                .digest = {.low = any_number(choices, 1), .high = any_number(choices, 1)},
                                .allow_content_inequality = choices.below(4) == 1});
  }
  return manifest;
}

}  // namespace hawser::testing
