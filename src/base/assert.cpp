#include "base/assert.hpp"

#include <string>

#include "base/bug_found.hpp"

namespace hawser {

void bug_found(const char* expression, const char* file, int line) {
  throw BugFound("a bug in Hawser: \"" + std::string(expression) + "\" does not hold at " + file + ":" +
                 std::to_string(line));
}

}  // namespace hawser
