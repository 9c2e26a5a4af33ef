#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "base/instant.hpp"
#include "base/random.hpp"

namespace hawser::sim {

/// What of that which is on its way still comes through when a connection breaks.
enum class Keep {
  none,
  some,  ///< As much as chance will have it.
  all,
};

/// One direction of a connection: what was written and is not yet read, in order. Every item has the instant
/// at which it may be read; the owner schedules a read for that instant, and a read takes one item at most.
template <class Item>
class Lane {
 public:
  /// Returns when to read it. Into a lane that was cut nothing is put but its end.
  Instant put(Instant earliest, Item item) {
    last_due_ = std::max(last_due_, earliest);
    items_.push_back({last_due_, std::move(item)});
    return last_due_;
  }
  bool readable(Instant now) const { return !items_.empty() && items_.front().due <= now; }
  Item take() {
    Item item = std::move(items_.front().item);
    items_.pop_front();
    return item;
  }
  /// The connection breaks: what is written from now on is lost, and of what is on its way so much is kept.
  void cut(Random& random, Keep keep) {
    if (cut_) return;
    cut_ = true;
    if (keep == Keep::all) return;
    const auto kept = keep == Keep::some ? random.below(items_.size() + 1) : 0;
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(kept), items_.end());
  }
  void clear() { items_.clear(); }
  bool is_cut() const { return cut_; }
  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  /// The reader, which had stopped reading, goes on at `now`: calls `schedule(due)` for every item.
  template <class Schedule>
  void wake(Instant now, Schedule schedule) {
    for (auto& entry : items_) {
      entry.due = std::max(entry.due, now);
      schedule(entry.due);
    }
    last_due_ = std::max(last_due_, now);
  }

 private:
  struct Entry {
    Instant due;
    Item item;
  };
  std::deque<Entry> items_;
  Instant last_due_{};
  bool cut_ = false;
};

}  // namespace hawser::sim
