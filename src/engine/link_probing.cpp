#include "engine/link_probing.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "topology/matrix.hpp"
#include "topology/probe_order.hpp"

namespace hawser {
namespace {

/// Small frames first, so that little by little can be seen what passes over a slow link; large ones later, which cost
/// less.
struct FrameSizes {
  std::uint64_t frames;
  std::size_t bytes;
};
constexpr std::array<FrameSizes, 2> kFirstFrames{{{64, 4 << 10}, {1008, 16 << 10}}};
constexpr std::size_t kFrameBytes = 64 << 10;

std::size_t frame_bytes(std::uint64_t index) {
  for (const FrameSizes& size : kFirstFrames) {
    if (index < size.frames) return size.bytes;
    index -= size.frames;
  }
  return kFrameBytes;
}

/// Frames of a burst of at most so many bytes; one at least.
std::uint64_t frames_within(std::uint64_t bytes_max) {
  std::uint64_t frames = 0;
  for (const FrameSizes& size : kFirstFrames) {
    const std::uint64_t fit = std::min<std::uint64_t>(size.frames, bytes_max / size.bytes);
    frames += fit;
    bytes_max -= fit * size.bytes;
    if (fit < size.frames) return std::max<std::uint64_t>(1, frames);
  }
  return frames + bytes_max / kFrameBytes;
}

std::uint64_t bytes_of(std::uint64_t frames) {
  std::uint64_t bytes = 0;
  for (const FrameSizes& size : kFirstFrames) {
    const std::uint64_t here = std::min(frames, size.frames);
    bytes += here * size.bytes;
    frames -= here;
  }
  return bytes + frames * kFrameBytes;
}

/// What no way compresses.
std::span<const std::byte> noise(std::size_t bytes) {
  static const std::vector<std::byte> made = [] {
    std::vector<std::byte> all(kFrameBytes);
    Random random(0x70726f6265);
    for (std::byte& one : all) one = static_cast<std::byte>(random.next() >> 56);
    return all;
  }();
  return std::span(made).first(bytes);
}

/// So many pairs have their connections opened before their turn, this one's included.
constexpr std::size_t kWideAhead = 3;
/// The handshakes of TCP and of the link take two.
constexpr int kDialRoundTrips = 3;
constexpr Duration kDialSlack = milliseconds(50);

/// So that slow start, from ten segments each, is soon over; more would be more work than they are worth.
std::uint32_t connections_for(Duration round_trip) {
  constexpr std::int64_t kLeast = 2;
  constexpr std::int64_t kMost = 48;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(whole_milliseconds(round_trip) * 2 / 3, kLeast, kMost));
}

// A report: bit 0 the wish, above it the round trip in microseconds.
constexpr std::uint64_t kRoundTripUsMax = 60'000'000;
/// As in a matrix; with a bit for a lower bound it is what a burst came to.
constexpr std::uint64_t kRateMax = topology::kBytesPerSecondMax;

std::uint64_t report_of(const ProbeLink& link) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(0, link.round_trip.count()));
  return std::min(us, kRoundTripUsMax) << 1 | (link.wanted ? 1 : 0);
}
bool is_wish(std::uint64_t report) { return (report & 1) != 0; }
std::uint64_t round_trip_us(std::uint64_t report) { return report >> 1; }

// A turn: 16 bits the other's rank, then whether one sends, whether one receives, and from bit 32 how many turns
// there are. No turns: all zero.
constexpr std::uint64_t kSends = std::uint64_t{1} << 16;
constexpr std::uint64_t kReceives = std::uint64_t{1} << 17;
constexpr int kTurnsShift = 32;
static_assert(limits::kMeasuredGroupMax <= 0xffff);

}  // namespace

LinkProbing::LinkProbing(std::shared_ptr<ProbeCall> call, Setting setting)
    : call_(std::move(call)),
      setting_(std::move(setting)),
      frames_(frames_within(call_->bounds.bytes_max)),
      others_(setting_.world_size) {
  HAWSER_ASSERT(setting_.links.size() == setting_.world_size);
  for (std::uint32_t rank = 0; rank < setting_.world_size; ++rank)
    others_[rank].connections = setting_.links[rank].connections;
  if (setting_.rank != 0) return;
  reports_.assign(setting_.world_size, std::vector<std::optional<std::uint64_t>>(setting_.world_size));
  reports_missing_ = std::size_t{setting_.world_size} * (setting_.world_size - 1);
}

