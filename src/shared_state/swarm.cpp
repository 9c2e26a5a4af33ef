#include "shared_state/swarm.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace hawser {
namespace {

/// A slow peer is still asked for the next slice while one is on its way.
constexpr std::uint32_t kAskedLeast = 2;
/// A peer that is late time after time rests up to so many times as long.
constexpr std::uint32_t kStrikesMost = 3;
/// 40 bits of a rank are the slice.
constexpr std::uint64_t kSlicesMost = std::uint64_t{1} << 40;

bool contains(const std::vector<std::uint32_t>& ascending, std::uint32_t peer) {
  return std::binary_search(ascending.begin(), ascending.end(), peer);
}

}  // namespace

SwarmLimits limits_on_device(std::size_t peers) {
  SwarmLimits limits;
  limits.asked_most = static_cast<std::uint32_t>(
      std::clamp<std::size_t>(limits.asked_most / std::max<std::size_t>(1, peers), 1, limits.asked_most));
  limits.asked_first = std::min(limits.asked_first, limits.asked_most);
  return limits;
}

Swarm::Swarm(std::uint32_t self, std::uint32_t peers, std::vector<SwarmPart> parts, std::vector<bool> has,
             SwarmLimits limits)
    : self_(self), limits_(limits), peers_(peers) {
  HAWSER_ASSERT(self < peers && peers <= UINT16_MAX);
  HAWSER_ASSERT(limits.asked_first > 0 && limits.asked_first <= limits.asked_most);
  HAWSER_ASSERT(limits.patience > Duration::zero());
  for (SwarmPart& who : parts) {
    HAWSER_ASSERT(who.slices <= kSlicesMost - slices_.size());
    for (const auto* const ranks : {&who.holders, &who.receivers}) {
      HAWSER_ASSERT(std::is_sorted(ranks->begin(), ranks->end()));
      HAWSER_ASSERT(ranks->empty() || ranks->back() < peers);
    }
    const bool holder = contains(who.holders, self);
    const bool receiver = contains(who.receivers, self);
    HAWSER_ASSERT(!(holder && receiver));
    Part part{.who = std::move(who)};
    const auto& receivers = part.who.receivers;
    if (receiver)
      part.place = static_cast<std::uint32_t>(std::lower_bound(receivers.begin(), receivers.end(), self) -
                                              receivers.begin());
    slices_.resize(slices_.size() + part.who.slices, {.part = static_cast<std::uint32_t>(parts_.size()),
                                                      .state = holder ? State::here : State::absent});
    parts_.push_back(std::move(part));
  }
  HAWSER_ASSERT(has.size() == slices_.size());
  for (std::uint64_t slice = 0; slice < slices_.size(); ++slice)
    if (parts_[slices_[slice].part].place) set_state(slice, has[slice] ? State::here : State::missing);
  for (Peer& peer : peers_) peer.window = limits_.asked_first;
  begin_sweeps();
}

std::uint64_t Swarm::slices() const { return slices_.size(); }
bool Swarm::complete() const { return missing_ == 0; }
const std::vector<std::uint64_t>& Swarm::given_up() const { return given_up_; }

bool Swarm::has(std::uint64_t slice) const {
  return slice < slices_.size() && slices_[slice].state == State::here;
}

bool Swarm::lacks(std::uint64_t slice) const {
  return slices_[slice].state == State::missing || slices_[slice].state == State::given_up;
}

bool Swarm::holds(std::uint32_t peer, const Part& part) const { return contains(part.who.holders, peer); }

bool Swarm::owns(std::uint32_t peer, std::uint64_t slice) const {
  return peers_[peer].has.at(slice) || holds(peer, parts_[slices_[slice].part]);
}

bool Swarm::is_bad(std::uint32_t peer, std::uint64_t slice) const {
  return !bad_.empty() && bad_.contains({slice, peer});
}

bool Swarm::is_asked(std::uint32_t peer, std::uint64_t slice) const {
  const auto& asked = peers_[peer].asked;
  return slices_[slice].asked > 0 &&
         std::any_of(asked.begin(), asked.end(), [&](const Asked& one) { return one.slice == slice; });
}

Swarm::Peer& Swarm::other(std::uint32_t peer) {
  HAWSER_ASSERT(peer < peers_.size() && peer != self_);
  return peers_[peer];
}

