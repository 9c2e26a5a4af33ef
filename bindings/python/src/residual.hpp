#pragma once

#include <hawser.h>

#include <cstdint>

namespace hawser_python {

/// Error feedback for one tensor. Whoever uses it keeps the Python object.
class Residual {
 public:
  Residual(std::uint64_t count, hawserDataType_t type);
  ~Residual() { (void)hawserResidualDestroy(handle_); }
  Residual(const Residual&) = delete;
  Residual& operator=(const Residual&) = delete;

  hawserResidual_t handle() const { return handle_; }

 private:
  hawserResidual_t handle_ = nullptr;
};

}  // namespace hawser_python
