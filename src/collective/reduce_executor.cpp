#include "collective/reduce_executor.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/planted_fault.hpp"
#include "kernels/reduce.hpp"

namespace hawser {

Result<std::unique_ptr<ReduceExecutor>> ReduceExecutor::create(Plan plan, const Call& call) {
  std::unique_ptr<ReduceExecutor> made(new ReduceExecutor(std::move(plan), call));
  if (call.send == call.receive) {
    const std::uint64_t bytes = made->plan_.chunking.elements * element_bytes(call.type);
    made->scratch_.reset(new (std::nothrow) std::byte[bytes]);
    if (!made->scratch_)
      return Error{Status::system, "there is no memory for the " + std::to_string(bytes) +
                                       " bytes that keep the input of an in-place all-reduce safe; reduce out "
                                       "of place, or a part at a time"};
  }
  return made;
}

ReduceExecutor::ReduceExecutor(Plan plan, const Call& call) : plan_(std::move(plan)), call_(call) {
  for (const Trees& trees : plan_.trees) {
    Role role;
    for (std::uint32_t rank = 0; rank < plan_.world_size; ++rank) {
      if (trees.reduce_parent[rank] == call_.rank) role.children_up.push_back(rank);
      if (trees.broadcast_parent[rank] == call_.rank) role.children_down.push_back(rank);
    }
    role.parent_up = trees.reduce_parent[call_.rank];
    role.parent_down = trees.broadcast_parent[call_.rank];
    roles_.push_back(std::move(role));
  }
  const auto chunks = static_cast<std::size_t>(plan_.chunking.chunks());
  chunks_.resize(chunks);
  for (std::size_t chunk = 0; chunk < chunks; ++chunk)
    chunks_[chunk].missing = static_cast<std::uint32_t>(role(chunk).children_up.size());
  heard_words_ = (plan_.world_size + 63) / 64;
  heard_.assign(chunks * heard_words_, 0);
}

std::size_t ReduceExecutor::byte_offset(std::uint64_t chunk) const {
  return static_cast<std::size_t>(plan_.chunking.offset(chunk) * element_bytes(call_.type));
}

std::size_t ReduceExecutor::byte_count(std::uint64_t chunk) const {
  return static_cast<std::size_t>(plan_.chunking.count(chunk) * element_bytes(call_.type));
}

bool ReduceExecutor::heard(std::uint32_t from, std::uint64_t chunk) const {
  return (heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] >> (from % 64) & 1) != 0;
}

void ReduceExecutor::start(std::vector<Send>& out) {
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const Role& mine = role(chunk);
    if (!mine.children_up.empty()) continue;
    out.push_back({.to = mine.parent_up,
                   .direction = Direction::up,
                   .chunk = chunk,
                   .payload = {call_.send + byte_offset(chunk), byte_count(chunk)}});
  }
}

ReduceExecutor::Verdict ReduceExecutor::judge(std::uint32_t from, const FrameHeader& header) const {
  if (header.chunk >= plan_.chunking.chunks() || header.payload_bytes != byte_count(header.chunk))
    return Verdict::impossible;
  const Role& mine = role(header.chunk);
  if (header.direction == Direction::up) {
    if (std::find(mine.children_up.begin(), mine.children_up.end(), from) == mine.children_up.end())
      return Verdict::impossible;
    if (planted(PlantedFault::double_counted_chunk) && chunks_[header.chunk].missing > 0)
      return Verdict::expected;
    return heard(from, header.chunk) ? Verdict::repeated : Verdict::expected;
  }
  if (from != mine.parent_down) return Verdict::impossible;
  // The result needs this rank's own partial sum, so it cannot come before the children's.
  if (chunks_[header.chunk].missing > 0) return Verdict::impossible;
  return chunks_[header.chunk].done ? Verdict::repeated : Verdict::expected;
}

void ReduceExecutor::save(std::uint64_t chunk) {
  ChunkState& state = chunks_[static_cast<std::size_t>(chunk)];
  if (!scratch_ || state.saved) return;
  std::memcpy(scratch_.get() + byte_offset(chunk), call_.send + byte_offset(chunk), byte_count(chunk));
  state.saved = true;
}

std::byte* ReduceExecutor::landing(std::uint64_t chunk) {
  save(chunk);
  return call_.receive + byte_offset(chunk);
}

void ReduceExecutor::arrived_up(std::uint32_t from, std::uint64_t chunk, const std::byte* payload,
                                std::vector<Send>& out) {
  ChunkState& state = chunks_[static_cast<std::size_t>(chunk)];
  HAWSER_ASSERT(state.missing > 0);
  heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] |= std::uint64_t{1} << (from % 64);
  --state.missing;
  std::byte* const sum = landing(chunk);
  const std::byte* const own = state.touched ? sum : call_.send + byte_offset(chunk);
  combine(call_.type, call_.op, sum, own, payload, plan_.chunking.count(chunk));
  state.touched = true;
  if (state.missing > 0) return;
  const Role& mine = role(chunk);
  if (mine.parent_up != kNoParent) {
    out.push_back({.to = mine.parent_up,
                   .direction = Direction::up,
                   .chunk = chunk,
                   .payload = {sum, byte_count(chunk)}});
    return;
  }
  finish(call_.type, call_.op, sum, plan_.chunking.count(chunk), plan_.world_size);
  send_down(chunk, out);
}

void ReduceExecutor::arrived_down(std::uint64_t chunk, std::vector<Send>& out) { send_down(chunk, out); }

void ReduceExecutor::send_down(std::uint64_t chunk, std::vector<Send>& out) {
  ChunkState& state = chunks_[static_cast<std::size_t>(chunk)];
  HAWSER_ASSERT(!state.done);
  state.done = true;
  ++done_chunks_;
  for (const std::uint32_t child : role(chunk).children_down)
    out.push_back({.to = child,
                   .direction = Direction::down,
                   .chunk = chunk,
                   .payload = {call_.receive + byte_offset(chunk), byte_count(chunk)}});
}

void ReduceExecutor::undo() {
  if (!scratch_) return;
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    ChunkState& state = chunks_[static_cast<std::size_t>(chunk)];
    if (!state.saved) continue;
    std::memcpy(call_.receive + byte_offset(chunk), scratch_.get() + byte_offset(chunk), byte_count(chunk));
    state.saved = false;
  }
}

std::vector<std::uint32_t> ReduceExecutor::waiting_for() const {
  std::vector<bool> wanted(plan_.world_size);
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const ChunkState& state = chunks_[static_cast<std::size_t>(chunk)];
    if (state.done) continue;
    const Role& mine = role(chunk);
    for (const std::uint32_t child : mine.children_up)
      if (!heard(child, chunk)) wanted[child] = true;
    if (state.missing == 0 && mine.parent_down != kNoParent) wanted[mine.parent_down] = true;
  }
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < plan_.world_size; ++rank)
    if (wanted[rank]) ranks.push_back(rank);
  return ranks;
}

std::vector<std::uint32_t> ReduceExecutor::senders() const {
  std::vector<bool> sends(plan_.world_size);
  for (const Role& mine : roles_) {
    for (const std::uint32_t child : mine.children_up) sends[child] = true;
    if (mine.parent_down != kNoParent) sends[mine.parent_down] = true;
  }
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < plan_.world_size; ++rank)
    if (sends[rank]) ranks.push_back(rank);
  return ranks;
}

}  // namespace hawser
