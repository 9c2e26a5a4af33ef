#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/data_type.hpp"
#include "base/result.hpp"

namespace hawser {

/// What quantisation lost of one tensor, element by element, in the type that reductions of it work in. One
/// call at a time reads it and prepares what comes after it, which counts only if the call was a success.
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
  const std::byte* owed() const { return owed_.data(); }
  std::byte* prepared() { return prepared_.data(); }

  /// Nothing is owed any more. To be called while it is claimed.
  void reset();
  /// Of what is owed. To be called while it is claimed.
  double root_mean_square() const;

 private:
  Residual(std::uint64_t count, DataType type) : count_(count), type_(type) {}

  std::uint64_t count_;
  DataType type_;
  std::vector<std::byte> owed_;
  std::vector<std::byte> prepared_;
  std::atomic<bool> busy_{false};
};

}  // namespace hawser
