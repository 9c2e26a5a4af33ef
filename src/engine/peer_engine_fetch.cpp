#include <utility>

#include "base/limits.hpp"
#include "engine/peer_engine_state.hpp"

/// Payloads that lie on devices: brought to the host when a connection is going to write them, and kept there until it
/// has. A payload that is written again is fetched again.
namespace hawser {
namespace {

/// Of 1 MiB at most. A connection has two of them: one is written, and the next one is made.
constexpr std::size_t kFetchedMost = 16;

}  // namespace

/// Room for a frame's payload on the host, which that device reads or writes.
StagingPool::Buffer PeerEngine::State::staging(std::int32_t device) {
  if (device == kOnHost || !config_.device_pool) return pool_.take();
  constexpr std::size_t kBytes = limits::kFramePayloadBytesMax;
  return {config_.device_pool->take(kBytes), BufferFree{.pool = config_.device_pool, .bytes = kBytes}};
}

/// Orders the work that fetches a payload, unless too many are on the host already: then the connection waits.
void PeerEngine::State::fetch(LinkConnection connection, Op* op, Preparing& preparing,
                              const std::byte* from, std::int32_t device, EngineActions& out) {
  if (*fetched_ >= kFetchedMost) {
    fetch_waits_.insert(connection);
    return;
  }
  auto room = staging(device);
  std::byte* const to = room.get();
  ++*fetched_;
  StagingPool::Buffer counted(to, [room = std::move(room), count = fetched_](std::byte*) mutable {
    --*count;
    room.reset();
  });
  const FrameHeader& header = preparing.header;
  Work work{.bytes = header.payload_bytes, .device = device};
  work.steps.emplace_back(CopyBytes{.from = from, .to = to, .bytes = header.payload_bytes});
  UnderWay under_way{.use = UnderWay::Use::fetch,
                     .key = header.key,
                     .connection = connection,
                     .header = header,
                     .buffer = std::move(counted),
                     .offer = op == nullptr ? offer_ : nullptr};
  preparing.making = op == nullptr ? order(std::move(under_way), std::move(work), out)
                                   : order(*op, std::move(under_way), std::move(work), out);
}

void PeerEngine::State::fetched(WorkToken token, const UnderWay& work, EngineActions& out) {
  Preparing* const preparing = find_preparing(token, work);
  if (preparing == nullptr) return;
  preparing->making = {};
  preparing->fetched = work.buffer;
  out.emplace_back(WakeLink{work.connection.peer, work.connection.index});
}

/// After a payload may have been freed. Who finds no room waits again; some of them may be gone.
void PeerEngine::State::wake_fetch(EngineActions& out) {
  if (*fetched_ >= kFetchedMost) return;
  for (const LinkConnection& one : fetch_waits_) out.emplace_back(WakeLink{one.peer, one.index});
  fetch_waits_.clear();
}

}  // namespace hawser
