/// Results of calls in C++: part of hawser/hawser.hpp.
#pragma once

#if __cplusplus < 201709L && (!defined(_MSVC_LANG) || _MSVC_LANG < 202002L)
#error "Hawser's C++ headers need C++20: compile with -std=c++20. For older C++ and for C there is hawser.h."
#endif

#include <hawser.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace hawser {
/// Inline, so that these symbols differ from those inside the library.
inline namespace v0 {

/// Why a call did not succeed: a code for the program and a sentence for a person. docs/errors.md lists all codes.
struct Failure {
  hawserResult_t code = hawserErrorInternal;
  std::string sentence;

  const char* name() const { return hawserGetResultName(code); }
  /// True: the run goes on, inputs are intact, and the same call may be made again at once. Bound the retries: a
  /// mismatch of programs that differ comes again each time.
  bool can_retry() const {
    return code == hawserErrorPeerLost || code == hawserErrorMismatch || code == hawserErrorTimeout ||
           code == hawserErrorMasterRestarted;
  }
  /// True: this peer is out of the run. connect() joins it again as a newcomer.
  bool must_reconnect() const { return code == hawserErrorExpelled || code == hawserErrorMasterUnreachable; }
};

/// A value or a Failure. Access to the one that it does not hold is undefined, as with std::optional.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : held_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() { return *std::get_if<0>(&held_); }
  const T& operator*() const { return *std::get_if<0>(&held_); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Failure& error() const { return *std::get_if<1>(&held_); }
  hawserResult_t code() const { return *this ? hawserSuccess : error().code; }

 private:
  std::variant<T, Failure> held_;
};

/// Success without a value, or a Failure.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)) {}

  explicit operator bool() const { return !failure_.has_value(); }
  const Failure& error() const { return *failure_; }
  hawserResult_t code() const { return failure_ ? failure_->code : hawserSuccess; }

 private:
  std::optional<Failure> failure_;
};

namespace detail {

inline Failure last_failure(hawserResult_t code) { return {.code = code, .sentence = hawserGetLastError()}; }

inline Result<void> check(hawserResult_t code) {
  if (code != hawserSuccess) return last_failure(code);
  return {};
}

inline const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace detail

}  // namespace v0
}  // namespace hawser