std::vector<LinkProbing::Ended> LinkProbing::take_ended() { return std::exchange(ended_, {}); }
std::vector<LinkProbing::Width> LinkProbing::take_widths() { return std::exchange(widths_, {}); }

void LinkProbing::start(Output& out) {
  for (std::uint32_t other = 0; other < setting_.world_size; ++other) {
    if (other == setting_.rank) continue;
    const std::uint64_t report = report_of(setting_.links[other]);
    if (setting_.rank == 0)
      HAWSER_ASSERT(report_came(0, other, report));
    else
      say(0, FrameKind::have, other, report, out);
  }
}

std::optional<std::span<const std::byte>> LinkProbing::payload(Direction, std::uint64_t chunk, Output&) {
  return noise(frame_bytes(chunk));
}

void LinkProbing::sent(std::uint32_t, Direction, std::uint64_t, Output&) {}

std::uint64_t LinkProbing::chunks() const { return frames_; }

Execution::Verdict LinkProbing::judge(std::uint32_t from, Direction direction, std::uint64_t chunk,
                                      std::size_t bytes) const {
  const Other& other = others_[from];
  const bool honest = other.asked && other.sends && direction == Direction::down && chunk < frames_ &&
                      bytes == frame_bytes(chunk);
  return honest ? Verdict::discarded : Verdict::impossible;
}

std::size_t LinkProbing::payload_bytes(std::uint32_t, Direction, std::uint64_t chunk) const {
  return frame_bytes(chunk);
}

void LinkProbing::arrived(Instant, std::uint32_t, Direction, std::uint64_t, Payload, Output&) {}

/// Control frames are heard by those only who have called.
void LinkProbing::say(std::uint32_t to, FrameKind kind, std::uint64_t chunk, std::uint64_t count,
                      Output& out) {
  auto& where = others_[to].ready ? out.sends : others_[to].unsaid;
  where.push_back({.to = to, .chunk = chunk, .kind = kind, .count = count});
}

void LinkProbing::ready(Instant, std::uint32_t member, Output& out) {
  Other& other = others_[member];
  if (std::exchange(other.ready, true)) return;
  out.sends.insert(out.sends.end(), other.unsaid.begin(), other.unsaid.end());
  other.unsaid.clear();
}

Execution::Heard LinkProbing::control_came(Instant now, std::uint32_t from, FrameKind kind, std::uint64_t chunk,
                                        std::uint64_t count, Output& out) {
  // Its ready may come later, over another connection.
  ready(now, from, out);
  Other& other = others_[from];
  switch (kind) {
    case FrameKind::have:
      if (setting_.rank == 0 ? !report_came(from, chunk, count) : from != 0 || !turn_came(chunk, count))
        return Heard::impossible;
      if (setting_.rank == 0 && reports_missing_ == 0 && !ordered_) put_in_order(out);
      break;
    case FrameKind::want: other.asks = true; break;
    case FrameKind::unwant:
      if (!enough_said(from, count)) return Heard::impossible;
      break;
    case FrameKind::decline: other.asks = other.declines = true; break;
    default: return Heard::impossible;
  }
  go_on(now, out);
  return Heard::fine;
}

/// Control frames may come twice, after a break.
bool LinkProbing::report_came(std::uint32_t from, std::uint64_t about, std::uint64_t report) {
  if (about >= setting_.world_size || about == from || round_trip_us(report) > kRoundTripUsMax) return false;
  std::optional<std::uint64_t>& known = reports_[from][about];
  if (!known) --reports_missing_;
  known = report;
  return true;
}

bool LinkProbing::turn_came(std::uint64_t position, std::uint64_t packed) {
  const std::uint64_t turns = packed >> kTurnsShift;
  if (ordered_) return true;
  if (turns >= setting_.world_size || (turns != 0 && position >= turns)) return false;
  if (turns == 0) {
    ordered();
    return true;
  }
  const Turn turn{.with = static_cast<std::uint32_t>(packed & 0xffff),
                  .sends = (packed & kSends) != 0,
                  .receives = (packed & kReceives) != 0};
  if (turn.with >= setting_.world_size || turn.with == setting_.rank) return false;
  if (heard_turns_.empty()) heard_turns_.resize(turns);
  if (heard_turns_.size() != turns) return false;
  heard_turns_[position] = turn;
  if (std::any_of(heard_turns_.begin(), heard_turns_.end(), [](const auto& one) { return !one.has_value(); }))
    return true;
  for (const auto& one : heard_turns_) turns_.push_back(*one);
  ordered();
  return true;
}

