#include <algorithm>

#include "base/assert.hpp"
#include "shared_state/swarm.hpp"

// Which slice is asked of whom next: rules 1 to 4.

namespace hawser {
namespace {

constexpr int kSliceBits = 40;
constexpr int kTieBits = 12;
constexpr std::uint64_t kOwnersMost = (1U << 12) - 1;

/// An order of equally rare slices that differs from member to member (the finalizer of SplitMix64).
std::uint64_t tie_of(std::uint64_t slice, std::uint32_t self) {
  std::uint64_t z = (slice + 1) * 0x9e3779b97f4a7c15ULL ^ (std::uint64_t{self} + 1) * 0xd1342543de82ef95ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z >> (64 - kTieBits);
}

}  // namespace

/// Owners first, then the tie, then the slice itself, which can be had back from the rank.
std::uint64_t Swarm::rank_of(std::uint64_t slice) const {
  const std::uint64_t owners = slices_[slice].owners + parts_[slices_[slice].part].who.holders.size();
  return std::min(owners, kOwnersMost) << (kTieBits + kSliceBits) | tie_of(slice, self_) << kSliceBits |
         slice;
}

bool Swarm::may_ask(std::uint32_t peer, std::uint64_t slice) const {
  const Slice& one = slices_[slice];
  return one.state == State::missing && !one.pending && !is_bad(peer, slice) && !is_asked(peer, slice);
}

/// Whether a slice is asked of this holder in this phase.
bool Swarm::belongs(Sweep::Phase phase, std::uint32_t peer, std::uint64_t slice) const {
  const Slice& one = slices_[slice];
  if (one.state != State::missing || one.pending) return false;
  const Part& part = parts_[one.part];
  if (!holds(peer, part)) return false;
  const auto& [count, holders, receivers] = part.who;
  const bool mine = slice % receivers.size() == part.place;
  const bool here_first = holders[slice / receivers.size() % holders.size()] == peer;
  const bool unspread = one.owners == 0;
  switch (phase) {
    case Sweep::own_here_first: return mine && here_first && unspread && may_ask(peer, slice);
    case Sweep::own: return mine && unspread && may_ask(peer, slice);
    // Of one holder only: it can decline what it has queued for another thief, or for the share's receiver.
    case Sweep::steal: return !mine && here_first && unspread && may_ask(peer, slice);
    case Sweep::own_that_others_have: return mine && may_ask(peer, slice);
    case Sweep::lost: return unspread && may_ask(peer, slice);
    case Sweep::any: return may_ask(peer, slice);
    case Sweep::done: break;
  }
  return false;
}

/// The slice that a sweep comes to next. What somebody else goes through in ascending order is taken from
/// the far end; what all may come for, from a place of each one's own.
std::uint64_t Swarm::swept(const Sweep& sweep) const {
  const std::uint64_t count = slices_.size();
  if (sweep.phase == Sweep::own || sweep.phase == Sweep::steal) return count - 1 - sweep.passed;
  if (sweep.phase < Sweep::lost) return sweep.passed;
  return (count / peers_.size() * self_ + sweep.passed) % count;
}

std::optional<std::uint64_t> Swarm::take(std::uint32_t peer, Ranked& ranked) {
  while (!ranked.empty()) {
    const std::uint64_t rank = ranked.top();
    const std::uint64_t slice = rank & ((std::uint64_t{1} << kSliceBits) - 1);
    ranked.pop();
    if (!may_ask(peer, slice)) continue;
    if (rank_of(slice) <= rank) return slice;
    ranked.push(rank_of(slice));
  }
  return std::nullopt;
}

/// The next slice of this holder's sweep, in phases before this one.
std::optional<Swarm::Choice> Swarm::go_on(std::uint32_t index, Sweep::Phase before) {
  Peer& peer = peers_[index];
  Sweep& sweep = peer.sweep;
  while (sweep.phase < before) {
    // By the time a receiver's own share has come, the others have asked for theirs.
    if (sweep.phase == Sweep::steal &&
        std::any_of(peer.asked.begin(), peer.asked.end(), [](const Asked& asked) { return !asked.soft; }))
      return std::nullopt;
    if (awaits_idleness(peer)) return std::nullopt;
    while (sweep.passed < slices_.size()) {
      const std::uint64_t slice = swept(sweep);
      ++sweep.passed;
      if (belongs(sweep.phase, index, slice))
        return Choice{.slice = slice, .soft = sweep.phase == Sweep::steal};
    }
    sweep.phase = static_cast<Sweep::Phase>(sweep.phase + 1);
    sweep.passed = 0;
  }
  return std::nullopt;
}

std::optional<Swarm::Choice> Swarm::choose(std::uint32_t index) {
  Peer& peer = peers_[index];
  if (const auto slice = take(index, peer.offered)) return Choice{.slice = *slice};
  if (const auto choice = go_on(index, Sweep::steal)) return choice;
  if (const auto slice = take(index, peer.announced)) return Choice{.slice = *slice};
  return go_on(index, Sweep::done);
}

/// Asks a peer for as much as it may be asked for.
void Swarm::ask(Instant now, std::uint32_t index, std::vector<SwarmMessage>& out) {
  Peer& peer = peers_[index];
  while (missing_ > 0 && peer.ready && !peer.rests_until && peer.asked.size() < peer.window) {
    const bool awaited_idleness = awaits_idleness(peer);
    const auto choice = choose(index);
    if (awaits_idleness(peer) && !awaited_idleness) peer.active_at = now;
    if (!choice) return;
    Slice& slice = slices_[choice->slice];
    slice.pending = true;
    ++slice.asked;
    peer.asked.push_back({.slice = choice->slice, .at = now, .soft = choice->soft});
    peer.ever_asked.set(choice->slice, slices_.size());
    peer.active_at = now;
    out.push_back({.kind = choice->soft ? SwarmMessage::Kind::wish : SwarmMessage::Kind::want,
                   .to = index,
                   .slice = choice->slice});
  }
}

void Swarm::ask_all(Instant now, std::vector<SwarmMessage>& out) {
  for (std::uint32_t peer = 0; peer < peers_.size(); ++peer) ask(now, peer, out);
}

/// A missing slice that nobody is asked for any more, or only ones that are late with it.
void Swarm::offer(std::uint64_t slice) {
  if (slices_[slice].state != State::missing || slices_[slice].pending) return;
  for (std::uint32_t peer = 0; peer < peers_.size(); ++peer)
    if (owns(peer, slice) && may_ask(peer, slice)) peers_[peer].offered.push(rank_of(slice));
}

}  // namespace hawser
