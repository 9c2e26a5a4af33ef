#include "shared_state/slice_transfer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/content.hpp"

namespace hawser {
namespace {

std::vector<SwarmPart> shapes(const TransferCall& call) {
  std::vector<SwarmPart> parts;
  for (const TransferPart& part : call.parts)
    parts.push_back({.slices = slice_count(part.bytes), .holders = part.holders, .receivers = part.receivers});
  return parts;
}

FrameKind frame_of(SwarmWord::Kind kind) {
  switch (kind) {
    case SwarmWord::Kind::want: return FrameKind::want;
    case SwarmWord::Kind::wish: return FrameKind::wish;
    case SwarmWord::Kind::unwant: return FrameKind::unwant;
    case SwarmWord::Kind::decline: return FrameKind::decline;
    case SwarmWord::Kind::have: return FrameKind::have;
  }
  HAWSER_ASSERT(false);
}

}  // namespace

TransferCall::Place TransferCall::place(std::uint64_t slice) const {
  for (std::size_t part = 0; part < parts.size(); ++part) {
    const std::uint64_t here = slice_count(parts[part].bytes);
    if (slice < here) return {.part = part, .slice = slice};
    slice -= here;
  }
  HAWSER_ASSERT(false);
}

SliceTransfer::SliceTransfer(std::shared_ptr<TransferCall> call, std::uint32_t rank, std::uint32_t world_size)
    : call_(std::move(call)),
      rank_(rank),
      world_size_(world_size),
      swarm_(rank, world_size, shapes(*call_), call_->has),
      ready_(world_size) {
  std::uint64_t start = 0;
  for (const TransferPart& part : call_->parts) {
    starts_.push_back(start);
    start += slice_count(part.bytes);
  }
  call_->came.assign(static_cast<std::size_t>(chunks()), false);
  call_->touched.assign(static_cast<std::size_t>(chunks()), false);
  std::uint64_t missing = 0;
  for (std::size_t part = 0; part < call_->parts.size(); ++part) {
    const TransferPart& one = call_->parts[part];
    if (!std::binary_search(one.receivers.begin(), one.receivers.end(), rank)) continue;
    for (std::uint64_t slice = 0; slice < slice_count(one.bytes); ++slice)
      if (!call_->has[static_cast<std::size_t>(starts_[part] + slice)]) missing += slice_bytes(one.bytes, slice);
  }
  call_->bytes_missing = missing;
}

void SliceTransfer::start(std::vector<Send>&) {}

std::size_t SliceTransfer::part_of(std::uint64_t chunk) const {
  return static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), chunk) - starts_.begin()) - 1;
}

std::span<std::byte> SliceTransfer::memory(std::uint64_t chunk) const {
  const std::size_t part = part_of(chunk);
  const TransferPart& one = call_->parts[part];
  const std::uint64_t slice = chunk - starts_[part];
  return {one.data + slice * kDigestSliceBytes, static_cast<std::size_t>(slice_bytes(one.bytes, slice))};
}

std::span<const std::byte> SliceTransfer::payload(Direction, std::uint64_t chunk) { return memory(chunk); }

void SliceTransfer::sent(std::uint32_t to, Direction, std::uint64_t chunk) { swarm_.served(to, chunk); }

Execution::Verdict SliceTransfer::judge(std::uint32_t from, Direction direction, std::uint64_t chunk,
                                        std::size_t bytes) const {
  if (direction != Direction::down || chunk >= chunks() || bytes != memory(chunk).size()) return Verdict::impossible;
  switch (swarm_.judge(from, chunk)) {
    case Swarm::Arrival::expected: return Verdict::expected;
    case Swarm::Arrival::repeated: return Verdict::repeated;
    case Swarm::Arrival::impossible: break;
  }
  return Verdict::impossible;
}

std::size_t SliceTransfer::payload_bytes(std::uint32_t, Direction, std::uint64_t chunk) const {
  return memory(chunk).size();
}

std::size_t SliceTransfer::stride(std::uint64_t chunk, std::size_t) const {
  return call_->parts[part_of(chunk)].element_bytes;
}

std::byte* SliceTransfer::landing(std::uint64_t chunk) {
  call_->touched[static_cast<std::size_t>(chunk)] = true;
  return memory(chunk).data();
}

bool SliceTransfer::arrived(Instant now, std::uint32_t from, Direction, std::uint64_t chunk, const std::byte* payload,
                            std::vector<Send>& out) {
  const std::span<std::byte> place = memory(chunk);
  const std::size_t part = part_of(chunk);
  const Digest128& wanted = call_->parts[part].digests[static_cast<std::size_t>(chunk - starts_[part])];
  const bool right = digest_slice({payload, place.size()}, kContentSeed) == wanted;
  if (right) {
    if (payload != place.data()) std::memcpy(landing(chunk), payload, place.size());
    call_->came[static_cast<std::size_t>(chunk)] = true;
    call_->bytes_from[from] += place.size();
    call_->bytes_came += place.size();
    swarm_.slice_came(now, from, chunk, words_);
  } else {
    call_->bad.push_back({.from = from, .slice = chunk});
    call_->bytes_again += place.size();
    swarm_.slice_bad(now, from, chunk, words_);
  }
  say(out);
  return right;
}

void SliceTransfer::ready(Instant now, std::uint32_t member, std::vector<Send>& out) {
  if (ready_[member]) return;
  ready_[member] = true;
  swarm_.peer_ready(now, member, words_);
  say(out);
}

Execution::Heard SliceTransfer::word_came(Instant now, std::uint32_t from, FrameKind kind, std::uint64_t chunk,
                                          std::uint64_t count, std::vector<Send>& out) {
  if (chunk >= chunks()) return Heard::impossible;
  // Its ready may come later, over another connection.
  ready(now, from, out);
  Heard heard = Heard::impossible;
  switch (kind) {
    case FrameKind::want:
    case FrameKind::wish: {
      const Swarm::Answer answer = swarm_.want_came(from, chunk, kind == FrameKind::wish, words_);
      if (answer != Swarm::Answer::impossible) heard = Heard::fine;
      if (answer == Swarm::Answer::send)
        out.push_back({.to = from, .direction = Direction::down, .chunk = chunk, .bytes = memory(chunk).size()});
      break;
    }
    case FrameKind::unwant: heard = swarm_.unwant_came(from, chunk) ? Heard::cancels : Heard::fine; break;
    case FrameKind::decline:
      if (swarm_.decline_came(now, from, chunk, words_)) heard = Heard::fine;
      break;
    case FrameKind::have:
      if (swarm_.have_came(now, from, chunk, count, words_)) heard = Heard::fine;
      break;
    default: break;
  }
  say(out);
  return heard;
}

void SliceTransfer::tick(Instant now, std::vector<Send>& out) {
  swarm_.tick(now, words_);
  say(out);
}

void SliceTransfer::say(std::vector<Send>& out) {
  for (const SwarmWord& word : words_)
    out.push_back({.to = word.to, .chunk = word.slice, .kind = frame_of(word.kind), .count = word.count});
  words_.clear();
}

/// Everybody else may say something.
std::vector<std::uint32_t> SliceTransfer::senders() const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < world_size_; ++rank)
    if (rank != rank_) ranks.push_back(rank);
  return ranks;
}

const std::string& SliceTransfer::plan_reason() const {
  static const std::string reason = "slices go to whoever asks for them";
  return reason;
}

}  // namespace hawser