void LinkProbing::put_in_order(Output& out) {
  std::vector<topology::ProbePair> pairs;
  for (std::uint32_t a = 0; a < setting_.world_size; ++a)
    for (std::uint32_t b = a + 1; b < setting_.world_size; ++b) {
      if (!is_wish(*reports_[a][b]) && !is_wish(*reports_[b][a])) continue;
      const Duration round_trip =
          microseconds(std::max(round_trip_us(*reports_[a][b]), round_trip_us(*reports_[b][a])));
      const Duration burst =
          call_->bounds.time_max != Duration{} ? call_->bounds.time_max : probe_time_max(round_trip);
      pairs.push_back({.a = a, .b = b, .duration_us = static_cast<std::uint64_t>((burst + round_trip).count())});
    }
  const auto orders = topology::order_probes(setting_.world_size, pairs);
  for (std::uint32_t rank = 0; rank < setting_.world_size; ++rank) {
    const auto& order = orders[rank];
    if (rank != 0 && order.empty()) say(rank, FrameKind::have, 0, 0, out);
    for (std::size_t position = 0; position < order.size(); ++position) {
      const topology::ProbePair& pair = pairs[order[position]];
      const std::uint32_t with = pair.a == rank ? pair.b : pair.a;
      const Turn turn{
          .with = with, .sends = is_wish(*reports_[rank][with]), .receives = is_wish(*reports_[with][rank])};
      if (rank == 0)
        turns_.push_back(turn);
      else
        say(rank, FrameKind::have, position,
            with | (turn.sends ? kSends : 0) | (turn.receives ? kReceives : 0) |
                static_cast<std::uint64_t>(order.size()) << kTurnsShift,
            out);
    }
  }
  ordered();
}

void LinkProbing::ordered() {
  ordered_ = true;
  for (const Turn& turn : turns_) others_[turn.with].sends = turn.receives;
  call_->pairs_total = static_cast<std::uint32_t>(turns_.size());
}

void LinkProbing::go_on(Instant now, Output& out) {
  while (ordered_ && at_ < turns_.size()) {
    Turn& turn = turns_[at_];
    Other& other = others_[turn.with];
    for (std::size_t ahead = at_; ahead < std::min(turns_.size(), at_ + kWideAhead); ++ahead) widen(turns_[ahead]);
    if (!ask(now, turn, out) || !other.asks) return;
    if (!std::exchange(under_way_, true)) begin_bursts(now, turn, out);
    if (coming_ && other.declines) coming_.reset();
    if (coming_) return;
    Turn* const next = at_ + 1 < turns_.size() ? &turns_[at_ + 1] : nullptr;
    // Nothing comes in any more, and by the time the next one's burst does, this one's has ended too. Unless this one
    // only sends: its burst may last, and the next member would send its own, and wait for ours, meanwhile.
    if (next != nullptr && (turn.receives || !turn.sends || other.has_enough)) (void)ask(now, *next, out);
    if (turn.sends && !other.has_enough) return;
    narrow(turn);
    ++at_;
    ++call_->pairs_done;
    under_way_ = false;
  }
}

/// True once the other has been told that it may send.
bool LinkProbing::ask(Instant now, Turn& turn, Output& out) {
  Other& other = others_[turn.with];
  if (other.asked || !is_wide(now, turn)) return other.asked;
  say(turn.with, FrameKind::want, 0, 0, out);
  return other.asked = true;
}

/// Slow start is over sooner with more connections, each of which begins with as much as a single one. Begun some turns
/// ahead, since connections take some round trips to be established.
void LinkProbing::widen(const Turn& turn) {
  Other& other = others_[turn.with];
  const ProbeLink& link = setting_.links[turn.with];
  if (!link.widens || (!turn.sends && !turn.receives) || std::exchange(other.widened, true)) return;
  widths_.push_back({.with = turn.with, .connections = connections_for(link.round_trip)});
}

