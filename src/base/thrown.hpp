#pragma once

#include <array>

#include "base/limits.hpp"
#include "base/result.hpp"

namespace hawser {

/// What was thrown, as an error. Its sentence lies in fixed memory: to tell that there is no memory takes none.
struct Thrown {
  Status status = Status::internal;
  std::array<char, limits::kSentenceBytesMax + 1> sentence{};  ///< With a closing zero.

  Error error() const { return {status, sentence.data()}; }
};

/// As if it had been thrown. A sentence that is too long is cut.
Thrown thrown_of(const Error& error) noexcept;

/// The exception that is being handled: for catch blocks.
Thrown what_was_thrown() noexcept;

}  // namespace hawser
