#pragma once

#include <stdexcept>

namespace hawser {

/// Thrown by HAWSER_ASSERT.
class BugFound : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace hawser
