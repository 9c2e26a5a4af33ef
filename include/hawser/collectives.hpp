/// Arguments and results of collectives in C++: part of hawser/hawser.hpp.
#pragma once

#include <hawser.h>
#include <hawser/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser {
inline namespace v0 {

/// The bits of a 16-bit float.
struct Float16 {
  std::uint16_t bits = 0;
  friend bool operator==(const Float16&, const Float16&) = default;
};
struct Bfloat16 {
  std::uint16_t bits = 0;
  friend bool operator==(const Bfloat16&, const Bfloat16&) = default;
};

namespace detail {

template <class T>
constexpr int type_number() {
  if constexpr (std::is_same_v<T, float>) return hawserFloat32;
  if constexpr (std::is_same_v<T, double>) return hawserFloat64;
  if constexpr (std::is_same_v<T, Float16>) return hawserFloat16;
  if constexpr (std::is_same_v<T, Bfloat16>) return hawserBfloat16;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return is_signed ? hawserInt8 : hawserUint8;
    if constexpr (sizeof(T) == 2) return is_signed ? hawserInt16 : hawserUint16;
    if constexpr (sizeof(T) == 4) return is_signed ? hawserInt32 : hawserUint32;
    if constexpr (sizeof(T) == 8) return is_signed ? hawserInt64 : hawserUint64;
  }
  return -1;
}

}  // namespace detail

template <class Range>
using ElementOf = std::ranges::range_value_t<std::remove_cvref_t<Range>>;

/// Contiguous memory of elements that collectives take: a vector, an array, a span of numbers.
template <class Range>
concept Elements = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
                   detail::type_number<ElementOf<Range>>() >= 0;

/// The same, and writable.
template <class Range>
concept MutableElements =
    Elements<Range> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>;

template <class T>
constexpr hawserDataType_t data_type() {
  return static_cast<hawserDataType_t>(detail::type_number<T>());
}

/// One tensor of a list, reduced in place. The values must outlive the list.
template <MutableElements Values>
  requires std::ranges::borrowed_range<Values>
hawserTensor_t tensor(Values&& values) {
  return {std::ranges::data(values), std::ranges::data(values), std::ranges::size(values),
          data_type<ElementOf<Values>>()};
}

/// Error feedback for one tensor: the loss of quantisation in one call is added to the next. See hawserResidualCreate.
class Residual {
 public:
  static Result<Residual> create(std::uint64_t count, hawserDataType_t type) {
    hawserResidual_t handle = nullptr;
    if (const auto code = hawserResidualCreate(count, type, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return Residual(handle);
  }
  Result<void> reset() { return detail::check(hawserResidualReset(handle_.get())); }
  /// The root mean square of the errors that are kept.
  Result<double> norm() const {
    double value = 0;
    if (const auto code = hawserResidualGetNorm(handle_.get(), &value); code != hawserSuccess)
      return detail::last_failure(code);
    return value;
  }
  hawserResidual_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserResidual_t handle) const { (void)hawserResidualDestroy(handle); }
  };
  explicit Residual(hawserResidual_t handle) : handle_(handle) {}
  std::unique_ptr<hawserResidual, Destroy> handle_;
};

inline constexpr hawserQuantization_t kNotQuantized{hawserQuantizeNone, hawserToUint8, 0, 0};

struct ReduceOptions {
  hawserReduceOp_t op = hawserSum;
  std::uint64_t tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
  hawserQuantization_t quantization = kNotQuantized;
  const Residual* residual = nullptr;
  bool compress = false;
  void* stream = nullptr;  ///< Of buffers on a device (hawserAllReduceOptions_t).
  std::uint32_t timeout_ms = 0;  ///< The call ends with Timeout for all then. 0: never.

  hawserAllReduceOptions_t c_options() const {
    hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
    options.op = op;
    options.tag = tag;
    options.plan = plan;
    options.quantization = quantization;
    options.residual = residual != nullptr ? residual->handle() : nullptr;
    options.compress = compress ? 1 : 0;
    options.stream = stream;
    options.timeout_ms = timeout_ms;
    return options;
  }
};

struct CollectiveOptions {
  std::uint64_t tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
  bool compress = false;
  void* stream = nullptr;  ///< As in ReduceOptions,
  std::uint32_t timeout_ms = 0;  ///< and likewise.

  hawserCollectiveOptions_t c_options() const {
    hawserCollectiveOptions_t options = HAWSER_COLLECTIVE_OPTIONS_INIT;
    options.tag = tag;
    options.plan = plan;
    options.compress = compress ? 1 : 0;
    options.stream = stream;
    options.timeout_ms = timeout_ms;
    return options;
  }
};

/// See hawserMessageOptions_t. Zeros mean its defaults.
struct MessageOptions {
  std::uint64_t tag = 0;
  std::uint64_t peer_id = 0;
  std::uint64_t epoch = 0;
  std::uint32_t timeout_ms = 0;

  hawserMessageOptions_t c_options() const {
    hawserMessageOptions_t options = HAWSER_MESSAGE_OPTIONS_INIT;
    options.tag = tag;
    options.peer_id = peer_id;
    options.epoch = epoch;
    options.timeout_ms = timeout_ms;
    return options;
  }
};

