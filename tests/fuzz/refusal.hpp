#pragma once

#include <cstddef>

#include "base/assert.hpp"
#include "base/loggable_text.hpp"
#include "base/result.hpp"

namespace hawser::testing {

/// What a decoder may answer to bytes that it does not take: that they are refused, in a sentence that fits into a log.
inline void check_refusal(const Error& error) {
  constexpr std::size_t kSentenceBytesMost = 2048;
  HAWSER_ASSERT(error.status == Status::refused);
  HAWSER_ASSERT(!first_unloggable(error.sentence));
  HAWSER_ASSERT(error.sentence.size() <= kSentenceBytesMost);
}

}  // namespace hawser::testing
