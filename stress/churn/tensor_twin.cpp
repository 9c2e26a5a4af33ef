#include "tensor_twin.hpp"

#include <stdexcept>
#include <utility>

#include "device_mirror.hpp"
#include "hawser_sim_device.h"

namespace hawser::churn {
namespace {

void expect_success(hawserResult_t result) {
  if (result != hawserSuccess) throw std::runtime_error(hawserGetLastError());
}

}  // namespace

TensorTwin::TensorTwin(GuardedBytes& image, std::int32_t device) : image_(&image), device_(device) {
  if (device < 0) return;
  expect_success(hawserSimDeviceAllocate(device, image.all().size(), &memory_));
  write();
}

TensorTwin::TensorTwin(TensorTwin&& other) noexcept
    : image_(other.image_), device_(other.device_), memory_(std::exchange(other.memory_, nullptr)) {}

TensorTwin::~TensorTwin() { (void)hawserSimDeviceFree(memory_); }

void* TensorTwin::data() const {
  if (memory_ == nullptr) return image_->view().data();
  return static_cast<std::byte*>(memory_) + (image_->view().data() - image_->all().data());
}

void TensorTwin::write() const {
  if (memory_ == nullptr) return;
  expect_success(hawserSimDeviceWrite(DeviceMirror::stream_of(device_), memory_, image_->all().data(),
                                      image_->all().size()));
}

void TensorTwin::fetch_back() const {
  if (memory_ != nullptr) expect_success(hawserSimDeviceCopy(image_->all().data(), memory_, image_->all().size()));
}

}  // namespace hawser::churn
