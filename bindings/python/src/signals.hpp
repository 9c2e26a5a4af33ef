#pragma once

#include <chrono>

namespace hawser_python {

/// A thread that waits looks for signals so often.
constexpr std::chrono::milliseconds kSignalSlice{100};

/// Whether the calling thread is the one that Python runs signal handlers in. Needs the GIL.
bool handles_signals();

/// Runs the handlers of signals that have come. False, with Python's error set, if one has raised. Needs the
/// GIL.
bool pass_signals();

}  // namespace hawser_python
