#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.hpp"

namespace hawser {

/// What a call came to. One code for each way in which a caller would act differently; the numbers are
/// those of the C API.
enum class Status : int {
  success = 0,
  invalid_argument = 1,
  invalid_usage = 2,
  too_few_peers = 3,
  peer_lost = 4,
  mismatch = 5,
  timeout = 6,
  master_unreachable = 7,
  expelled = 8,
  refused = 9,
  master_restarted = 10,
  system = 11,
  closed = 12,
  internal = 13,
};
inline constexpr int kStatusMax = 13;

/// The members have changed, or their master has: the same call, made again, may do.
constexpr bool retry_mends(Status status) {
  return status == Status::peer_lost || status == Status::master_restarted;
}

/// Short name for tables and logs, e.g. "peer lost".
const char* status_name(Status status);

/// An expected failure: its kind, and a sentence that says what happened, who, in which phase, what to do.
struct Error {
  Status status = Status::internal;
  std::string sentence;
  friend bool operator==(const Error&, const Error&) = default;
};

/// A value or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    HAWSER_ASSERT(ok());
    return std::get<0>(held_);
  }
  const T& value() const {
    HAWSER_ASSERT(ok());
    return std::get<0>(held_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    HAWSER_ASSERT(!ok());
    return std::get<1>(held_);
  }
  Status status() const { return ok() ? Status::success : error().status; }

 private:
  std::variant<T, Error> held_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    HAWSER_ASSERT(!ok());
    return *error_;
  }
  Status status() const { return ok() ? Status::success : error_->status; }

 private:
  std::optional<Error> error_;
};

}  // namespace hawser
