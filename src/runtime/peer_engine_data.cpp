#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "runtime/peer_engine_state.hpp"

namespace hawser {
namespace {

constexpr std::size_t kStagingKept = 8;

}  // namespace

StagingPool::Buffer StagingPool::take() {
  if (free_.empty()) return Buffer(new std::byte[limits::kFramePayloadBytesMax]);
  Buffer buffer = std::move(free_.back());
  free_.pop_back();
  return buffer;
}

void StagingPool::give(Buffer buffer) {
  if (buffer && free_.size() < kStagingKept) free_.push_back(std::move(buffer));
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
  std::vector<ReduceExecutor::Send> sends;
  op.executor->start(sends);
  for (auto& [peer, link] : links_)
    if (link.early_ready.erase(key) > 0) link.schedule.set_ready(key);
  send(key, op, sends, out);
  if (op.tell_ready && *op.tell_ready <= now) tell_ready(key, op, out);
  deliver_parked(now, key, out);
}

void PeerEngine::State::send(const OpKey& key, Op& op, std::vector<ReduceExecutor::Send>& sends,
                             EngineActions& out) {
  const View& view = machine_.view();
  std::vector<PeerId> woken;
  for (const auto& one : sends) {
    HAWSER_ASSERT(one.to < view.size());
    const PeerId to = view.members[one.to].id;
    Link* const link = find_link(to);
    HAWSER_ASSERT(link != nullptr);
    LinkSchedule::Frame frame;
    frame.header.kind = FrameKind::chunk;
    frame.header.direction = one.direction;
    frame.header.key = key;
    frame.header.signature = op.fingerprint;
    frame.header.chunk = one.chunk;
    frame.header.payload_bytes = static_cast<std::uint32_t>(one.payload.size());
    frame.payload = one.payload;
    link->schedule.enqueue(frame);
    if (std::find(woken.begin(), woken.end(), to) == woken.end()) woken.push_back(to);
  }
  for (const PeerId to : woken) out.emplace_back(WakeLink{to});
  sends.clear();
}

void PeerEngine::State::tell_ready(const OpKey& key, Op& op, EngineActions& out) {
  op.tell_ready.reset();
  for (const std::uint32_t rank : op.executor->senders()) {
    HAWSER_ASSERT(rank < machine_.view().size());
    const PeerId to = machine_.view().members[rank].id;
    Link* const link = find_link(to);
    HAWSER_ASSERT(link != nullptr);
    send_ready(to, *link, key, op, out);
  }
}

void PeerEngine::State::send_ready(PeerId to, Link& link, const OpKey& key, const Op& op, EngineActions& out) {
  LinkSchedule::Frame frame;
  frame.header.kind = FrameKind::ready;
  frame.header.key = key;
  frame.header.signature = op.fingerprint;
  link.schedule.enqueue(frame);
  out.emplace_back(WakeLink{to});
}

void PeerEngine::State::release(const OpKey& key, EngineActions& out) {
  for (auto& [peer, link] : links_) {
    for (const std::uint32_t index : link.schedule.drop(key))
      out.emplace_back(ReleaseSend{{.peer = peer, .index = index}});
    for (auto& [index, receiving] : link.receiving) {
      if (receiving.header.key != key || receiving.header.kind != FrameKind::chunk) continue;
      if (receiving.use == Receiving::Use::placed_down)
        out.emplace_back(ReleaseReceive{{.peer = peer, .index = index}});
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
  receiving = {.header = header, .use = Receiving::Use::discard, .staging = nullptr};
  if (header.kind != FrameKind::chunk) {
    receiving.use = Receiving::Use::control;
    return {};
  }
  progressed(now, receiving);
  return chunk_begins(connection.peer, *link, receiving, connection.index, out);
}

Landing PeerEngine::State::chunk_begins(PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                                        EngineActions& out) {
  const FrameHeader& header = receiving.header;
  if (future(header.key)) return park_begins(peer, link, receiving, index, out);
  Op* const op = find_op(header.key);
  // A collective that is over here, or one that the sender called otherwise, which the master will tell.
  if (!op || header.signature != op->fingerprint) return {};
  const auto rank = machine_.view().rank_of(peer);
  const auto verdict =
      rank ? op->executor->judge(*rank, header) : ReduceExecutor::Verdict::impossible;
  if (verdict == ReduceExecutor::Verdict::repeated) return {};
  if (verdict == ReduceExecutor::Verdict::impossible) {
    drop_connection({.peer = peer, .index = index},
                    "it sent chunk " + std::to_string(header.chunk) + ", which is not its to send", out);
    return {};
  }
  op->bytes_received += header.payload_bytes;
  if (header.direction == Direction::up) {
    receiving.use = Receiving::Use::staged_up;
    receiving.staging = pool_.take();
    return {receiving.staging.get()};
  }
  // Two copies of one chunk may come in at once after a break: only one of them goes straight to its place.
  for (const auto& [other, busy] : link.receiving) {
    if (other == index || busy.use != Receiving::Use::placed_down || busy.header.key != header.key ||
        busy.header.chunk != header.chunk)
      continue;
    receiving.use = Receiving::Use::staged_down;
    receiving.staging = pool_.take();
    return {receiving.staging.get()};
  }
  receiving.use = Receiving::Use::placed_down;
  return {op->executor->landing(header.chunk)};
}

Landing PeerEngine::State::park_begins(PeerId peer, Link& link, Receiving& receiving, std::uint32_t index,
                                       EngineActions& out) {
  const FrameHeader& header = receiving.header;
  if (header.key.epoch < link.newest) return {};
  if (link.newest < header.key.epoch) {
    link.newest = header.key.epoch;
    forget_parked_before(link, header.key.epoch);
  }
  if (const auto found = link.parked.find(header.key); found != link.parked.end())
    for (const Parked& parked : found->second)
      if (parked.header == header) return {};
  if (link.parked_bytes + header.payload_bytes > limits::kEagerBytesMax ||
      link.parked_frames >= limits::kEagerFramesMax) {
    drop_connection({.peer = peer, .index = index}, "it sent more than it may before this peer was ready", out);
    return {};
  }
  receiving.use = Receiving::Use::parked;
  receiving.staging = pool_.take();
  return {receiving.staging.get()};
}

void PeerEngine::State::frame_moved(Instant now, LinkConnection connection, EngineActions& out) {
  Link* const link = find_link(connection.peer);
  if (!link) return;
  link->heard_at = now;
  const auto found = link->receiving.find(connection.index);
  if (found == link->receiving.end()) return;
  if (link->schedule.receiving(now, connection.index)) out.emplace_back(WakeLink{connection.peer});
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
    if (!link->schedule.acknowledged(connection.index, header.count, progressed))
      return drop_connection(connection, "it acknowledged frames that were never sent", out);
    for (const OpKey& key : progressed)
      if (Op* const op = find_op(key)) op->progress = std::max(op->progress, now);
    return;
  }
  if (!intact) {
    pool_.give(std::move(receiving.staging));
    return drop_connection(connection, "a chunk came in damaged (wrong checksum)", out);
  }
  if (link->schedule.received(now, connection.index, header.payload_bytes))
    out.emplace_back(WakeLink{connection.peer});
  if (header.kind == FrameKind::ready)
    ready_came(*link, connection.peer, header, out);
  else
    chunk_ends(now, connection, *link, receiving, out);
  pool_.give(std::move(receiving.staging));
}

void PeerEngine::State::chunk_ends(Instant now, LinkConnection connection, Link& link, Receiving& receiving,
                                   EngineActions& out) {
  const FrameHeader& header = receiving.header;
  switch (receiving.use) {
    case Receiving::Use::discard:
    case Receiving::Use::control: return;
    case Receiving::Use::placed_down:
      return apply_chunk(now, connection.peer, header, nullptr, true, out);
    case Receiving::Use::staged_up:
    case Receiving::Use::staged_down:
      return apply_chunk(now, connection.peer, header, receiving.staging.get(), false, out);
    case Receiving::Use::parked: break;
  }
  if (find_op(header.key)) return apply_chunk(now, connection.peer, header, receiving.staging.get(), false, out);
  if (!future(header.key) || header.key.epoch < link.newest) return;
  auto& parked = link.parked[header.key];
  const bool repeated =
      std::any_of(parked.begin(), parked.end(), [&](const Parked& one) { return one.header == header; });
  if (repeated) return;
  link.parked_bytes += header.payload_bytes;
  ++link.parked_frames;
  parked.push_back({.header = header,
                    .payload = {receiving.staging.get(), receiving.staging.get() + header.payload_bytes}});
}

void PeerEngine::State::deliver_parked(Instant now, const OpKey& key, EngineActions& out) {
  for (auto& [peer, link] : links_) {
    const auto found = link.parked.find(key);
    if (found == link.parked.end()) continue;
    const std::vector<Parked> frames = std::move(found->second);
    link.parked.erase(found);
    for (const Parked& parked : frames) {
      link.parked_bytes -= parked.payload.size();
      --link.parked_frames;
    }
    for (const Parked& parked : frames) apply_chunk(now, peer, parked.header, parked.payload.data(), false, out);
  }
}

void PeerEngine::State::apply_chunk(Instant now, PeerId from, const FrameHeader& header,
                                    const std::byte* payload, bool in_place, EngineActions& out) {
  Op* const op = find_op(header.key);
  if (!op || header.signature != op->fingerprint) return;
  const auto rank = machine_.view().rank_of(from);
  // What was parked is judged here for the first time, and a copy may have overtaken the rest.
  if (!rank || op->executor->judge(*rank, header) != ReduceExecutor::Verdict::expected) return;
  op->progress = std::max(op->progress, now);
  std::vector<ReduceExecutor::Send> sends;
  if (header.direction == Direction::up) {
    op->executor->arrived_up(*rank, header.chunk, payload, sends);
  } else {
    if (!in_place) std::memcpy(op->executor->landing(header.chunk), payload, header.payload_bytes);
    for (auto& [index, receiving] : find_link(from)->receiving) {
      if (receiving.use != Receiving::Use::placed_down || receiving.header.key != header.key ||
          receiving.header.chunk != header.chunk)
        continue;
      out.emplace_back(ReleaseReceive{{.peer = from, .index = index}});
      receiving.use = Receiving::Use::discard;
    }
    op->executor->arrived_down(header.chunk, sends);
  }
  send(header.key, *op, sends, out);
  if (!op->executor->complete() || op->whole) return;
  op->whole = now;
  PeerActions actions;
  machine_.result_whole(header.key, actions);
  follow(now, actions, out);
}

void PeerEngine::State::ready_came(Link& link, PeerId from, const FrameHeader& header, EngineActions& out) {
  if (const Op* const op = find_op(header.key)) {
    if (op->fingerprint != header.signature) return;
    link.schedule.set_ready(header.key);
    out.emplace_back(WakeLink{from});
    return;
  }
  if (!future(header.key)) return;
  if (link.early_ready.size() < limits::kOpsInFlightMax) link.early_ready.insert(header.key);
}

void PeerEngine::State::drop_connection(LinkConnection connection, const std::string& reason,
                                        EngineActions& out) {
  const Member* const member = machine_.view().find(connection.peer);
  const std::string who = member ? member->name + " (" + to_string(member->address) + ")" : "a peer";
  out.emplace_back(LogEvent{LogLevel::warning, "connection-dropped",
                            "closed a connection to " + who + ": " + reason + "; it will be opened again"});
  forget_connection(connection, out);
  out.emplace_back(DropConnection{connection, reason});
}

void PeerEngine::State::forget_connection(LinkConnection connection, EngineActions& out) {
  Link& link = *find_link(connection.peer);
  if (const auto found = link.receiving.find(connection.index); found != link.receiving.end()) {
    pool_.give(std::move(found->second.staging));
    link.receiving.erase(found);
  }
  link.schedule.connection_down(connection.index);
  if (link.schedule.has_work() && link.schedule.has_connection())
    out.emplace_back(WakeLink{connection.peer});
}

void PeerEngine::State::forget_parked_before(Link& link, Epoch epoch) {
  std::erase_if(link.parked, [&](const auto& entry) {
    if (entry.first.epoch >= epoch) return false;
    for (const Parked& parked : entry.second) {
      link.parked_bytes -= parked.payload.size();
      --link.parked_frames;
    }
    return true;
  });
}

std::optional<OutFrame> PeerEngine::State::next_frame(Instant now, LinkConnection connection) {
  Link* const link = find_link(connection.peer);
  if (!link) return std::nullopt;
  const auto frame = link->schedule.next(now, connection.index);
  if (!frame) return std::nullopt;
  if (frame->header.kind == FrameKind::chunk)
    if (Op* const op = find_op(frame->header.key)) op->bytes_sent += frame->payload.size();
  return OutFrame{.header = frame->header, .payload = frame->payload};
}

}  // namespace hawser
