#include <algorithm>

#include "base/assert.hpp"
#include "engine/peer_engine_state.hpp"
#include "kernels/payload_codec.hpp"

/// What goes out: into the links' queues, and from there as frames.
namespace hawser {
namespace {

constexpr std::size_t kCompressedBytesMin = 4 << 10;

}  // namespace

void PeerEngine::State::send(const OpKey& key, Op& op, std::vector<Execution::Send>& sends,
                             EngineActions& out) {
  const View& view = machine_.view();
  std::vector<PeerId> woken;
  for (const auto& one : sends) {
    HAWSER_ASSERT(one.to < view.size());
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
  sends.clear();
}

void PeerEngine::State::tell_ready(const OpKey& key, Op& op, EngineActions& out) {
  op.tell_ready.reset();
  op.limit_told = op.execution->send_limit();
  for (const std::uint32_t rank : op.execution->senders()) {
    HAWSER_ASSERT(rank < machine_.view().size());
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

std::optional<OutFrame> PeerEngine::State::next_frame(Instant now, LinkConnection connection) {
  Link* const link = find_link(connection.peer);
  if (!link) return std::nullopt;
  const auto frame = link->schedule.next(now, connection.index);
  if (!frame) {
    if (link->meter.queued_since() && !link->schedule.has_work() && !link->schedule.is_held_back())
      link->meter.drained(now);
    return std::nullopt;
  }
  OutFrame made{.header = *frame, .payload = {}};
  if (frame->kind != FrameKind::chunk) return made;
  if (link->metered) link->meter.gave(now);
  if (is_prefetch(frame->key)) {
    made.payload = host_.payload(frame->chunk);
    link->compression.handed(now, frame->payload_bytes, false);
    return made;
  }
  Op* const op = find_op(frame->key);
  HAWSER_ASSERT(op != nullptr);
  made.payload = payload(*link, connection.index, *op, made.header);
  link->compression.handed(now, frame->payload_bytes, op->compress && frame->payload_bytes >= kCompressedBytesMin);
  op->bytes_sent += made.payload.size();
  return made;
}

/// The payload of a chunk as it travels. Compressed, its header says so.
std::span<const std::byte> PeerEngine::State::payload(Link& link, std::uint32_t index, Op& op,
                                                      FrameHeader& header) {
  std::span<const std::byte> plain;
  in_kernels(op, [&] { plain = op.execution->payload(header.direction, header.chunk); });
  HAWSER_ASSERT(plain.size() == header.payload_bytes);
  if (!op.compress || plain.size() < kCompressedBytesMin || !link.compression.worth_trying()) return plain;
  auto buffer = pool_.take();
  const auto most =
      static_cast<std::size_t>(static_cast<double>(plain.size()) * CompressionChoice::kShareThatPays);
  std::optional<std::size_t> bytes;
  in_kernels(op, [&] {
    bytes = compress_payload(plain, op.execution->stride(header.chunk, plain.size()), {buffer.get(), most});
  });
  if (!bytes) {
    pool_.give(std::move(buffer));
    link.compression.did_not_pay();
    return plain;
  }
  link.compression.paid();
  auto packed = std::make_shared<std::vector<std::byte>>(buffer.get(), buffer.get() + *bytes);
  pool_.give(std::move(buffer));
  header.compressed = true;
  header.payload_bytes = static_cast<std::uint32_t>(*bytes);
  const std::span<const std::byte> payload(*packed);
  link.schedule.keep(index, std::move(packed));
  return payload;
}

}  // namespace hawser
