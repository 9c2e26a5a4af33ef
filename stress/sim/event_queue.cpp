#include "sim/event_queue.hpp"

#include <algorithm>
#include <utility>

namespace hawser::sim {

void EventQueue::at(Instant due, std::uint64_t turn, Task task) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(tasks_.size());
    tasks_.push_back(std::move(task));
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    tasks_[slot] = std::move(task);
  }
  heap_.push_back({.due = std::max(due, now_), .order = turn, .slot = slot});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

std::optional<Instant> EventQueue::next_due() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().due;
}

bool EventQueue::step() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  const Entry entry = heap_.back();
  heap_.pop_back();
  now_ = entry.due;
  ++executed_;
  remember(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  remember(entry.order);
  const Task task = std::exchange(tasks_[entry.slot], nullptr);
  free_slots_.push_back(entry.slot);
  task();
  return true;
}

void EventQueue::idle_until(Instant instant) { now_ = std::max(now_, instant); }

}  // namespace hawser::sim
