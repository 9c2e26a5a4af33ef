#include "transport/quiet_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

namespace hawser::transport {
namespace {

/// No signal reaches this thread, nor those that it starts, while one lives.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Result<std::thread> start_quiet_thread(std::function<void()> body) {
  try {
    const SignalsBlocked blocked;
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return Error{Status::system, std::string("cannot start a thread: ") + error.what()};
  }
}

}  // namespace hawser::transport
