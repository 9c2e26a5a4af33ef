#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <functional>
#include <thread>

#include "base/result.hpp"

namespace hawser {

/// Runs an io_context until it is stopped, whatever its handlers throw: each exception is turned into an
/// Error and handed to `failed` on this thread, after which the rest goes on.
void run_io(asio::io_context& io, const std::function<void(const Error&)>& failed) noexcept;

/// Starts a thread that takes no signal: those are for the application's threads.
/// Errors: system, if the system gives no thread.
Result<std::thread> start_quiet_thread(std::function<void()> body);

}  // namespace hawser
