#pragma once

namespace hawser {

/// Called when Hawser finds a bug of its own. Throws BugFound, which the API boundary turns into
/// "internal error" and the simulator into a violation; the library never ends the process.
[[noreturn]] void bug_found(const char* expression, const char* file, int line);

}  // namespace hawser

/// States what must hold unless Hawser itself is wrong. On in release builds too.
#define HAWSER_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::hawser::bug_found(#expression, __FILE__, __LINE__))
