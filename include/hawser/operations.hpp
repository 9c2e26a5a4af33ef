/// Questions and orders to a run's master in C++: part of hawser/hawser.hpp. hawser_status.h has the contract of every
/// call, and the functions that read an answer.
#pragma once

#include <hawser/result.hpp>
#include <hawser_status.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace hawser {
inline namespace v0 {

/// See hawserQueryOptions_t. Empty strings and zeros mean its defaults.
struct QueryOptions {
  std::uint32_t timeout_ms = 0;
  bool matrix = false;
  std::string secret_file = {};
  bool insecure = false;
  std::uint32_t attested = 0;

  hawserQueryOptions_t c_options() const {
    hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.matrix = matrix ? 1 : 0;
    options.secret_file = detail::or_null(secret_file);
    options.insecure = insecure ? 1 : 0;
    options.attested = attested;
    return options;
  }
};

/// A master's answer. The functions of hawser_status.h read it: pass handle().
class RunStatus {
 public:
  /// Asks the master. Blocks for timeout_ms at most. See hawserStatusQueryWith.
  static Result<RunStatus> query(const std::string& master, const QueryOptions& options = {}) {
    const hawserQueryOptions_t c = options.c_options();
    hawserStatus_t handle = nullptr;
    if (const auto code = hawserStatusQueryWith(master.c_str(), &c, &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return RunStatus(handle);
  }
  /// Its texts live as long as this object.
  hawserStatusInfo_t info() const {
    hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
    (void)hawserStatusGetInfo(handle_.get(), &info);
    return info;
  }
  hawserStatus_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserStatus_t handle) const { (void)hawserStatusDestroy(handle); }
  };
  explicit RunStatus(hawserStatus_t handle) : handle_(handle) {}
  std::unique_ptr<hawserStatus, Destroy> handle_;
};

/// Has the master carry out an operator's order; gives its answer. `argument` is empty for a drain. See hawserOperate.
inline Result<std::string> operate(const std::string& master, hawserOperatorVerb_t verb,
                                   const std::string& argument = {}, const QueryOptions& options = {}) {
  const hawserQueryOptions_t c = options.c_options();
  std::array<char, HAWSER_ANSWER_BYTES> answer{};
  const auto code =
      hawserOperate(master.c_str(), &c, verb, detail::or_null(argument), answer.data(), answer.size());
  if (code != hawserSuccess)
    return detail::last_failure(code);
  return std::string(answer.data());
}

}  // namespace v0
}  // namespace hawser
