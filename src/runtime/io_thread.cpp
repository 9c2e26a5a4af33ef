#include "runtime/io_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <new>
#include <system_error>

#include "base/bug_found.hpp"

namespace hawser {
namespace {

Error error_in_flight() {
  try {
    throw;
  } catch (const BugFound& bug) {
    return {Status::internal, std::string("Hawser found a bug of its own; please report it: ") + bug.what()};
  } catch (const std::bad_alloc&) {
    return {Status::system, "the system has no memory left"};
  } catch (const std::system_error& error) {
    return {Status::system, std::string("the system refused something: ") + error.what()};
  } catch (const std::exception& error) {
    return {Status::internal, std::string("an unexpected exception; please report it: ") + error.what()};
  } catch (...) {
    return {Status::internal, "an unexpected exception of unknown kind; please report it"};
  }
}

}  // namespace

void run_io(asio::io_context& io, const std::function<void(const Error&)>& failed) noexcept {
  while (!io.stopped()) {
    try {
      io.run();
    } catch (...) {
      // Memory may be short: telling of it must not end the process either.
      try {
        failed(error_in_flight());
      } catch (...) {
      }
    }
  }
}

Result<std::thread> start_quiet_thread(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<std::thread> thread = [&]() -> Result<std::thread> {
    try {
      return std::thread(std::move(body));
    } catch (const std::system_error& error) {
      return Error{Status::system, std::string("cannot start a thread: ") + error.what()};
    }
  }();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace hawser
