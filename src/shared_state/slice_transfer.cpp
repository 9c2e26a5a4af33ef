#include "shared_state/slice_transfer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/content.hpp"
#include "shared_state/transfer_links.hpp"

namespace hawser {
namespace {

/// All are ascending.
std::vector<std::uint32_t> all_of(std::vector<std::uint32_t> ranks, const std::vector<std::uint32_t>& more) {
  const auto middle = static_cast<std::ptrdiff_t>(ranks.size());
  ranks.insert(ranks.end(), more.begin(), more.end());
  std::inplace_merge(ranks.begin(), ranks.begin() + middle, ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

/// As the swarm at this rank sees it: of members that it has links to.
std::vector<SwarmPart> shapes(const TransferCall& call, std::uint32_t rank, const std::vector<std::uint32_t>& linked) {
  const auto with_link = [&](std::vector<std::uint32_t> ranks) {
    std::erase_if(ranks, [&](std::uint32_t one) {
      return one != rank && !std::binary_search(linked.begin(), linked.end(), one);
    });
    return ranks;
  };
  std::vector<SwarmPart> parts;
  for (const TransferPart& part : call.parts)
    parts.push_back({.slices = slice_count(part.bytes),
                     .holders = with_link(part.holders),
                     .receivers = with_link(part.receivers)});
  return parts;
}

/// Slices that a device is to get wait on the host: fewer may be on their way at a time.
SwarmLimits swarm_limits(const TransferCall& call, std::uint32_t rank, std::size_t linked) {
  const auto arrives_on_device = [rank](const TransferPart& part) {
    return part.device != kOnHost && std::binary_search(part.receivers.begin(), part.receivers.end(), rank);
  };
  return std::any_of(call.parts.begin(), call.parts.end(), arrives_on_device) ? limits_on_device(linked)
                                                                              : SwarmLimits{};
}

FrameKind frame_of(SwarmMessage::Kind kind) {
  switch (kind) {
    case SwarmMessage::Kind::want: return FrameKind::want;
    case SwarmMessage::Kind::wish: return FrameKind::wish;
    case SwarmMessage::Kind::unwant: return FrameKind::unwant;
    case SwarmMessage::Kind::decline: return FrameKind::decline;
    case SwarmMessage::Kind::have: return FrameKind::have;
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

SliceTransfer::SliceTransfer(std::shared_ptr<TransferCall> call, std::uint32_t rank, std::uint32_t world_size,
                             const LinkLayout& links)
    : call_(std::move(call)),
      beside_(links_beside(links, world_size, rank, call_->parts)),
      linked_(all_of(links.neighbours(rank, world_size), beside_)),
      swarm_(rank, world_size, shapes(*call_, rank, linked_), call_->has, swarm_limits(*call_, rank, linked_.size())),
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

void SliceTransfer::start(Output&) {}

std::size_t SliceTransfer::part_of(std::uint64_t chunk) const {
  return static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), chunk) - starts_.begin()) - 1;
}

std::span<std::byte> SliceTransfer::memory(std::uint64_t chunk) const {
  const std::size_t part = part_of(chunk);
  const TransferPart& one = call_->parts[part];
  const std::uint64_t slice = chunk - starts_[part];
  return {one.data + slice * kDigestSliceBytes, static_cast<std::size_t>(slice_bytes(one.bytes, slice))};
}

std::optional<std::span<const std::byte>> SliceTransfer::payload(Direction, std::uint64_t chunk, Output&) {
  return memory(chunk);
}

void SliceTransfer::sent(std::uint32_t to, Direction, std::uint64_t chunk, Output&) { swarm_.served(to, chunk); }

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

std::byte* SliceTransfer::landing(std::uint64_t chunk, Output&) {
  // A copy that is being checked may lie there.
  if (checked_.contains(chunk) || device_of(chunk) != kOnHost) return nullptr;
  call_->touched[static_cast<std::size_t>(chunk)] = true;
  return memory(chunk).data();
}

void SliceTransfer::arrived(Instant, std::uint32_t from, Direction, std::uint64_t chunk, Payload payload, Output& out) {
  if (const auto found = checked_.find(chunk); found != checked_.end())
    found->second.copies.push_back({.from = from, .payload = std::move(payload)});
  else
    check(chunk, {{.from = from, .payload = std::move(payload)}}, out);
}

/// Orders the work that proves the first copy, and brings it to its place if that is elsewhere on the host.
void SliceTransfer::check(std::uint64_t chunk, std::vector<Arrival> copies, Output& out) {
  const std::span<std::byte> place = memory(chunk);
  const std::byte* const bytes = copies.front().payload.bytes;
  const std::size_t part = part_of(chunk);
  const Digest128& wanted = call_->parts[part].digests[static_cast<std::size_t>(chunk - starts_[part])];
  Work work{.steps = {CheckDigest{.bytes = bytes, .count = place.size(), .seed = kContentSeed, .wanted = wanted}},
            .bytes = place.size()};
  if (device_of(chunk) == kOnHost && bytes != place.data()) {
    call_->touched[static_cast<std::size_t>(chunk)] = true;
    work.steps.emplace_back(CopyBytes{.from = bytes, .to = place.data(), .bytes = place.size()});
  }
  checked_[chunk].copies = std::move(copies);
  out.works.push_back({.token = chunk, .work = std::move(work)});
}

void SliceTransfer::upload(std::uint64_t chunk, Checking& checking, Output& out) {
  const std::span<std::byte> place = memory(chunk);
  checking.uploading = true;
  call_->touched[static_cast<std::size_t>(chunk)] = true;
  Work work{.bytes = place.size(), .device = device_of(chunk)};
  work.steps.emplace_back(
      CopyBytes{.from = checking.copies.front().payload.bytes, .to = place.data(), .bytes = place.size()});
  out.works.push_back({.token = chunk, .work = std::move(work)});
}

std::optional<std::uint32_t> SliceTransfer::worked(Instant now, std::uint64_t chunk, const WorkResult& result,
                                                   Output& out) {
  if (Checking& checking = checked_.at(chunk);
      result.right && device_of(chunk) != kOnHost && !checking.uploading) {
    upload(chunk, checking, out);
    return std::nullopt;
  }
  std::vector<Arrival> copies = std::move(checked_.extract(chunk).mapped().copies);
  const std::uint32_t from = copies.front().from;
  const std::size_t bytes = memory(chunk).size();
  if (result.right) {
    call_->came[static_cast<std::size_t>(chunk)] = true;
    call_->bytes_from[from] += bytes;
    call_->bytes_came += bytes;
    call_->bytes_again += bytes * (copies.size() - 1);
    swarm_.slice_came(now, from, chunk, messages_);
    say(out);
    return std::nullopt;
  }
  call_->bad.push_back({.from = from, .slice = chunk});
  call_->bytes_again += bytes;
  swarm_.slice_bad(now, from, chunk, messages_);
  say(out);
  copies.erase(copies.begin());
  if (!copies.empty()) check(chunk, std::move(copies), out);
  return from;
}

void SliceTransfer::ready(Instant now, std::uint32_t member, Output& out) {
  if (ready_[member]) return;
  ready_[member] = true;
  swarm_.peer_ready(now, member, messages_);
  say(out);
}

Execution::Heard SliceTransfer::control_came(Instant now, std::uint32_t from, FrameKind kind, std::uint64_t chunk,
                                          std::uint64_t count, Output& out) {
  if (chunk >= chunks()) return Heard::impossible;
  // Its ready may come later, over another connection.
  ready(now, from, out);
  Heard heard = Heard::impossible;
  switch (kind) {
    case FrameKind::want:
    case FrameKind::wish: {
      const Swarm::Answer answer = swarm_.want_came(from, chunk, kind == FrameKind::wish, messages_);
      if (answer != Swarm::Answer::impossible) heard = Heard::fine;
      if (answer == Swarm::Answer::send)
        out.sends.push_back({.to = from, .direction = Direction::down, .chunk = chunk, .bytes = memory(chunk).size()});
      break;
    }
    case FrameKind::unwant: heard = swarm_.unwant_came(from, chunk) ? Heard::cancels : Heard::fine; break;
    case FrameKind::decline:
      if (swarm_.decline_came(now, from, chunk, messages_)) heard = Heard::fine;
      break;
    case FrameKind::have:
      if (swarm_.have_came(now, from, chunk, count, messages_)) heard = Heard::fine;
      break;
    default: break;
  }
  say(out);
  return heard;
}

void SliceTransfer::tick(Instant now, Output& out) {
  swarm_.tick(now, messages_);
  say(out);
}

void SliceTransfer::say(Output& out) {
  for (const SwarmMessage& message : messages_)
    out.sends.push_back(
        {.to = message.to, .chunk = message.slice, .kind = frame_of(message.kind), .count = message.count});
  messages_.clear();
}

const std::string& SliceTransfer::plan_reason() const {
  static const std::string reason = "slices go to whoever asks for them";
  return reason;
}

}  // namespace hawser
