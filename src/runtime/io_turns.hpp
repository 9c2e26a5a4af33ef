#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/thrown.hpp"
#include "runtime/completion.hpp"

namespace hawser {

class IoTurns;

/// The right to run the handlers of an io_context, and to do what only they may. Gives it back when it goes.
class IoTurn {
 public:
  IoTurn() = default;
  IoTurn(IoTurn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
  IoTurn& operator=(IoTurn&& other) noexcept {
    std::swap(turns_, other.turns_);
    return *this;
  }
  ~IoTurn();
  explicit operator bool() const { return turns_ != nullptr; }

 private:
  friend class IoTurns;
  explicit IoTurn(IoTurns& turns) : turns_(&turns) {}

  IoTurns* turns_ = nullptr;
};

/// Whose turn it is to run an io_context. It has a thread of its own, but a thread that waits for the end of a call
/// runs it in the meantime. So neither has to wake the other, which takes longer than all else in a small call.
///
///   - The own thread has the turn while nobody waits.
///   - A thread that waits asks for the turn. The own thread hands it over after its next handler.
///   - A thread whose call has ended gives the turn back. The own thread takes it at once if other calls are under way,
///     and after kGrace otherwise. The next call may take it in between, and begins without any other thread.
///
/// Safe from all threads. May outlive the io_context once the own thread has ended.
class IoTurns {
 public:
  struct Setup {
    asio::io_context& io;
    /// Hears of every exception of a handler, on the thread that has the turn. Must not throw.
    std::function<void(const Thrown&)> failed;
    /// Whether anything is under way. Asked by the thread that has the turn. Must not throw.
    std::function<bool()> busy;
  };
  explicit IoTurns(Setup setup) : setup_(std::move(setup)) {}

  /// The own thread's body. Returns when the io_context is stopped; nobody gets the turn any more then.
  void run_own_thread() noexcept;

  /// The turn, if nobody has it and all work that was dispatched before has been done. Does not block.
  IoTurn take() noexcept;

  /// Does the work now, with the turn; or lets the thread that has it do the work soon. Does not block otherwise.
  template <class Work>
  void dispatch(const IoTurn& turn, Work work) {
    if (!turn) {
      asio::post(setup_.io, [this, work = std::move(work)]() mutable {
        --posted_;
        work();
      });
      // It may have been done already: then this makes zero of less than that.
      ++posted_;
      return hurry();
    }
    try {
      work();
    } catch (...) {
      setup_.failed(what_was_thrown());
    }
  }

  /// As Completion::wait_for. Runs handlers meanwhile, if it has the turn or gets it, and gives it back at the end.
  const CallDone* wait_for(Completion& completion, std::chrono::milliseconds bound, IoTurn turn = {}) noexcept;

  /// For a process that was forked off: another thread of the parent may have been in here, so that nothing in here can
  /// be used or destroyed. It lives as long as the process.
  void leak(std::shared_ptr<IoTurns> self) noexcept { self_ = std::move(self); }

 private:
  friend class IoTurn;
  using Clock = std::chrono::steady_clock;

  struct Waiter {
    Completion& completion;
    std::atomic<bool> has_turn{false};
  };

  IoTurn take_for(Completion& completion, std::chrono::milliseconds bound) noexcept;
  const CallDone* wait_slice(Completion& completion, std::chrono::milliseconds bound, IoTurn turn) noexcept;
  void hurry() noexcept;
  void give_back() noexcept;
  void pass_on() noexcept;
  void wait_for_own_turn(std::unique_lock<std::mutex>& lock) noexcept;
  void run_one(Clock::time_point until) noexcept;

  Setup setup_;
  std::mutex mutex_;
  std::condition_variable own_cv_;
  bool is_taken_ = false;
  bool own_sleeps_ = false;  ///< Without a bound, so it has to be told that the turn is free.
  bool hurry_ = false;       ///< The own thread shall take the turn at once.
  bool over_ = false;
  Clock::time_point given_back_at_{};
  Waiter* next_ = nullptr;  ///< Who asked for the turn.
  std::atomic<bool> wanted_{false};  ///< Somebody did.
  std::atomic<int> posted_{0};       ///< Pieces of work that wait to be done.
  std::shared_ptr<IoTurns> self_;
};

}  // namespace hawser