struct ManyOptions {
  hawserReduceOp_t op = hawserSum;
  std::uint64_t first_tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
  hawserQuantization_t quantization = kNotQuantized;
  bool compress = false;
  std::uint32_t in_flight = 0;   ///< Collectives at once. 0: 8.
  std::uint32_t fuse_bytes = 0;  ///< Small tensors are put together up to so many bytes. 0: 4 MiB.
  void* stream = nullptr;        ///< As in ReduceOptions.

  hawserManyOptions_t c_options() const {
    hawserManyOptions_t options = HAWSER_MANY_OPTIONS_INIT;
    options.op = op;
    options.first_tag = first_tag;
    options.plan = plan;
    options.quantization = quantization;
    options.compress = compress ? 1 : 0;
    options.stream = stream;
    options.in_flight = in_flight;
    options.fuse_bytes = fuse_bytes;
    return options;
  }
};

/// What a collective did. hawserReduceInfo_t explains the fields.
struct Reduced {
  std::vector<std::uint64_t> contributors;  ///< Ids of the members whose inputs are in the result, in rank order.
  std::uint32_t world_size = 0;             ///< Number of contributors.
  std::uint32_t rank = 0;
  hawserPlan_t plan = hawserPlanAuto;
  std::string plan_reason;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t wait_us = 0;
  std::uint64_t transfer_us = 0;
  std::uint64_t reduce_us = 0;
  std::uint64_t commit_us = 0;
  std::uint32_t attempts = 1;
  std::uint64_t predicted_us = 0;
};

struct ReducedMany {
  std::uint64_t tensors = 0;
  std::uint64_t collectives = 0;
  std::uint32_t attempts = 0;
  std::uint32_t world_size_least = 0;
  std::uint32_t world_size_most = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t total_us = 0;
};

namespace detail {

inline Failure sizes(const char* which, std::size_t has, std::size_t wanted) {
  return Failure{.code = hawserErrorInvalidArgument,
                 .sentence = std::string("the ") + which + " span has " + std::to_string(has) + " elements, not " +
                             std::to_string(wanted)};
}

/// An info struct with room for contributors.
class InfoRoom {
 public:
  explicit InfoRoom(std::uint32_t contributors) {
    reduced_.contributors.resize(contributors);
    info_.contributors = reduced_.contributors.data();
    info_.contributor_capacity = contributors;
  }
  hawserReduceInfo_t* info() { return &info_; }
  Reduced reduced() && {
    if (info_.world_size < reduced_.contributors.size()) reduced_.contributors.resize(info_.world_size);
    reduced_.world_size = info_.world_size;
    reduced_.rank = info_.rank;
    reduced_.plan = info_.plan;
    reduced_.plan_reason = info_.plan_reason;
    reduced_.predicted_us = info_.predicted_us;
    reduced_.epoch = info_.epoch;
    reduced_.sequence = info_.sequence;
    reduced_.bytes_sent = info_.bytes_sent;
    reduced_.bytes_received = info_.bytes_received;
    reduced_.wait_us = info_.wait_us;
    reduced_.transfer_us = info_.transfer_us;
    reduced_.reduce_us = info_.reduce_us;
    reduced_.commit_us = info_.commit_us;
    reduced_.attempts = info_.attempts;
    return std::move(reduced_);
  }

 private:
  Reduced reduced_;
  hawserReduceInfo_t info_ = HAWSER_REDUCE_INFO_INIT;
};

}  // namespace detail

/// A collective in the background. The destructor waits for its end.
class Operation {
 public:
  explicit Operation(hawserOp_t handle) : handle_(handle) {}

  /// Whether it has ended, with or without success. Does not block.
  bool test() const {
    int ended = 0;
    return hawserOpTest(handle_.get(), &ended) == hawserSuccess && ended != 0;
  }
  /// Blocks until it has ended.
  Result<Reduced> wait() { return wait_ms(UINT64_MAX); }
  /// Blocks for so long at most. After Timeout, !test() means that the operation still goes on.
  Result<Reduced> wait_for(std::chrono::milliseconds bound) {
    return wait_ms(static_cast<std::uint64_t>(bound.count()));
  }
  /// As hawserOpCancel: it ends soon, which wait() tells. Does not block.
  Result<void> cancel() { return detail::check(hawserOpCancel(handle_.get())); }
  /// As hawserOpStreamWait: what is put on that stream from now on runs after its end. Does not block.
  Result<void> stream_wait(void* stream) { return detail::check(hawserOpStreamWait(handle_.get(), stream)); }
  hawserOp_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserOp_t handle) const { (void)hawserOpDestroy(handle); }
  };
  Result<Reduced> wait_ms(std::uint64_t bound_ms) {
    hawserReduceInfo_t count = HAWSER_REDUCE_INFO_INIT;
    if (const auto code = hawserOpWait(handle_.get(), bound_ms, &count); code != hawserSuccess)
      return detail::last_failure(code);
    detail::InfoRoom room(count.world_size);
    if (const auto code = hawserOpWait(handle_.get(), bound_ms, room.info()); code != hawserSuccess)
      return detail::last_failure(code);
    return std::move(room).reduced();
  }

  std::unique_ptr<hawserOp, Destroy> handle_;
};

}  // namespace v0
}  // namespace hawser