void Swarm::begin_sweeps() {
  for (Peer& peer : peers_) peer.sweep = {.phase = Sweep::done};
  for (const Part& part : parts_)
    if (part.place)
      for (const std::uint32_t holder : part.who.holders) peers_[holder].sweep = {};
}

void Swarm::set_state(std::uint64_t slice, State state) {
  Slice& one = slices_[slice];
  Part& part = parts_[one.part];
  if (one.state == state) return;
  if (one.state == State::missing) {
    --missing_;
    --part.missing;
  }
  one.state = state;
  if (state == State::missing) {
    ++missing_;
    ++part.missing;
  } else if (state == State::given_up) {
    given_up_.push_back(slice);
  }
}

void Swarm::prune_given_up() {
  std::erase_if(given_up_, [&](std::uint64_t slice) { return slices_[slice].state != State::given_up; });
}

/// Given up is what is missing and has owners, all of whom sent it damaged.
void Swarm::settle_given_up(std::uint64_t slice) {
  if (!lacks(slice)) return;
  bool any_owner = false;
  bool any_good = false;
  for (std::uint32_t peer = 0; peer < peers_.size(); ++peer) {
    if (!owns(peer, slice)) continue;
    any_owner = true;
    any_good = any_good || !is_bad(peer, slice);
  }
  set_state(slice, any_owner && !any_good ? State::given_up : State::missing);
}

std::optional<Swarm::Asked> Swarm::forget_asked(std::uint32_t peer, std::uint64_t slice) {
  auto& asked = peers_[peer].asked;
  const auto found =
      std::find_if(asked.begin(), asked.end(), [&](const Asked& one) { return one.slice == slice; });
  if (found == asked.end()) return std::nullopt;
  const Asked was = *found;
  asked.erase(found);
  --slices_[slice].asked;
  if (!was.late) slices_[slice].pending = false;
  return was;
}

void Swarm::peer_ready(Instant now, std::uint32_t index, std::vector<SwarmMessage>& out) {
  Peer& peer = other(index);
  if (peer.ready) return;
  peer.ready = true;
  peer.active_at = now;
  SwarmMessage range{.kind = SwarmMessage::Kind::have, .to = index, .count = 0};
  std::uint32_t told = 0;
  for (std::uint64_t slice = 0; slice <= slices_.size() && told < limits_.ranges_announced; ++slice) {
    const Part* const part = slice < slices_.size() ? &parts_[slices_[slice].part] : nullptr;
    if (part != nullptr && part->place && has(slice) && contains(part->who.receivers, index)) {
      if (range.count++ == 0) range.slice = slice;
    } else if (range.count > 0) {
      out.push_back(range);
      range.count = 0;
      ++told;
    }
  }
  ask(now, index, out);
}

void Swarm::peer_gone(Instant now, std::uint32_t index, std::vector<SwarmMessage>& out) {
  const Peer gone = std::exchange(other(index), {.window = limits_.asked_first});
  for (const Asked& asked : gone.asked) {
    --slices_[asked.slice].asked;
    if (!asked.late) slices_[asked.slice].pending = false;
  }
  for (std::uint64_t slice = 0; slice < slices_.size(); ++slice)
    if (gone.has.at(slice)) --slices_[slice].owners;
  for (Part& part : parts_) std::erase(part.who.holders, index);
  for (auto bad = bad_.begin(); bad != bad_.end(); bad = bad_.upper_bound({bad->first, UINT32_MAX}))
    settle_given_up(bad->first);
  prune_given_up();
  // What it alone had announced is to be had from holders only, whose sweeps may have passed it.
  begin_sweeps();
  for (const Asked& asked : gone.asked) offer(asked.slice);
  ask_all(now, out);
}

bool Swarm::have_came(Instant now, std::uint32_t from, std::uint64_t first, std::uint64_t count,
                      std::vector<SwarmMessage>& out) {
  Peer& peer = other(from);
  if (count == 0 || first >= slices_.size() || count > slices_.size() - first) return false;
  for (std::uint64_t slice = first; slice < first + count; ++slice) {
    if (!lacks(slice) || owns(from, slice)) continue;
    peer.has.set(slice, slices_.size());
    ++slices_[slice].owners;
    if (is_bad(from, slice) || slices_[slice].state == State::given_up) settle_given_up(slice);
    peer.announced.push(rank_of(slice));
  }
  prune_given_up();
  ask(now, from, out);
  return true;
}

