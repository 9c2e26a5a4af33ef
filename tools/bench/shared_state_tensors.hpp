#pragma once

#include <hawser_shared_state.h>

#include <cstdint>
#include <hawser/result.hpp>
#include <memory>
#include <string>
#include <vector>

namespace hawser::bench {

/// A state of three large tensors and twenty small ones, all of different sizes, as a model's are. What is in
/// them is made from a number, so that every member can tell whether it has come.
class SharedStateTensors {
 public:
  static constexpr std::uint64_t kBytesMin = 64 << 10;

  struct Form {
    std::uint64_t bytes = 0;  ///< At least kBytesMin; rounded down to whole elements.
    /// Values of -1 to 1, whose exponents shrink. Else any bits, which don't.
    bool compressible = false;
  };
  /// Zeros, all in memory.
  static Result<SharedStateTensors> create(const Form& form);

  void fill(std::uint32_t content);
  /// "" if it is what fill(content) makes, else where it is not.
  std::string check(std::uint32_t content) const;
  /// Reads all once on so many threads: the sum of all words of 64 bits.
  std::uint64_t read(unsigned threads) const;

  hawserSharedState_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserSharedState_t handle) const { (void)hawserSharedStateDestroy(handle); }
  };
  SharedStateTensors() = default;
  std::uint32_t element(std::uint32_t content, std::size_t tensor, std::size_t index) const;

  bool compressible_ = false;
  std::vector<std::vector<std::uint32_t>> tensors_;  ///< The bits of floats.
  std::unique_ptr<hawserSharedState, Destroy> handle_;
};

}  // namespace hawser::bench
