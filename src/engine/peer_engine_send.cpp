#include <algorithm>

#include "base/assert.hpp"
#include "engine/peer_engine_state.hpp"

/// What goes out: into the links' queues, and from there as frames.
namespace hawser {
namespace {

constexpr std::size_t kCompressedBytesMin = 4 << 10;

}  // namespace

void PeerEngine::State::send(const OpKey& key, Op& op, const std::vector<Execution::Send>& sends,
                             EngineActions& out) {
  if (sends.empty()) return;
  const View& view = machine_.view();
  std::vector<PeerId> woken;
  for (const auto& one : sends) {
    HAWSER_ASSERT(one.to < view.nodes());
    const PeerId to = view.members[one.to].id;
    Link* const link = find_link(to);
    HAWSER_ASSERT(link != nullptr);
    FrameHeader frame;
    frame.kind = one.kind;
    frame.direction = one.direction;
    frame.key = key;
    frame.signature = op.fingerprint;
    frame.chunk = one.chunk;
    frame.count = one.count;
    frame.payload_bytes = static_cast<std::uint32_t>(one.bytes);
    link->schedule.enqueue(frame);
    if (std::find(woken.begin(), woken.end(), to) == woken.end()) woken.push_back(to);
  }
  for (const PeerId to : woken) out.emplace_back(WakeLink{to});
}

void PeerEngine::State::tell_ready(const OpKey& key, Op& op, EngineActions& out) {
  op.tell_ready.reset();
  op.limit_announced = op.execution->send_limit();
  for (const std::uint32_t rank : op.execution->senders()) {
    HAWSER_ASSERT(rank < machine_.view().nodes());
    const PeerId to = machine_.view().members[rank].id;
    Link* const link = find_link(to);
    HAWSER_ASSERT(link != nullptr);
    send_ready(to, *link, key, op, out);
  }
}

void PeerEngine::State::send_ready(PeerId to, Link& link, const OpKey& key, const Op& op, EngineActions& out) {
  FrameHeader frame;
  frame.kind = FrameKind::ready;
  frame.key = key;
  frame.signature = op.fingerprint;
  frame.count = op.execution->send_limit();
  link.schedule.enqueue(frame);
  out.emplace_back(WakeLink{to});
}

std::optional<OutFrame> PeerEngine::State::next_frame(Instant now, LinkConnection connection, EngineActions& out) {
  Link* const link = find_link(connection.peer);
  if (!link) return std::nullopt;
  if (const auto waiting = link->preparing.find(connection.index); waiting == link->preparing.end()) {
    const auto frame = link->schedule.next(now, connection.index);
    if (!frame) {
      if (link->meter.queued_since() && !link->schedule.has_work() && !link->schedule.is_held_back())
        link->meter.drained(now);
      return std::nullopt;
    }
    wake_fetch(out);
    if (frame->kind != FrameKind::chunk) return OutFrame{.header = *frame, .payload = {}};
    if (is_prefetch(frame->key) && prefetch_server_.device_of(frame->chunk) == kOnHost) {
      if (link->metered) link->meter.gave(now);
      link->compression.handed(now, frame->payload_bytes, false);
      return OutFrame{.header = *frame, .payload = prefetch_server_.payload(frame->chunk)};
    }
    if (is_message(frame->key)) {
      if (link->metered) link->meter.gave(now);
      link->compression.handed(now, frame->payload_bytes, false);
      return OutFrame{.header = *frame, .payload = messages_.payload(connection.peer, *frame)};
    }
    link->preparing.emplace(connection.index, Preparing{.header = *frame});
    if (Op* const op = find_op(frame->key)) ++op->preparing;
  }
  Preparing& preparing = link->preparing.at(connection.index);
  Op* const op = find_op(preparing.header.key);
  HAWSER_ASSERT(op != nullptr || is_prefetch(preparing.header.key));
  const auto made = payload(*link, connection, op, preparing, out);
  if (!made) return std::nullopt;
  if (preparing.packed || preparing.fetched)
    link->schedule.keep(connection.index, preparing.packed ? preparing.packed : preparing.fetched);
  const OutFrame frame{.header = preparing.header, .payload = *made};
  const std::size_t plain_bytes = preparing.packed ? preparing.plain_bytes : made->size();
  stop_preparing(*link, connection.index);
  wake_fetch(out);
  if (link->metered) link->meter.gave(now);
  const bool may_compress = op != nullptr && op->compress;
  link->compression.handed(now, plain_bytes, may_compress && plain_bytes >= kCompressedBytesMin);
  if (op != nullptr) op->bytes_sent += frame.payload.size();
  return frame;
}

void PeerEngine::State::stop_preparing(Link& link, std::uint32_t index) {
  const auto found = link.preparing.find(index);
  if (found == link.preparing.end()) return;
  if (Op* const op = find_op(found->second.header.key)) --op->preparing;
  link.preparing.erase(found);
}

/// Forgets what of a collective, or of an offer, has not been handed out.
void PeerEngine::State::drop_frames(PeerId peer, Link& link, const OpKey& key, EngineActions& out) {
  for (const std::uint32_t index : link.schedule.drop(key)) {
    const auto waiting = link.preparing.find(index);
    if (waiting != link.preparing.end() && waiting->second.header.key == key) {
      link.schedule.take_back(index);
      stop_preparing(link, index);
    }
    out.emplace_back(ReleaseSend{{.peer = peer, .index = index}});
  }
}

/// The payload of a chunk on the host, as the execution or (without one) the offer has it; none while a work makes it.
std::optional<std::span<const std::byte>> PeerEngine::State::plain_payload(LinkConnection connection, Op* op,
                                                                           Preparing& preparing, EngineActions& out) {
  const FrameHeader& header = preparing.header;
  if (preparing.fetched) return std::span<const std::byte>(preparing.fetched.get(), header.payload_bytes);
  std::optional<std::span<const std::byte>> plain;
  std::int32_t device = kOnHost;
  if (op == nullptr) {
    plain = prefetch_server_.payload(header.chunk);
    device = prefetch_server_.device_of(header.chunk);
  } else {
    Execution::Output output;
    plain = op->execution->payload(header.direction, header.chunk, output);
    device = op->execution->device_of(header.chunk);
    perform(header.key, *op, output, out);
  }
  if (!plain) return std::nullopt;
  HAWSER_ASSERT(plain->size() == header.payload_bytes);
  if (device == kOnHost) return plain;
  fetch(connection, op, preparing, plain->data(), device, out);
  return std::nullopt;
}

/// The same as it travels. Compressed, its header says so.
std::optional<std::span<const std::byte>> PeerEngine::State::payload(Link& link, LinkConnection connection, Op* op,
                                                                     Preparing& preparing, EngineActions& out) {
  if (preparing.making != WorkToken{}) return std::nullopt;
  if (preparing.packed)
    return std::span<const std::byte>(preparing.packed.get(), preparing.header.payload_bytes);
  const FrameHeader& header = preparing.header;
  const auto plain = plain_payload(connection, op, preparing, out);
  if (!plain) return std::nullopt;
  if (op == nullptr || !op->compress || preparing.plain || plain->size() < kCompressedBytesMin ||
      !link.compression.worth_trying())
    return plain;
  StagingPool::Buffer buffer = pool_.take();
  const auto most =
      static_cast<std::size_t>(static_cast<double>(plain->size()) * CompressionChoice::kShareThatPays);
  Work work{.steps = {CompressPayload{.from = plain->data(),
                                      .bytes = plain->size(),
                                      .stride = op->execution->stride(header.chunk, plain->size()),
                                      .out = buffer.get(),
                                      .out_bytes_max = most}},
            .bytes = 2 * plain->size()};
  preparing.plain_bytes = plain->size();
  preparing.making = order(*op,
                           {.use = UnderWay::Use::compress,
                            .key = header.key,
                            .connection = connection,
                            .header = header,
                            .buffer = std::move(buffer),
                            .payload = {.bytes = plain->data(), .owner = preparing.fetched}},
                           std::move(work), out);
  return std::nullopt;
}

}  // namespace hawser
