#include "runtime/io_turns.hpp"

#include <algorithm>
#include <optional>

namespace hawser {
namespace {

/// Between two calls of a thread that does nothing else.
constexpr auto kGrace = std::chrono::milliseconds(1);
/// How often the own thread looks whether calls still follow each other.
constexpr auto kLook = std::chrono::milliseconds(4);
/// A longer bound is waited for in parts, since it may be more than the clock can count.
constexpr std::chrono::milliseconds kSlice = std::chrono::hours(1);

}  // namespace

IoTurn::~IoTurn() {
  if (turns_ != nullptr) turns_->give_back();
}

IoTurn IoTurns::take() noexcept {
  const std::lock_guard lock(mutex_);
  if (is_taken_ || over_ || posted_ > 0) return {};
  is_taken_ = true;
  return IoTurn(*this);
}

void IoTurns::hurry() noexcept {
  const std::lock_guard lock(mutex_);
  if (is_taken_) return;
  hurry_ = true;
  own_cv_.notify_one();
}

void IoTurns::give_back() noexcept {
  const bool busy = setup_.busy() || setup_.io.stopped();
  const std::lock_guard lock(mutex_);
  pass_on();
  if (is_taken_) return;
  given_back_at_ = Clock::now();
  hurry_ = busy;
  if (hurry_ || own_sleeps_) own_cv_.notify_one();
}

/// Gives the turn to whoever has asked for it, or to nobody. With the mutex.
void IoTurns::pass_on() noexcept {
  is_taken_ = next_ != nullptr;
  if (next_ == nullptr) return;
  next_->has_turn = true;
  next_->completion.look_again();
  next_ = nullptr;
  wanted_ = false;
}

/// Whoever gives the turn back must not have to wake the own thread each time: in a row of short calls it only looks
/// now and then. While one call lasts longer than between two looks, it sleeps.
void IoTurns::wait_for_own_turn(std::unique_lock<std::mutex>& lock) noexcept {
  std::optional<Clock::time_point> seen;
  while (true) {
    if (is_taken_ && given_back_at_ == seen) {
      own_sleeps_ = true;
      own_cv_.wait(lock);
      own_sleeps_ = false;
    } else if (is_taken_) {
      seen = given_back_at_;
      own_cv_.wait_for(lock, kLook);
    } else if (hurry_ || Clock::now() >= given_back_at_ + kGrace) {
      return;
    } else {
      own_cv_.wait_until(lock, given_back_at_ + kGrace);
    }
  }
}

void IoTurns::run_own_thread() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_own_turn(lock);
    is_taken_ = true;
    hurry_ = false;
    lock.unlock();
    while (!setup_.io.stopped() && !wanted_.load(std::memory_order_relaxed)) {
      try {
        setup_.io.run_one();
      } catch (...) {
        setup_.failed(what_was_thrown());
      }
    }
    lock.lock();
    if (setup_.io.stopped()) {
      over_ = true;
      return;
    }
    pass_on();
    // Whoever asked has changed its mind.
    hurry_ = !is_taken_;
  }
}

void IoTurns::run_one(Clock::time_point until) noexcept {
  try {
    setup_.io.run_one_until(until);
  } catch (...) {
    setup_.failed(what_was_thrown());
  }
}

/// The turn for whoever waits for this call: taken, or handed over before it has ended. None: the call has ended, the
/// bound is over, or others have the turn till then.
IoTurn IoTurns::take_for(Completion& completion, std::chrono::milliseconds bound) noexcept {
  std::unique_lock lock(mutex_);
  if (over_ || next_ != nullptr) return {};
  if (is_taken_) {
    Waiter waiter{.completion = completion};
    next_ = &waiter;
    wanted_ = true;
    lock.unlock();
    (void)completion.wait_for(bound, &waiter.has_turn);
    lock.lock();
    if (!waiter.has_turn) {
      next_ = nullptr;
      wanted_ = false;
      return {};
    }
  }
  is_taken_ = true;
  return IoTurn(*this);
}

const CallDone* IoTurns::wait_slice(Completion& completion, std::chrono::milliseconds bound, IoTurn turn) noexcept {
  const auto until = Clock::now() + bound;
  if (!turn) turn = take_for(completion, bound);
  if (turn) {
    while (!completion.is_done() && !setup_.io.stopped() && Clock::now() < until) run_one(until);
    const IoTurn given_back = std::move(turn);
  }
  return completion.wait_for(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()));
}

const CallDone* IoTurns::wait_for(Completion& completion, std::chrono::milliseconds bound, IoTurn turn) noexcept {
  for (; bound > kSlice; bound -= kSlice)
    if (const CallDone* const done = wait_slice(completion, kSlice, std::move(turn))) return done;
  if (bound <= std::chrono::milliseconds::zero()) return completion.wait_for(bound);
  return wait_slice(completion, bound, std::move(turn));
}

}  // namespace hawser
