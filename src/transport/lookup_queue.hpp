#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace hawser::transport {

/// On whose behalf a host name is looked up, such as a peer that advertises it. None: on our own.
using LookupSource = std::optional<std::uint64_t>;

/// Host names that wait to be looked up. Our own come first. Those of others come in turn, one of each source, so
/// that a source with many names only delays its own. Each source's names keep their order.
class LookupQueue {
 public:
  static constexpr std::size_t kPlacesMax = 256;
  static constexpr std::size_t kPlacesPerSourceMax = 8;
  /// Others leave so many places for our own names.
  static constexpr std::size_t kOwnPlaces = 8;

  struct Next {
    std::string host;
    bool own = false;
  };

  /// A host that several sources ask for has a place with each, and is taken when its first turn comes. Put again by
  /// the same source, it keeps its place. Errors: system, with a sentence, if there is no place.
  Result<void> put(const std::string& host, LookupSource source);
  /// The next host, whose places all become free; none: nobody waits. Without `others` only our own are taken.
  std::optional<Next> take(bool others = true);
  /// Whether take() would give one.
  bool has_next(bool others = true) const { return !own_.empty() || (others && !lanes_.empty()); }
  std::size_t places() const { return places_; }
  /// Nobody waits any more. Takes no memory.
  void clear() noexcept {
    own_.clear();
    lanes_.clear();
    places_ = 0;
  }

 private:
  struct Lane {
    std::uint64_t source;
    std::deque<std::string> hosts;
  };
  void remove(const std::string& host);

  std::deque<std::string> own_;
  std::deque<Lane> lanes_;  ///< None of them is empty; the first one's turn is next.
  std::size_t places_ = 0;
};

}  // namespace hawser::transport
