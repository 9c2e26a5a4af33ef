#include "shared_state/prefetch_server.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace hawser {
namespace {

constexpr Duration kWindow = milliseconds(100);
/// A longer time without anything is a pause.
constexpr Duration kPause = milliseconds(20);
constexpr double kWeightOfFaster = 0.25;
constexpr double kWeightOfSlower = 1.0 / 16;
/// Of the guests' share, while collectives are under way.
constexpr double kShareWhileTraining = 0.25;
/// What any uplink is taken to carry, so that something flows before anything is known.
constexpr double kBytesPerSecondMin = 4 << 20;
/// Chunks on their way to one guest.
constexpr std::size_t kUnderWayMax = 4;
constexpr std::size_t kWantedMax = 1024;

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void UplinkMeter::moved(Instant now, std::size_t bytes) {
  if (now > moved_at_ + kPause) interrupted_ = true;
  moved_at_ = now;
  window_bytes_ += bytes;
  if (now < window_began_ + kWindow) return;
  if (!interrupted_) {
    const double rate = static_cast<double>(window_bytes_) / seconds_of(now - window_began_);
    sustained_ += (rate - sustained_) * (sustained_ == 0 ? 1 : rate > sustained_ ? kWeightOfFaster : kWeightOfSlower);
  }
  interrupted_ = false;
  window_began_ = now;
  window_bytes_ = 0;
}

void UplinkMeter::slice_took(std::size_t bytes, Duration time) {
  if (time > Duration::zero()) of_slices_ = std::max(of_slices_, static_cast<double>(bytes) / seconds_of(time));
}

double UplinkMeter::bytes_per_second() const {
  return std::max(kBytesPerSecondMin, sustained_ != 0 ? sustained_ : of_slices_);
}

void PrefetchServer::guests(const std::vector<PeerId>& guests) {
  std::erase_if(guests_, [&](const auto& entry) {
    return std::find(guests.begin(), guests.end(), entry.first) == guests.end();
  });
  for (const PeerId guest : guests) guests_.try_emplace(guest);
}

std::optional<OpKey> PrefetchServer::offer(Instant now, std::shared_ptr<const StateOffer> offer,
                                         std::vector<PrefetchSend>& out) {
  if (!offer && !offer_) return std::nullopt;
  std::optional<OpKey> before;
  if (offer_) before = key();
  offer_ = std::move(offer);
  ++number_;
  next_at_.reset();
  for (auto& [peer, guest] : guests_) {
    guest.wanted.clear();
    guest.under_way.clear();
    if (guest.ready) tell(peer, out);
  }
  free_at_ = std::max(free_at_, now);
  return before;
}

void PrefetchServer::tell(PeerId guest, std::vector<PrefetchSend>& out) const {
  FrameHeader frame;
  frame.kind = FrameKind::have;
  frame.key = offer_ ? key() : prefetch_key(0, number_);
  frame.signature = offer_ ? offer_->mark : 0;
  frame.count = offer_ ? offer_->pieces() : 0;
  out.push_back({.to = guest, .frame = frame});
}

void PrefetchServer::ready(Instant, PeerId guest, std::vector<PrefetchSend>& out) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return;
  found->second.ready = true;
  tell(guest, out);
}

bool PrefetchServer::want(Instant now, PeerId guest, const FrameHeader& frame, std::vector<PrefetchSend>& out) {
  const auto found = guests_.find(guest);
  // Of an offer that is over: it has been told, or will be.
  if (found == guests_.end() || !offer_ || frame.key != key()) return true;
  if (frame.chunk >= offer_->chunks()) return false;
  Guest& one = found->second;
  if (one.under_way.contains(frame.chunk) ||
      std::find(one.wanted.begin(), one.wanted.end(), frame.chunk) != one.wanted.end())
    return true;
  if (one.wanted.size() >= kWantedMax) return false;
  one.wanted.push_back(frame.chunk);
  serve(now, out);
  return true;
}

void PrefetchServer::unwant(PeerId guest, const FrameHeader& frame) {
  const auto found = guests_.find(guest);
  if (found == guests_.end() || !offer_ || frame.key != key()) return;
  std::erase(found->second.wanted, frame.chunk);
}

void PrefetchServer::arrived(Instant now, PeerId guest, const FrameHeader& frame, std::vector<PrefetchSend>& out) {
  const auto found = guests_.find(guest);
  if (found == guests_.end() || !offer_ || frame.key != key()) return;
  const auto sent = found->second.under_way.find(frame.chunk);
  if (sent == found->second.under_way.end()) return;
  uplink_.slice_took(frame.payload_bytes, now - sent->second);
  found->second.under_way.erase(sent);
  serve(now, out);
}

bool PrefetchServer::may_serve(const Guest& guest) const {
  return !guest.wanted.empty() && guest.under_way.size() < kUnderWayMax;
}

/// One chunk after the other, guests in turn, each when the ones before have had their share of the uplink's time.
void PrefetchServer::serve(Instant now, std::vector<PrefetchSend>& out) {
  while (true) {
    auto turn = last_served_ ? guests_.upper_bound(*last_served_) : guests_.begin();
    auto next = guests_.end();
    for (std::size_t tried = 0; tried < guests_.size() && next == guests_.end(); ++tried, ++turn) {
      if (turn == guests_.end()) turn = guests_.begin();
      if (may_serve(turn->second)) next = turn;
    }
    next_at_.reset();
    if (next == guests_.end() || !offer_) return;
    if (now < free_at_) {
      next_at_ = free_at_;
      return;
    }
    const std::uint64_t chunk = next->second.wanted.front();
    next->second.wanted.pop_front();
    next->second.under_way[chunk] = now;
    last_served_ = next->first;
    FrameHeader frame;
    frame.kind = FrameKind::chunk;
    frame.direction = Direction::down;
    frame.key = key();
    frame.signature = offer_->mark;
    frame.chunk = chunk;
    frame.payload_bytes = static_cast<std::uint32_t>(offer_->payload(chunk).size());
    out.push_back({.to = next->first, .frame = frame});
    const double budget = share_ * (training_ ? kShareWhileTraining : 1) * uplink_.bytes_per_second();
    free_at_ = now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(frame.payload_bytes / budget));
  }
}

void PrefetchServer::tick(Instant now, std::vector<PrefetchSend>& out) {
  if (next_at_ && now >= *next_at_) serve(now, out);
}

std::optional<Instant> PrefetchServer::next_deadline() const { return next_at_; }

}  // namespace hawser
