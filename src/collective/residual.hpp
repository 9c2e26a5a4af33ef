#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/data_type.hpp"
#include "base/result.hpp"
#include "collective/work.hpp"
#include "kernels/reduce.hpp"

namespace hawser {

/// What quantisation lost of one tensor, element by element, in the type that reductions of it work in. One
/// call at a time reads it and prepares what comes after it, which counts only if the call was a success. It lies where
/// the works of its calls run: on the host, or on a device.
class Residual {
 public:
  /// Errors: invalid_argument (no float type, no elements), system (no memory).
  static Result<std::shared_ptr<Residual>> create(std::uint64_t count, DataType type);

  std::uint64_t count() const { return count_; }
  DataType type() const { return type_; }

  /// Takes it into use. False if it is.
  bool claim() { return !busy_.exchange(true); }
  /// The end of that; `success`: what was prepared is what is owed now.
  void release(bool success);
  const std::byte* owed() const { return halves_[owed_half_]; }
  std::byte* prepared() { return halves_[1 - owed_half_]; }

  // All below: while it is claimed. They block for about as long as copying it takes. Errors: system, of a device.

  /// Memory on a device for it.
  struct Place {
    std::int32_t device = kOnHost;
    std::byte* memory = nullptr;  ///< Of bytes().
    std::shared_ptr<const void> owner{};
    /// Copies here and now between that device and the host.
    std::function<Result<void>(const CopyBytes&)> copy{};
  };
  std::size_t bytes() const { return 2 * half_bytes(); }
  std::int32_t device() const { return place_.device; }
  Result<void> move_to(Place place);
  Result<void> move_to_host();
  /// Nothing is owed any more.
  Result<void> reset();
  /// Of what is owed.
  Result<double> root_mean_square() const;

 private:
  Residual(std::uint64_t count, DataType type) : count_(count), type_(type) {}
  std::size_t half_bytes() const { return count_ * element_bytes(working_type(type_)); }
  Result<void> allocate_on_host();
  Result<std::vector<std::byte>> owed_on_host() const;

  std::uint64_t count_;
  DataType type_;
  std::vector<std::byte> host_;  ///< Both halves, or nothing while they are on a device.
  Place place_;
  std::byte* halves_[2] = {nullptr, nullptr};
  int owed_half_ = 0;
  std::atomic<bool> busy_{false};
};

}  // namespace hawser