bool Swarm::decline_came(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out) {
  Peer& peer = other(from);
  if (!peer.ever_asked.at(slice)) return false;
  const auto asked = std::find_if(peer.asked.begin(), peer.asked.end(),
                                  [&](const Asked& one) { return one.slice == slice; });
  if (asked == peer.asked.end()) return true;
  // Nobody declines what was wanted; but a message that answered an earlier wish may come twice, after a break.
  if (!asked->soft) return true;
  forget_asked(from, slice);
  peer.active_at = now;
  ask(now, from, out);
  // Who announced it while it was asked for here was passed over then.
  for (std::uint32_t index = 0; slices_[slice].owners > 0 && index < peers_.size(); ++index) {
    if (!peers_[index].has.at(slice)) continue;
    peers_[index].announced.push(rank_of(slice));
    ask(now, index, out);
  }
  return true;
}

Swarm::Answer Swarm::want_came(std::uint32_t from, std::uint64_t slice, bool soft,
                               std::vector<SwarmMessage>& out) {
  Peer& peer = other(from);
  if (!has(slice)) return Answer::impossible;
  const Part& part = parts_[slices_[slice].part];
  // Everybody knows what holders have; what receivers have, only peers that are ready have heard of.
  if (!contains(part.who.receivers, from) || (part.place && !peer.ready)) return Answer::impossible;
  if (std::find(peer.queued.begin(), peer.queued.end(), slice) != peer.queued.end()) return Answer::nothing;
  if (peer.queued.size() >= limits_.wanted_most) return Answer::impossible;
  const auto was_given = [&](const Peer& one) { return &one != &peer && one.given.at(slice); };
  if (soft && peer.ready && std::any_of(peers_.begin(), peers_.end(), was_given)) {
    out.push_back({.kind = SwarmMessage::Kind::decline, .to = from, .slice = slice});
    return Answer::nothing;
  }
  peer.queued.push_back(slice);
  peer.given.set(slice, slices_.size());
  return Answer::send;
}

bool Swarm::unwant_came(std::uint32_t from, std::uint64_t slice) {
  // It counts as given: who takes a wish back has the slice.
  return std::erase(other(from).queued, slice) > 0;
}

void Swarm::served(std::uint32_t to, std::uint64_t slice) { std::erase(other(to).queued, slice); }

Swarm::Arrival Swarm::judge(std::uint32_t from, std::uint64_t slice) const {
  HAWSER_ASSERT(from < peers_.size() && from != self_);
  if (!peers_[from].ever_asked.at(slice)) return Arrival::impossible;
  return is_asked(from, slice) ? Arrival::expected : Arrival::repeated;
}

/// Forgets that it was asked for, and learns how quick the peer is.
void Swarm::arrived(Instant now, std::uint32_t from, std::uint64_t slice) {
  Peer& peer = other(from);
  const auto asked = forget_asked(from, slice);
  if (!asked) return;
  const Duration took = now - asked->at;
  const Duration gap = now - std::max(asked->at, peer.came_at);
  const bool first = !peer.took;
  peer.gap = first ? gap : peer.gap + (gap - peer.gap) / 4;
  peer.quickest = first ? took : std::min(peer.quickest, took);
  peer.took = first ? took : std::max(took, *peer.took + (took - *peer.took) / 4);
  typical_ = typical_ == Duration::zero() ? took : typical_ + (took - typical_) / 4;
  peer.came_at = peer.active_at = now;
  peer.strikes = 0;
  peer.rests_until.reset();
  const auto work = (limits_.ahead + peer.quickest) / std::max(peer.gap, Duration(1));
  const auto window = static_cast<std::uint64_t>(1 + work);
  peer.window = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(window, std::min(kAskedLeast, limits_.asked_first), limits_.asked_most));
}

