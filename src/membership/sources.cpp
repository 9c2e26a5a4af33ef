#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// What one address may cost: it is counted before what all may cost together, so that whoever floods the master from
/// one place shuts out nobody elsewhere. Members count for nothing here.
namespace hawser {
namespace {

constexpr std::size_t kSourcesKept = 4096;

}  // namespace

MasterMachine::State::Source& MasterMachine::State::source(const std::string& key) { return sources_[key]; }

void MasterMachine::State::forget_idle_sources(Instant now) {
  if (sources_.size() < kSourcesKept) return;
  std::erase_if(sources_, [&](const auto& entry) {
    const Source& one = entry.second;
    return one.anonymous + one.pending + one.claims + one.visitors == 0 && one.opens.is_full(now) &&
           one.status.is_full(now);
  });
}

/// Why a connection from there is closed at once.
std::optional<std::string> MasterMachine::State::cannot_open(Instant now, const std::string& key) {
  forget_idle_sources(now);
  Source& from = source(key);
  const double left = from.opens.is_full(now) ? 0 : limits::kHandshakesOfAllBurst / 2;
  if (!from.opens.take(now)) return "too many connections were opened from there in a short time";
  if (config_.needs_keys && !handshakes_.take(now, 1, left))
    return "too many connections were opened in a short time, from everywhere";
  if (from.anonymous >= limits::kAnonymousPerSourceMax)
    return "too many connections from there are no member's";
  // One of an address that has none is let in; the oldest of all makes room for it.
  const std::size_t most =
      limits::share_of_one(limits::kStrangersPerSourceMax, limits::kStrangersMax, strangers_.size());
  if (from.strangers >= std::max<std::size_t>(1, most))
    return "too many connections from there have not said who they are";
  return std::nullopt;
}

void MasterMachine::State::no_longer_stranger(ConnectionId id, Connection& connection) {
  if (strangers_.erase(id) > 0) --source(connection.source).strangers;
}

}  // namespace hawser
