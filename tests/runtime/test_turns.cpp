/// Which thread runs the handlers of a communicator.
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "catch.hpp"
#include "runtime/io_turns.hpp"

using namespace hawser;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLong(60'000);

CallDone success() { return {.call = {1}, .error = {Status::success, {}}, .info = {}}; }

/// An io_context with its own thread.
struct Turns {
  Turns() : own([this] { turns.run_own_thread(); }) {}
  ~Turns() {
    if (own.joinable()) stop();
  }
  void stop() {
    io.stop();
    own.join();
  }
  /// Which thread a handler runs in that nobody waits for.
  std::thread::id runner() {
    std::promise<std::thread::id> ran;
    turns.dispatch({}, [&] { ran.set_value(std::this_thread::get_id()); });
    return ran.get_future().get();
  }

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::atomic<int> failures{0};
  std::atomic<bool> busy{false};
  IoTurns turns{{.io = io, .failed = [this](const Thrown&) { ++failures; }, .busy = [this] { return busy.load(); }}};
  std::thread own;
};

}  // namespace

TEST_CASE("a thread that waits runs the handlers, and the own thread those after it") {
  Turns t;
  Completion completion;
  t.busy = GENERATE(false, true);
  const auto own = t.own.get_id();
  CHECK(t.runner() == own);
  std::thread::id by;
  // The own thread runs the first one, and hands over: it knows by then that somebody waits.
  std::function<void()> look = [&] {
    by = std::this_thread::get_id();
    if (by == own)
      asio::post(t.io, look);
    else
      completion.complete(success());
  };
  t.turns.dispatch({}, look);
  REQUIRE(t.turns.wait_for(completion, kLong) != nullptr);
  CHECK(by == std::this_thread::get_id());
  CHECK(t.runner() == own);
}

TEST_CASE("who has the turn works in its own thread") {
  Turns t;
  // The own thread gives the turn to nobody but one that waits, and keeps it afterwards only if it is needed.
  const auto with_turn = [&](const std::function<void(IoTurn)>& work) {
    Completion first;
    std::function<void()> until_here = [&] {
      if (std::this_thread::get_id() == t.own.get_id())
        asio::post(t.io, until_here);
      else
        first.complete(success());
    };
    while (true) {
      t.turns.dispatch({}, until_here);
      REQUIRE(t.turns.wait_for(first, kLong) != nullptr);
      if (IoTurn turn = t.turns.take()) return work(std::move(turn));
    }
  };
  with_turn([&](IoTurn turn) {
    CHECK_FALSE(t.turns.take());
    Completion completion;
    std::thread::id by;
    t.turns.dispatch(turn, [&] { by = std::this_thread::get_id(); });
    CHECK(by == std::this_thread::get_id());
    SECTION("what it throws is told") {
      t.turns.dispatch(turn, [] { throw std::runtime_error("something"); });
      CHECK(t.failures == 1);
    }
    SECTION("a handler throws while it waits, and the rest goes on") {
      asio::post(t.io, [] { throw std::runtime_error("something"); });
      asio::post(t.io, [&] { completion.complete(success()); });
      CHECK(t.turns.wait_for(completion, kLong, std::move(turn)) != nullptr);
      CHECK(t.failures == 1);
    }
    SECTION("the bound is over first") {
      CHECK(t.turns.wait_for(completion, milliseconds(1), std::move(turn)) == nullptr);
      CHECK(t.runner() == t.own.get_id());
    }
    SECTION("what others post while it waits is done by it") {
      std::thread other([&] {
        t.turns.dispatch({}, [&] {
          by = std::this_thread::get_id();
          completion.complete(success());
        });
      });
      CHECK(t.turns.wait_for(completion, kLong, std::move(turn)) != nullptr);
      other.join();
      CHECK(by == std::this_thread::get_id());
    }
    SECTION("the end comes while it waits") {
      std::thread other([&] {
        t.stop();
        completion.complete(success());
      });
      CHECK(t.turns.wait_for(completion, kLong, std::move(turn)) != nullptr);
      other.join();
      CHECK_FALSE(t.turns.take());
    }
  });
}

TEST_CASE("many threads wait at once, and all are told") {
  Turns t;
  constexpr int kThreads = 4;
  constexpr int kCalls = 500;
  std::vector<std::thread> threads;
  std::atomic<int> inside{0};
  std::atomic<int> overlaps{0};
  std::atomic<int> ended{0};
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int call = 0; call < kCalls; ++call) {
        const auto completion = std::make_shared<Completion>();
        IoTurn turn = t.turns.take();
        t.turns.dispatch(turn, [&, completion] {
          overlaps += ++inside > 1 ? 1 : 0;
          asio::post(t.io, [&, completion] {
            t.busy = !t.busy;
            overlaps += ++inside > 1 ? 1 : 0;
            --inside;
            completion->complete(success());
          });
          --inside;
        });
        ended += t.turns.wait_for(*completion, kLong, std::move(turn)) != nullptr ? 1 : 0;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(ended == kThreads * kCalls);
  CHECK(overlaps == 0);
}
