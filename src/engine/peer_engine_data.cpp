#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "engine/peer_engine_state.hpp"

namespace hawser {
namespace {

constexpr std::size_t kStagingKept = 8;

/// Between hosts, where a ready frame takes long.
std::size_t eager_bytes(std::size_t members) {
  return std::clamp(limits::kEagerBytesOfAll / members, limits::kEagerBytesLeast, limits::kEagerBytesMax);
}

}  // namespace

StagingPool::Buffer StagingPool::take() {
  std::unique_ptr<std::byte[]> bytes;
  if (free_->empty()) {
    free_->reserve(kStagingKept);
    bytes.reset(new std::byte[limits::kFramePayloadBytesMax]);
  } else {
    bytes = std::move(free_->back());
    free_->pop_back();
  }
  // Owns the memory from here on, whether its own block can be had or not.
  return {bytes.release(), [free = free_](std::byte* memory) {
            std::unique_ptr<std::byte[]> back(memory);
            if (free->size() < kStagingKept) free->push_back(std::move(back));
          }};
}

PeerEngine::State::Op* PeerEngine::State::find_op(const OpKey& key) {
  const auto found = ops_.find(key);
  return found == ops_.end() ? nullptr : &found->second;
}

PeerEngine::State::Link* PeerEngine::State::find_link(PeerId peer) {
  const auto found = links_.find(peer);
  return found == links_.end() ? nullptr : &found->second;
}

bool PeerEngine::State::current(const OpKey& key) const { return key.view == machine_.view().id; }

/// Of a view that this peer has not been told of yet, or not called yet in the view in force.
bool PeerEngine::State::future(const OpKey& key) const {
  return current(key) ? !machine_.has_begun(key) : key.epoch > machine_.view().epoch;
}

void PeerEngine::State::begin_op(Instant now, const OpKey& key, EngineActions& out) {
  Op& op = *find_op(key);
  Execution::Output output;
  op.execution->start(output);
  std::size_t window = op.execution->up_window();
  // Compressed payloads are kept until they are there.
  if (op.compress) window = std::max<std::size_t>(1, config_.collective_memory_bytes / links_.size());
  for (auto& [peer, link] : links_) {
    const auto rank = machine_.view().rank_of(peer);
    if (!rank) continue;
    if (op.probing) link.schedule.keep_first_free(key);
    if (link.metered) {
      link.schedule.set_eager(eager_bytes(machine_.view().size()));
      link.schedule.set_sums_first(key);
    }
    if (window != 0) link.schedule.set_window(key, window, op.compress);
    set_pace(key, op, link, *rank);
    const auto early = link.early_ready.find(key);
    if (early == link.early_ready.end()) continue;
    link.schedule.set_ready(key, early->second);
    link.early_ready.erase(early);
    heard_from(now, op, peer);
    if (*rank < machine_.view().size()) op.execution->ready(now, *rank, output);
  }
  perform(key, op, output, out);
  if (op.tell_ready && *op.tell_ready <= now) tell_ready(key, op, out);
  deliver_parked(now, key, out);
  if (Op* const still = find_op(key); still && still->execution->complete() && !still->whole)
    result_whole(now, key, *still, out);
}

void PeerEngine::State::heard_from(Instant now, Op& op, PeerId peer) {
  if (op.not_heard.erase(peer) > 0 && op.not_heard.empty()) op.all_called = now;
}

void PeerEngine::State::release(const OpKey& key, EngineActions& out) {
  for (auto& [peer, link] : links_) {
    drop_frames(peer, link, key, out);
    for (auto& [index, receiving] : link.receiving) {
      if (receiving.header.key != key || receiving.header.kind != FrameKind::chunk) continue;
      if (receiving.use == Receiving::Use::placed_down)
        out.emplace_back(ReleaseReceive{{.peer = peer, .index = index}});
      stop_parking(link, receiving);
      receiving.use = Receiving::Use::discard;
    }
  }
}

Landing PeerEngine::State::frame_begins(Instant now, LinkConnection connection, const FrameHeader& header,
                                        EngineActions& out) {
  Link* const link = find_link(connection.peer);
  if (!link || !link->schedule.has_connection(connection.index)) return {};
  link->heard_at = now;
  Receiving& receiving = link->receiving[connection.index];
  stop_parking(*link, receiving);
  receiving = {.header = header};
  if (header.kind != FrameKind::chunk) {
    receiving.use = Receiving::Use::control;
    return {};
  }
  progressed(now, receiving);
  return chunk_begins(now, connection.peer, *link, receiving, connection.index, out);
}

Landing PeerEngine::State::chunk_begins(Instant now, PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                                        EngineActions& out) {
  const FrameHeader& header = receiving.header;
  if (is_prefetch(header.key)) {
    if (!guest_ || !guest_->expects(peer, header)) return {};
    receiving.use = Receiving::Use::prefetched;
    receiving.staging = staging(guest_->device_of(header));
    return {receiving.staging.get()};
  }
  if (is_message(header.key)) return message_begins(now, peer, link, receiving, index, out);
  if (future(header.key)) return park_begins(now, peer, link, receiving, index, out);
  Op* const op = find_op(header.key);
  // A collective that is over here, or one that the sender called otherwise, which the master will tell.
  if (!op || header.signature != op->fingerprint) return {};
  const auto verdict = judge(*op, peer, header);
  if (verdict == Execution::Verdict::repeated) return {};
  if (verdict == Execution::Verdict::impossible) {
    drop_connection(now, {.peer = peer, .index = index},
                    "it sent chunk " + std::to_string(header.chunk) + ", which is not its to send", out);
    return {};
  }
  op->bytes_received += header.payload_bytes;
  if (verdict == Execution::Verdict::discarded) return {};
  const auto stage = [&]() -> Landing {
    receiving.use = Receiving::Use::staged;
    receiving.staging = staging(header.compressed ? kOnHost : op->execution->device_of(header.chunk));
    return {receiving.staging.get()};
  };
  if (header.direction == Direction::up || header.compressed) return stage();
  // Two copies of one chunk may come in at once, after a break or from two members: only one of them goes
  // straight to its place.
  for (const auto& [from, one] : links_)
    for (const auto& [other, busy] : one.receiving)
      if ((from != peer || other != index) && busy.use == Receiving::Use::placed_down &&
          busy.header.key == header.key && busy.header.chunk == header.chunk)
        return stage();
  Execution::Output output;
  std::byte* const place = op->execution->landing(header.chunk, output);
  HAWSER_ASSERT(output.works.size() <= 1);
  const WorkToken saves = perform(header.key, *op, output, out);
  if (place == nullptr) return stage();
  receiving.use = Receiving::Use::placed_down;
  receiving.place = place;
  return {.into = place, .after = planted(PlantedFault::early_landing) ? WorkToken{} : saves};
}

Execution::Verdict PeerEngine::State::judge(const Op& op, PeerId from, const FrameHeader& header) const {
  const auto rank = machine_.view().rank_of(from);
  if (!rank || header.chunk >= op.execution->chunks()) return Execution::Verdict::impossible;
  if (*rank >= machine_.view().size() && !op.execution->uses_relays()) return Execution::Verdict::impossible;
  std::size_t bytes = header.payload_bytes;
  if (header.compressed) {
    bytes = op.execution->payload_bytes(*rank, header.direction, header.chunk);
    if (header.payload_bytes >= bytes) return Execution::Verdict::impossible;
  }
  return op.execution->judge(*rank, header.direction, header.chunk, bytes);
}

void PeerEngine::State::frame_moved(Instant now, LinkConnection connection, EngineActions& out) {
  Link* const link = find_link(connection.peer);
  if (!link) return;
  link->heard_at = now;
  const auto found = link->receiving.find(connection.index);
  if (found == link->receiving.end()) return;
  if (link->schedule.receiving(now, connection.index))
    out.emplace_back(WakeLink{connection.peer, connection.index});
  progressed(now, found->second);
}

void PeerEngine::State::progressed(Instant now, const Receiving& receiving) {
  if (receiving.use == Receiving::Use::control) return;
  if (Op* const op = find_op(receiving.header.key)) op->progress = std::max(op->progress, now);
}

void PeerEngine::State::frame_ends(Instant now, LinkConnection connection, bool intact, EngineActions& out) {
  Link* const link = find_link(connection.peer);
  if (!link || !link->schedule.has_connection(connection.index)) return;
  const auto found = link->receiving.find(connection.index);
  if (found == link->receiving.end()) return;
  Receiving receiving = std::move(found->second);
  link->receiving.erase(found);
  const FrameHeader& header = receiving.header;
  if (header.kind == FrameKind::acknowledge) {
    std::vector<OpKey> progressed;
    std::vector<FrameHeader> arrived;
    const std::uint64_t arrived_before = link->schedule.chunk_bytes_arrived();
    if (!link->schedule.acknowledged(connection.index, header.count, progressed, arrived))
      return drop_connection(now, connection, "it acknowledged frames that were never sent", out);
    for (const OpKey& key : progressed)
      if (Op* const op = find_op(key)) op->progress = std::max(op->progress, now);
    const std::uint64_t bytes = link->schedule.chunk_bytes_arrived() - arrived_before;
    for (const FrameHeader& chunk : arrived) chunk_arrived(now, connection.peer, chunk, out);
    if (bytes > 0) link->compression.acknowledged(now, bytes);
    if (bytes > 0 && link->metered) {
      link->meter.acknowledged(now, bytes);
      uplink_.moved(now, bytes, queued_since());
    }
    if (bytes > 0) prefetch_server_.uplink().moved(now, bytes);
    if (link->schedule.has_work()) out.emplace_back(WakeLink{connection.peer});
    return;
  }
  if (!intact) {
    stop_parking(*link, receiving);
    return drop_connection(now, connection, "a chunk came in damaged (wrong checksum)", out);
  }
  // Whether others have more to send is not known here.
  if (link->metered) downlink_.moved(now, header.payload_bytes, Instant{});
  if (link->schedule.received(now, connection.index, header.payload_bytes))
    out.emplace_back(WakeLink{connection.peer, connection.index});
  if (is_prefetch(header.key) && header.kind != FrameKind::chunk)
    prefetch_control(now, connection, header, out);
  else if (is_message(header.key) && header.kind != FrameKind::chunk)
    message_control(now, connection, header, out);
  else if (header.kind == FrameKind::ready)
    ready_came(now, *link, connection.peer, header, out);
  else if (header.kind == FrameKind::chunk)
    chunk_ends(now, connection, *link, receiving, out);
  else
    control_came(now, connection, *link, header, out);
}

void PeerEngine::State::chunk_ends(Instant now, LinkConnection connection, Link& link, Receiving& receiving,
                                   EngineActions& out) {
  const FrameHeader& header = receiving.header;
  switch (receiving.use) {
    case Receiving::Use::discard:
      if (Op* const op = find_op(header.key); op && op->probing) count_probe(connection.peer, header, *op);
      return;
    case Receiving::Use::control: return;
    case Receiving::Use::placed_down: return apply_chunk(now, connection, header, {.bytes = receiving.place}, out);
    case Receiving::Use::prefetched:
      return prefetch_chunk(now, connection.peer, header,
                            {.bytes = receiving.staging.get(), .owner = receiving.staging}, out);
    case Receiving::Use::message_placed: return message_chunk(now, connection.peer, header, nullptr, out);
    case Receiving::Use::message_staged:
      return message_chunk(now, connection.peer, header, receiving.staging.get(), out);
    case Receiving::Use::staged:
      return apply_chunk(now, connection, header, {.bytes = receiving.staging.get(), .owner = receiving.staging}, out);
    case Receiving::Use::parked:
    case Receiving::Use::parked_copy: break;
  }
  Op* const op = find_op(header.key);
  if (op == nullptr && future(header.key) && header.key.epoch >= link.newest)
    return park(link, receiving, connection.index);
  stop_parking(link, receiving);
  if (op == nullptr) return;
  op->bytes_received += header.payload_bytes;
  apply_chunk(now, connection, header, {.bytes = receiving.staging.get(), .owner = receiving.staging}, out);
}

/// A chunk has come in whole.
void PeerEngine::State::apply_chunk(Instant now, LinkConnection from, const FrameHeader& header, Payload payload,
                                    EngineActions& out) {
  Op* const op = find_op(header.key);
  if (!op || header.signature != op->fingerprint) return;
  // What was parked is judged here for the first time, and a copy may have overtaken the rest.
  if (judge(*op, from.peer, header) != Execution::Verdict::expected) return;
  op->progress = std::max(op->progress, now);
  heard_from(now, *op, from.peer);
  if (!header.compressed) return take_chunk(now, from, header, std::move(payload), *op, out);
  const std::uint32_t rank = *machine_.view().rank_of(from.peer);
  const std::size_t bytes = op->execution->payload_bytes(rank, header.direction, header.chunk);
  StagingPool::Buffer buffer = staging(op->execution->device_of(header.chunk));
  Work work{.steps = {DecompressPayload{.from = payload.bytes,
                                        .bytes = header.payload_bytes,
                                        .stride = op->execution->stride(header.chunk, bytes),
                                        .out = buffer.get(),
                                        .out_bytes = bytes}},
            .bytes = bytes + header.payload_bytes};
  const Link* const link = find_link(from.peer);
  const auto established = link->incarnations.find(from.index);
  order(*op,
        {.use = UnderWay::Use::decompress,
         .key = header.key,
         .connection = from,
         .incarnation = established == link->incarnations.end() ? 0 : established->second,
         .header = header,
         .buffer = std::move(buffer),
         .payload = std::move(payload)},
        std::move(work), out);
}

/// The same, and it is not compressed any more.
void PeerEngine::State::take_chunk(Instant now, LinkConnection from, const FrameHeader& header, Payload payload, Op& op,
                                   EngineActions& out) {
  const auto rank = machine_.view().rank_of(from.peer);
  if (!rank || judge(op, from.peer, header) != Execution::Verdict::expected) return;
  if (header.direction == Direction::down) release_copies(header, out);
  Execution::Output output;
  op.execution->arrived(now, *rank, header.direction, header.chunk, std::move(payload), output);
  perform(header.key, op, output, out);
  widen_limit(header.key, op, out);
  if (op.execution->complete() && !op.whole) result_whole(now, header.key, op, out);
}

/// Copies of a chunk that is being dealt with and that go straight to its place go nowhere from now on.
void PeerEngine::State::release_copies(const FrameHeader& header, EngineActions& out) {
  for (auto& [peer, link] : links_)
    for (auto& [index, receiving] : link.receiving) {
      if (receiving.use != Receiving::Use::placed_down || receiving.header.key != header.key ||
          receiving.header.chunk != header.chunk)
        continue;
      out.emplace_back(ReleaseReceive{{.peer = peer, .index = index}});
      receiving.use = Receiving::Use::discard;
    }
}

void PeerEngine::State::result_whole(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  op.whole = now;
  PeerActions actions;
  tell_measures(now, actions);
  machine_.result_whole(key, actions);
  follow(now, actions, out);
}

/// A neighbour has got a chunk whole.
void PeerEngine::State::chunk_arrived(Instant now, PeerId to, const FrameHeader& header, EngineActions& out) {
  if (is_message(header.key)) return message_arrived(now, to, header, out);
  if (is_prefetch(header.key)) {
    std::vector<PrefetchSend> sends;
    look_at_training();
    prefetch_server_.arrived(now, to, header, sends);
    return send_prefetch(now, sends, out);
  }
  Op* const op = find_op(header.key);
  const auto rank = machine_.view().rank_of(to);
  if (!op || !rank) return;
  Execution::Output output;
  op->execution->sent(*rank, header.direction, header.chunk, output);
  perform(header.key, *op, output, out);
  widen_limit(header.key, *op, out);
}

/// Tells how far the others may send once it has grown by enough to be worth a frame.
void PeerEngine::State::widen_limit(const OpKey& key, Op& op, EngineActions& out) {
  const std::uint64_t limit = op.execution->send_limit();
  if (op.tell_ready || limit == op.limit_announced) return;
  const bool last = limit >= op.execution->chunks();
  if (last || limit >= op.limit_announced + op.execution->limit_step()) tell_ready(key, op, out);
}

/// Control frames go to those who are ready, so there is nothing to keep for later.
void PeerEngine::State::control_came(Instant now, LinkConnection connection, Link& link, const FrameHeader& header,
                                  EngineActions& out) {
  Op* const op = find_op(header.key);
  const auto rank = machine_.view().rank_of(connection.peer);
  if (!op || op->fingerprint != header.signature || !rank || *rank >= machine_.view().size()) return;
  op->progress = std::max(op->progress, now);
  Execution::Output output;
  const Execution::Heard heard =
      op->execution->control_came(now, *rank, header.kind, header.chunk, header.count, output);
  if (heard == Execution::Heard::cancels) link.schedule.cancel(header.key, header.chunk);
  perform(header.key, *op, output, out);
  if (heard == Execution::Heard::impossible)
    return drop_connection(now, connection,
                           "it sent a control frame about chunk " + std::to_string(header.chunk) +
                               " that cannot be right",
                           out);
  if (op->probing) take_probes(now, header.key, *op, out);
  if (op->execution->complete() && !op->whole) result_whole(now, header.key, *op, out);
}

void PeerEngine::State::ready_came(Instant now, Link& link, PeerId from, const FrameHeader& header,
                                   EngineActions& out) {
  const auto rank = machine_.view().rank_of(from);
  if (Op* const op = find_op(header.key)) {
    if (op->fingerprint != header.signature || !rank) return;
    heard_from(now, *op, from);
    link.schedule.set_ready(header.key, header.count);
    out.emplace_back(WakeLink{from});
    if (*rank >= machine_.view().size()) return;
    Execution::Output output;
    op->execution->ready(now, *rank, output);
    perform(header.key, *op, output, out);
    return;
  }
  if (!future(header.key)) return;
  if (const auto found = link.early_ready.find(header.key); found != link.early_ready.end())
    found->second = std::max(found->second, header.count);
  else if (link.early_ready.size() < limits::kOpsInFlightMax)
    link.early_ready.emplace(header.key, header.count);
}

void PeerEngine::State::drop_connection(Instant now, LinkConnection connection, const std::string& reason,
                                        EngineActions& out) {
  const Member* const member = machine_.view().find(connection.peer);
  const std::string who = member ? member->name + " at " + to_string(member->address) : "a peer outside the view";
  out.emplace_back(LogEvent{LogLevel::warning, "connection-dropped",
                           "connection " + std::to_string(connection.index) + " to " + who +
                               " is closed and will be opened again: " + reason});
  const Link* const link = find_link(connection.peer);
  const auto established = link->incarnations.find(connection.index);
  const std::uint64_t incarnation = established == link->incarnations.end() ? 0 : established->second;
  forget_connection(now, connection, out);
  out.emplace_back(DropConnection{connection, incarnation, reason});
}

void PeerEngine::State::forget_connection(Instant now, LinkConnection connection, EngineActions& out) {
  Link& link = *find_link(connection.peer);
  if (const auto found = link.receiving.find(connection.index); found != link.receiving.end()) {
    stop_parking(link, found->second);
    link.receiving.erase(found);
  }
  stop_preparing(link, connection.index);
  link.schedule.connection_down(connection.index);
  link.incarnations.erase(connection.index);
  link.compression.interrupted();
  wake_fetch(out);
  if (!link.schedule.has_connection()) {
    link.way.is_down();
    machine_.link_changed(now, connection.peer, LinkChange::down);
  } else if (link.schedule.has_work()) {
    out.emplace_back(WakeLink{connection.peer});
  }
}

}  // namespace hawser
