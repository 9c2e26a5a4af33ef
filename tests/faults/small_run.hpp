#pragma once

#include <hawser.h>

#include <cstdint>
#include <map>
#include <string>

namespace hawser::test {

/// How a run was hit.
struct RunOutcome {
  std::uint64_t allocations = 0;  ///< Of the library.
  std::uint64_t failed = 0;       ///< Of these.
  /// Calls that ended with an error, by name and result.
  std::map<std::string, std::map<hawserResult_t, int>> errors;
};

/// A master and two members in this process, and a newcomer that prefetches from them, from creation to destruction,
/// with all kinds of calls in between; the `first`-th allocation of the library fails, and as many as follow to make
/// `length`. A peer's first error is its last call but for destroy. Ends the process with a sentence where a promise
/// is broken: a wrong result, a changed input, an error without a sentence, a bug found.
RunOutcome small_run(std::uint64_t first, std::uint64_t length);

}  // namespace hawser::test
