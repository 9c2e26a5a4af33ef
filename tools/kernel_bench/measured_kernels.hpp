#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device/devices.hpp"

namespace hawser::kernel_bench {

/// Launches that are timed together.
struct MeasuredKernel {
  std::string name;
  std::uint64_t bytes_moved = 0;  ///< That they read and write.
  std::vector<device::Launch> launches;
};

/// The device's memory that the kernels work on: arrays as large as `count` values of float32.
class Arrays {
 public:
  static Result<Arrays> allocate(device::Devices& devices, int device, std::uint64_t count);

  std::uint64_t count() const { return count_; }
  std::byte* values() const { return values_->bytes(); }
  std::byte* others() const { return others_->bytes(); }
  std::byte* results() const { return results_->bytes(); }
  std::byte* scratch() const { return scratch_->bytes(); }

 private:
  std::uint64_t count_ = 0;
  std::unique_ptr<device::Memory> values_;
  std::unique_ptr<device::Memory> others_;
  std::unique_ptr<device::Memory> results_;
  std::unique_ptr<device::Memory> scratch_;
};

/// All kinds of kernels that collectives use. Before these, the memory must hold numbers.
std::vector<MeasuredKernel> measured_kernels(const Arrays& arrays);

}  // namespace hawser::kernel_bench
