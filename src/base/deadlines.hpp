#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/instant.hpp"

namespace hawser {

/// Deadlines by key, one for each key, the earliest first. Setting, clearing and taking one cost O(log n), so that a
/// machine with many of them need not look at all to find the next.
template <class Key>
class Deadlines {
 public:
  void set(const Key& key, Instant at) {
    const auto [found, fresh] = by_key_.try_emplace(key, at);
    if (!fresh) {
      if (found->second == at) return;
      in_order_.erase({found->second, key});
      found->second = at;
    }
    in_order_.insert({at, key});
  }
  /// None clears it.
  void set(const Key& key, std::optional<Instant> at) {
    if (at)
      set(key, *at);
    else
      clear(key);
  }
  void clear(const Key& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    in_order_.erase({found->second, key});
    by_key_.erase(found);
  }
  void clear_all() {
    by_key_.clear();
    in_order_.clear();
  }
  std::optional<Instant> next() const {
    if (in_order_.empty()) return std::nullopt;
    return in_order_.begin()->first;
  }
  /// Takes the earliest one that is due.
  std::optional<Key> pop_due(Instant now) {
    if (in_order_.empty() || in_order_.begin()->first > now) return std::nullopt;
    const Key key = in_order_.begin()->second;
    in_order_.erase(in_order_.begin());
    by_key_.erase(key);
    return key;
  }

 private:
  std::map<Key, Instant> by_key_;
  std::set<std::pair<Instant, Key>> in_order_;
};

}  // namespace hawser