void Swarm::slice_came(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out) {
  HAWSER_ASSERT(slice < slices_.size() && slices_[slice].state != State::absent);
  arrived(now, from, slice);
  // While it was checked it may have come from elsewhere too.
  if (has(slice)) return ask(now, from, out);
  set_state(slice, State::here);
  prune_given_up();
  std::vector<std::uint32_t> freed{from};
  for (std::uint32_t peer = 0; slices_[slice].asked > 0 && peer < peers_.size(); ++peer) {
    if (!forget_asked(peer, slice)) continue;
    out.push_back({.kind = SwarmMessage::Kind::unwant, .to = peer, .slice = slice});
    freed.push_back(peer);
  }
  for (const std::uint32_t peer : parts_[slices_[slice].part].who.receivers)
    if (peers_[peer].ready && !peers_[peer].has.at(slice))
      out.push_back({.kind = SwarmMessage::Kind::have, .to = peer, .slice = slice});
  for (const std::uint32_t peer : freed) ask(now, peer, out);
}

void Swarm::slice_bad(Instant now, std::uint32_t from, std::uint64_t slice, std::vector<SwarmMessage>& out) {
  HAWSER_ASSERT(slice < slices_.size() && slices_[slice].state != State::absent);
  arrived(now, from, slice);
  bad_.insert({slice, from});
  settle_given_up(slice);
  offer(slice);
  ask_all(now, out);
}

std::vector<std::uint32_t> Swarm::waiting_for() const {
  std::vector<std::uint32_t> waiting;
  for (std::uint32_t index = 0; index < peers_.size(); ++index) {
    const Peer& peer = peers_[index];
    bool has_missing = false;
    if (!peer.ready) {
      for (const Part& part : parts_) has_missing = has_missing || (part.missing > 0 && holds(index, part));
      for (std::uint64_t slice = 0; missing_ > 0 && slice < slices_.size() && !has_missing; ++slice)
        has_missing = slices_[slice].state == State::missing && peer.has.at(slice);
    }
    if (has_missing || !peer.asked.empty()) waiting.push_back(index);
  }
  if (!waiting.empty() || missing_ == 0) return waiting;
  // They have it from elsewhere.
  for (std::uint32_t index = 0; index < peers_.size(); ++index)
    if (index != self_ && std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
          return part.missing > 0 && contains(part.who.receivers, index);
        }))
      waiting.push_back(index);
  return waiting;
}

Duration Swarm::late_after(const Peer& peer) const {
  return std::max(limits_.patience, 4 * std::min(peer.took.value_or(typical_), typical_));
}

bool Swarm::awaits_idleness(const Peer& peer) const {
  return peer.sweep.phase == Sweep::lost && !peer.sweep.idle_long;
}

std::optional<Instant> Swarm::next_deadline() const {
  std::optional<Instant> due;
  if (complete()) return due;
  for (const Peer& peer : peers_) {
    if (!peer.ready) continue;
    due = earlier(due, peer.rests_until);
    if (awaits_idleness(peer)) due = earlier(due, peer.active_at + late_after(peer));
    // They get late in the order in which they were asked for.
    const auto first =
        std::find_if(peer.asked.begin(), peer.asked.end(), [](const Asked& one) { return !one.late; });
    if (first != peer.asked.end()) due = earlier(due, first->at + late_after(peer));
  }
  return due;
}

/// Adds the slices that are late now. True if there are such.
bool Swarm::mark_late(Instant now, Peer& peer, std::vector<std::uint64_t>& late) {
  bool any = false;
  for (Asked& asked : peer.asked) {
    if (asked.late || now < asked.at + late_after(peer)) continue;
    asked.late = any = true;
    slices_[asked.slice].pending = false;
    late.push_back(asked.slice);
  }
  return any;
}

void Swarm::tick(Instant now, std::vector<SwarmMessage>& out) {
  if (complete()) return;
  std::vector<std::uint64_t> late;
  for (Peer& peer : peers_) {
    if (peer.rests_until && *peer.rests_until <= now) peer.rests_until.reset();
    if (awaits_idleness(peer) && peer.active_at + late_after(peer) <= now) peer.sweep.idle_long = true;
    if (!mark_late(now, peer, late)) continue;
    peer.window = 1;
    peer.rests_until = now + late_after(peer) * (1 << peer.strikes);
    peer.strikes = std::min(peer.strikes + 1, kStrikesMost);
  }
  for (const std::uint64_t slice : late) offer(slice);
  ask_all(now, out);
}

}  // namespace hawser