void LinkProbing::narrow(const Turn& turn) {
  if (others_[turn.with].widened) widths_.push_back({.with = turn.with, .connections = 0});
}

bool LinkProbing::is_wide(Instant now, Turn& turn) {
  const Other& other = others_[turn.with];
  const Duration round_trip = setting_.links[turn.with].round_trip;
  if (!other.widened || other.connections >= connections_for(round_trip)) return true;
  if (!turn.wide_by) turn.wide_by = now + kDialRoundTrips * round_trip + kDialSlack;
  return now >= *turn.wide_by;
}

void LinkProbing::link_established(Instant now, std::uint32_t with, std::uint32_t connections, Output& out) {
  others_[with].connections = connections;
  go_on(now, out);
}

void LinkProbing::begin_bursts(Instant now, const Turn& turn, Output& out) {
  const ProbeBounds& bounds = call_->bounds;
  const Duration round_trip = setting_.links[turn.with].round_trip;
  if (turn.receives)
    coming_.emplace(now, ProbeBurst::Bounds{.round_trip = round_trip,
                                            .time_max = bounds.time_max != Duration{} ? bounds.time_max
                                                                                      : probe_time_max(round_trip),
                                            .bytes_max = bytes_of(frames_)});
  if (!turn.sends || others_[turn.with].has_enough) return;
  if (now >= setting_.began + bounds.total) {
    others_[turn.with].has_enough = true;
    say(turn.with, FrameKind::decline, 0, 0, out);
    return;
  }
  for (std::uint64_t frame = 0; frame < frames_; ++frame)
    out.sends.push_back({.to = turn.with, .direction = Direction::down, .chunk = frame, .bytes = frame_bytes(frame)});
}

/// Tells the sender what its burst came to.
void LinkProbing::burst_came(const Turn& turn, Output& out) {
  const std::uint64_t rate = std::min(coming_->bytes_per_second(), kRateMax);
  say(turn.with, FrameKind::unwant, 0, rate << 1 | (coming_->is_lower_bound() ? 1 : 0), out);
  coming_.reset();
}

bool LinkProbing::enough_said(std::uint32_t from, std::uint64_t result) {
  Other& other = others_[from];
  const std::uint64_t rate = result >> 1;
  if (rate > kRateMax) return false;
  // A control frame may come twice, after a break, or before the one that asked for the burst, over another connection.
  other.asks = true;
  if (std::exchange(other.has_enough, true)) return true;
  const bool is_lower_bound = (result & 1) != 0;
  ended_.push_back({.to = from, .bytes_per_second = rate, .is_lower_bound = is_lower_bound});
  (rate == 0 ? call_->silent : call_->measured) += 1;
  call_->lower_bounds += rate != 0 && is_lower_bound ? 1 : 0;
  return true;
}

void LinkProbing::tick(Instant now, Output& out) {
  if (coming_) {
    const Turn& turn = turns_[at_];
    coming_->look(now, others_[turn.with].bytes_came);
    if (coming_->is_over()) burst_came(turn, out);
  }
  go_on(now, out);
}

std::optional<Instant> LinkProbing::next_deadline() const {
  if (coming_) return coming_->next_look();
  if (!ordered_ || at_ == turns_.size() || others_[turns_[at_].with].asked) return std::nullopt;
  return turns_[at_].wide_by;
}

std::vector<std::uint32_t> LinkProbing::waiting_for() const {
  if (ordered_) return at_ < turns_.size() ? std::vector{turns_[at_].with} : std::vector<std::uint32_t>{};
  if (setting_.rank != 0) return {0};
  std::vector<std::uint32_t> missing;
  for (std::uint32_t rank = 1; rank < setting_.world_size; ++rank)
    if (std::count(reports_[rank].begin(), reports_[rank].end(), std::nullopt) > 1) missing.push_back(rank);
  return missing;
}

/// Everybody else may say something.
std::vector<std::uint32_t> LinkProbing::senders() const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < setting_.world_size; ++rank)
    if (rank != setting_.rank) ranks.push_back(rank);
  return ranks;
}

const std::string& LinkProbing::plan_reason() const {
  static const std::string reason = "pairs are probed in an order that leaves each access link to one probe";
  return reason;
}

}  // namespace hawser
