#include "device/stream_waits.hpp"

#include <system_error>
#include <utility>

namespace hawser::device {
namespace {

/// How often the events are looked at: short beside any collective.
constexpr std::chrono::microseconds kLookEvery{100};

}  // namespace

StreamWaits::~StreamWaits() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  cv_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const Waiting& one : waiting_) one.done(Error{Status::closed, "the communicator is closed"});
}

Result<bool> StreamWaits::have_come(const Events& events) {
  for (const std::shared_ptr<Event>& event : events) {
    const auto come = event->wait(std::chrono::milliseconds(0));
    if (!come.ok() || !*come) return come;
  }
  return true;
}

Result<void> StreamWaits::put(Events events, Done done) {
  const std::lock_guard lock(mutex_);
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    return Error{Status::system, std::string("no thread to wait for a device's stream: ") + error.what()};
  }
  waiting_.push_back({std::move(events), std::move(done)});
  cv_.notify_all();
  return {};
}

void StreamWaits::work() {
  std::unique_lock lock(mutex_);
  while (!is_over_) {
    if (waiting_.empty()) {
      cv_.wait(lock);
      continue;
    }
    for (std::size_t i = 0; i < waiting_.size() && !is_over_;) {
      const auto come = have_come(waiting_[i].events);
      if (come.ok() && !*come) {
        ++i;
        continue;
      }
      const Done done = std::move(waiting_[i].done);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      lock.unlock();
      done(come.ok() ? Result<void>() : Result<void>(come.error()));
      lock.lock();
    }
    if (!waiting_.empty()) cv_.wait_for(lock, kLookEvery);
  }
}

}  // namespace hawser::device
