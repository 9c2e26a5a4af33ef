#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/instant.hpp"
#include "base/result.hpp"
#include "hawser.h"

/// Between C++ inside and C outside: sentences per thread, exceptions to results, structs of any version.
namespace hawser::capi {

/// Keeps the sentence for hawserGetLastError() and gives the C result.
hawserResult_t report(const Error& error) noexcept;
/// The exception that is being handled, as an error.
hawserResult_t report_exception() noexcept;
const char* last_sentence() noexcept;

inline hawserResult_t report(const Result<void>& result) noexcept {
  return result.ok() ? hawserSuccess : report(result.error());
}

/// Runs `body`, which returns a hawserResult_t, and lets no exception out.
template <class Body>
hawserResult_t guarded(Body body) noexcept {
  try {
    return body();
  } catch (...) {
    return report_exception();
  }
}

Error invalid_argument(std::string sentence);

/// The number that a C caller has put into an enum, which need not be one of its values: to look at it as the
/// enum would be undefined.
template <class Enum>
int number_in(const Enum& callers) {
  static_assert(sizeof(Enum) == sizeof(int));
  int number = 0;
  std::memcpy(&number, &callers, sizeof number);
  return number;
}

/// A number from a C caller as one of our enumerators 0 to `last`. Error: invalid_argument.
template <class Ours>
Result<Ours> enumerator(int number, Ours last, const char* what) {
  if (number < 0 || number > static_cast<int>(last))
    return invalid_argument(std::to_string(number) + " is not " + what);
  return static_cast<Ours>(number);
}

inline std::uint64_t whole_microseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
}

/// Takes over a bound on time. Zero: it stays as it is.
inline void set_bound(hawser::Duration& bound, std::uint32_t milliseconds) {
  if (milliseconds != 0) bound = hawser::milliseconds(milliseconds);
}

/// Reads a caller's struct of an older or newer version, whose first field is `size`, into ours: fields that
/// the caller does not have are zero, those that we don't have must be if they ask for something (and not if
/// they wait for an answer). Errors: invalid_argument.
enum class Rest { asks, waits_for_answer };
template <class Struct>
Result<Struct> read_struct(const Struct& callers, const char* name, Rest rest = Rest::asks) {
  const std::size_t size = callers.size;
  if (size < sizeof(std::size_t))
    return invalid_argument(std::string("the size in ") + name + " is not set; use its initialiser macro");
  Struct ours{};
  std::memcpy(static_cast<void*>(&ours), &callers, size < sizeof ours ? size : sizeof ours);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(&callers);
  constexpr std::size_t kSizeMax = 4096;
  if (size > kSizeMax) return invalid_argument(std::string("the size in ") + name + " is not a size");
  for (std::size_t i = sizeof ours; i < size && rest == Rest::asks; ++i)
    if (bytes[i] != 0)
      return invalid_argument(std::string(name) +
                              " asks for something that this version of Hawser does not have");
  ours.size = sizeof ours;
  return ours;
}

/// Writes our struct over the caller's, as far as the caller's version has it.
template <class Struct>
void write_struct(Struct ours, Struct& callers) {
  const std::size_t size = callers.size;
  ours.size = size;
  std::memcpy(static_cast<void*>(&callers), &ours, size < sizeof ours ? size : sizeof ours);
}

/// Copies as much as fits, and a closing zero. Does not cut a UTF-8 character in two.
template <std::size_t Bytes>
void copy_text(const std::string& from, char (&to)[Bytes]) {
  std::size_t count = from.size() < Bytes - 1 ? from.size() : Bytes - 1;
  if (count < from.size())
    while (count > 0 && (static_cast<unsigned char>(from[count]) & 0xc0U) == 0x80U) --count;
  std::memcpy(to, from.data(), count);
  std::memset(to + count, 0, Bytes - count);
}

inline hawserResult_t null_comm() { return report(invalid_argument("the communicator is null")); }
inline hawserResult_t null_state() { return report(invalid_argument("the shared state is null")); }
inline hawserResult_t null_output() { return report(invalid_argument("the output argument is null")); }

}  // namespace hawser::capi
