#pragma once

#include <string>
#include <utility>

#include "base/result.hpp"

namespace hawser {

/// What the other side sent is not allowed. The sentence names it.
inline Error refused(std::string sentence) { return {Status::refused, std::move(sentence)}; }

}  // namespace hawser
