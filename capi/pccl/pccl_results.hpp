#pragma once

#include <string>

#include "hawser.h"
#include "pccl_compat.h"

/// Results and sentences of the PCCL calls.
namespace hawser_pccl {

/// Keeps `sentence` for pcclCompatGetLastError() and returns `result`.
pcclResult_t fail(pcclResult_t result, const char* sentence) noexcept;

/// The PCCL result that a program expects where Hawser says `result`. Keeps Hawser's sentence unless it succeeded.
pcclResult_t translated(hawserResult_t result) noexcept;

/// The same for a call that has a result of its own for everything that a retry may help against.
pcclResult_t translated_as(hawserResult_t result, pcclResult_t retry) noexcept;

/// Whether the same call may be made again at once: a loss, or a restart of the master.
bool is_loss(hawserResult_t result) noexcept;

/// The sentence of this thread's last failure.
const char* last_sentence() noexcept;

/// Keeps what the exception says that is being handled.
pcclResult_t fail_by_exception() noexcept;

/// Runs `body`, which returns a pcclResult_t, and lets no exception out.
template <class Body>
pcclResult_t guarded(Body body) noexcept {
  try {
    return body();
  } catch (...) {
    return fail_by_exception();
  }
}

/// Whether pcclInit was called.
bool is_initialised() noexcept;

inline pcclResult_t not_initialised() noexcept {
  return fail(pcclNotInitialized, "pcclInit was not called; call it first");
}
inline pcclResult_t null_argument() noexcept { return fail(pcclInvalidArgument, "an argument is null"); }
inline pcclResult_t not_connected() noexcept {
  return fail(pcclInvalidUsage, "the communicator is not connected; call pcclConnect first");
}

}  // namespace hawser_pccl
