#include "runtime/completion.hpp"

#include <utility>

#include "base/assert.hpp"

namespace hawser {

void Completion::end_claim(Status status) noexcept {
  if (const auto claim = std::exchange(claim_, nullptr)) claim->ended(status == Status::success);
}

void Completion::complete(CallDone done) noexcept {
  end_claim(done.error.status);
  const std::lock_guard lock(mutex_);
  if (done_ != nullptr) return;
  done_ = &own_.emplace(std::move(done));
  answered();
}

void Completion::complete(std::shared_ptr<const CallDone> done) noexcept {
  end_claim(done->error.status);
  const std::lock_guard lock(mutex_);
  if (done_ != nullptr) return;
  shared_ = std::move(done);
  done_ = shared_.get();
  answered();
}

/// With the mutex.
void Completion::answered() noexcept {
  for (const auto& gate : gates_) gate->open();
  gates_.clear();
  done_cv_.notify_all();
}

void Completion::open_when_done(std::shared_ptr<device::Gate> gate) {
  const std::lock_guard lock(mutex_);
  if (done_ != nullptr)
    gate->open();
  else
    gates_.push_back(std::move(gate));
}

void Completion::look_again() noexcept {
  const std::lock_guard lock(mutex_);
  done_cv_.notify_all();
}

const CallDone* Completion::wait_for(std::chrono::milliseconds bound, const std::atomic<bool>* flag) const {
  using Clock = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  if (bound <= std::chrono::milliseconds::zero()) return done_;
  const auto over = [&] { return done_ != nullptr || (flag != nullptr && *flag); };
  const auto begun = Clock::now();
  // Compared in milliseconds, since the clock's finer count of a long bound does not fit into its type.
  if (bound >= std::chrono::floor<std::chrono::milliseconds>(Clock::time_point::max() - begun))
    done_cv_.wait(lock, over);
  else
    done_cv_.wait_until(lock, begun + bound, over);
  return done_;
}

const CallDone& Completion::wait() const {
  const CallDone* const done = wait_for(std::chrono::milliseconds::max());
  HAWSER_ASSERT(done != nullptr);
  return *done;
}

bool Completion::is_done() const {
  const std::lock_guard lock(mutex_);
  return done_ != nullptr;
}

}  // namespace hawser
