#pragma once

#include <functional>
#include <thread>

#include "base/result.hpp"

namespace hawser::transport {

/// Starts a thread that takes no signal: those are for the application's threads. The body may not throw.
/// Errors: system, if the system gives no thread.
Result<std::thread> start_quiet_thread(std::function<void()> body);

}  // namespace hawser::transport
