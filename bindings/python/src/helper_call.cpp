#include "helper_call.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <utility>

namespace hawser_python {
namespace {

/// Signals are for the threads that Python knows: a thread started meanwhile inherits that all are blocked.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

std::shared_ptr<HelperCall> HelperCall::start(Work work) {
  std::shared_ptr<HelperCall> call(new HelperCall());
  call->process_ = ::getpid();
  const SignalsBlocked blocked;
  // The thread ends before the call does, which joins it.
  call->thread_ = std::thread([self = call.get(), work = std::move(work)] { self->run(work); });
  return call;
}

HelperCall::~HelperCall() {
  if (!thread_.joinable()) return;
  if (process_ == ::getpid())
    thread_.join();
  else
    thread_.detach();
}

void HelperCall::run(const Work& work) {
  Outcome outcome;
  try {
    outcome = outcome_of(work(*this));
  } catch (const std::exception& error) {
    outcome = {.code = hawserErrorSystem, .sentence = error.what()};
  }
  const std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  ended_ = true;
  changed_.notify_all();
}

HelperCall::Event HelperCall::wait(std::chrono::milliseconds bound) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, bound, [this] { return ended_ || progressed_; });
  if (progressed_) {
    progressed_ = false;
    return Event::progressed;
  }
  return ended_ ? Event::ended : Event::nothing;
}

bool HelperCall::has_ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

Progress HelperCall::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

void HelperCall::on_progress(void* user, std::uint64_t bytes_done, std::uint64_t bytes_total) {
  auto& self = *static_cast<HelperCall*>(user);
  const std::lock_guard lock(self.mutex_);
  self.progress_ = {.bytes_done = bytes_done, .bytes_total = bytes_total};
  self.progressed_ = true;
  self.changed_.notify_all();
}

}  // namespace hawser_python
