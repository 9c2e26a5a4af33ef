#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/result.hpp"

namespace hawser::sim {

struct Letter;

/// Checks messages: each is received whole and once, those of one tag from one peer to another in the order of their
/// sending, and what was sent is there when it is received.
class Letters {
 public:
  /// Fills it, so that it is known again, and answers its number.
  std::uint64_t write(PeerId from, Letter& letter);
  /// Its sender has been told that the receiver's process has it.
  void sent(PeerId from, const Letter& letter, Instant now);
  /// These throw Violation.
  void received(const std::string& who, PeerId from, PeerId to, CallId call, const Letter& letter);
  void not_received(const std::string& who, PeerId to, const Letter& letter, Instant called_at, const Error& error);

 private:
  using Lane = std::tuple<PeerId, PeerId, std::uint64_t>;  ///< From, to, tag.
  struct Progress {
    std::uint64_t written = 0;
    std::map<CallId, std::uint64_t> received;  ///< Which one by which call. Large ones may end in another order.
    std::set<std::uint64_t> gone;              ///< The same.
    std::map<std::uint64_t, Instant> arrived;  ///< Others that are known to be there.
  };
  bool was_abandoned(Progress& lane, PeerId to, std::uint64_t tag);

  std::map<Lane, Progress> lanes_;
  std::map<std::pair<PeerId, std::uint64_t>, unsigned> abandoned_;  ///< By receiver and tag.
};

}  // namespace hawser::sim
