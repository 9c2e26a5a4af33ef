#pragma once

#include <stdexcept>

namespace hawser::sim {

/// A promise of the design does not hold in the run being simulated.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace hawser::sim
