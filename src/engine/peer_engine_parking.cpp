#include <algorithm>

#include "base/limits.hpp"
#include "engine/peer_engine_state.hpp"

/// Chunks of collectives that this peer has not called yet: kept aside within a bound, from their first byte on.
namespace hawser {
namespace {

/// A frame whose connection broke is sent again, and may be compressed then where it was not before.
bool same_chunk(const FrameHeader& a, const FrameHeader& b) {
  return a.key == b.key && a.direction == b.direction && a.chunk == b.chunk && a.signature == b.signature;
}

}  // namespace

Landing PeerEngine::State::park_begins(Instant now, PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                                       EngineActions& out) {
  const FrameHeader& header = receiving.header;
  if (header.key.epoch < link.newest) return {};
  if (link.newest < header.key.epoch) {
    link.newest = header.key.epoch;
    forget_parked_before(link, header.key.epoch);
  }
  if (const auto found = link.parked.find(header.key); found != link.parked.end())
    for (const Parked& parked : found->second)
      if (same_chunk(parked.header, header)) return {};
  // The sender may know that a connection broke before this peer does: a copy is no excess of its own.
  const bool copy = parking_twin(link, header) != nullptr;
  if ((copy ? link.copied_bytes : link.parked_bytes) + header.payload_bytes > limits::kEagerBytesMax ||
      link.parked_frames >= limits::kEagerFramesMax) {
    drop_connection(now, {.peer = peer, .index = index}, "it sent more than it may before this peer was ready", out);
    return {};
  }
  receiving.staging = pool_.take();
  count_parked(link, receiving, copy ? Receiving::Use::parked_copy : Receiving::Use::parked);
  return {receiving.staging.get()};
}

/// The frame on its way in that counts for this chunk.
PeerEngine::State::Receiving* PeerEngine::State::parking_twin(Link& link, const FrameHeader& header) {
  for (auto& [index, receiving] : link.receiving)
    if (receiving.use == Receiving::Use::parked && same_chunk(receiving.header, header)) return &receiving;
  return nullptr;
}

/// What a frame on its way in counts for from now on.
void PeerEngine::State::count_parked(Link& link, Receiving& receiving, Receiving::Use use) {
  const std::size_t bytes = receiving.header.payload_bytes;
  if (receiving.use == Receiving::Use::parked) {
    link.parked_bytes -= bytes;
    --link.parked_frames;
  }
  if (receiving.use == Receiving::Use::parked_copy) link.copied_bytes -= bytes;
  receiving.use = use;
  if (use == Receiving::Use::parked) {
    link.parked_bytes += bytes;
    ++link.parked_frames;
  }
  if (use == Receiving::Use::parked_copy) link.copied_bytes += bytes;
}

void PeerEngine::State::stop_parking(Link& link, Receiving& receiving) {
  if (receiving.use == Receiving::Use::parked || receiving.use == Receiving::Use::parked_copy)
    count_parked(link, receiving, Receiving::Use::discard);
}

/// A frame to be parked has come in whole, and counts on as long as it is kept.
void PeerEngine::State::park(Link& link, Receiving& receiving, std::uint32_t index) {
  const FrameHeader& header = receiving.header;
  auto& parked = link.parked[header.key];
  const bool repeated = std::any_of(parked.begin(), parked.end(),
                                    [&](const Parked& one) { return same_chunk(one.header, header); });
  if (repeated) return stop_parking(link, receiving);
  parked.push_back({.header = header,
                    .connection = index,
                    .payload = std::make_shared<const std::vector<std::byte>>(
                        receiving.staging.get(), receiving.staging.get() + header.payload_bytes)});
  if (receiving.use == Receiving::Use::parked_copy) {
    if (Receiving* const twin = parking_twin(link, header))
      count_parked(link, *twin, Receiving::Use::parked_copy);
    count_parked(link, receiving, Receiving::Use::parked);
  }
  receiving.use = Receiving::Use::discard;
}

void PeerEngine::State::deliver_parked(Instant now, const OpKey& key, EngineActions& out) {
  for (auto& [peer, link] : links_) {
    const auto found = link.parked.find(key);
    if (found == link.parked.end()) continue;
    const std::vector<Parked> frames = std::move(found->second);
    if (Op* const op = find_op(key); op && !frames.empty()) heard_from(now, *op, peer);
    link.parked.erase(found);
    for (const Parked& parked : frames) {
      link.parked_bytes -= parked.payload->size();
      --link.parked_frames;
    }
    for (const Parked& parked : frames) {
      if (Op* const op = find_op(key)) op->bytes_received += parked.payload->size();
      apply_chunk(now, {.peer = peer, .index = parked.connection}, parked.header,
                  {.bytes = parked.payload->data(), .owner = parked.payload}, out);
    }
  }
}

void PeerEngine::State::forget_parked_before(Link& link, Epoch epoch) {
  std::erase_if(link.parked, [&](const auto& entry) {
    if (entry.first.epoch >= epoch) return false;
    for (const Parked& parked : entry.second) {
      link.parked_bytes -= parked.payload->size();
      --link.parked_frames;
    }
    return true;
  });
}

}  // namespace hawser
