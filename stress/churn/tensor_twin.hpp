#pragma once

#include <cstdint>

#include "guarded_bytes.hpp"

namespace hawser::churn {

/// A tensor's twin on a simulated device, margins and all: the library has the twin, and the training its image on the
/// host. Without a device it is the image itself.
class TensorTwin {
 public:
  /// `device` < 0: none.
  TensorTwin(GuardedBytes& image, std::int32_t device);
  ~TensorTwin();
  TensorTwin(TensorTwin&& other) noexcept;
  TensorTwin& operator=(TensorTwin&&) = delete;

  void* data() const;
  std::int32_t device() const { return device_; }
  /// The image was written to: so will be the twin, late, by DeviceMirror::stream_of(device()).
  void write() const;
  /// The library may have written to the twin.
  void fetch_back() const;

 private:
  GuardedBytes* image_;
  std::int32_t device_;
  void* memory_ = nullptr;
};

}  // namespace hawser::churn
