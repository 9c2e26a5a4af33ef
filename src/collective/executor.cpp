#include "collective/executor.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "base/random.hpp"
#include "kernels/quantize.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

/// More than an honest neighbour can make us take: the window and what is sent before it is known.
constexpr std::size_t kTakenBytesMax = 32 << 20;

}  // namespace

Result<std::unique_ptr<Executor>> Executor::create(Plan plan, const CollectiveCall& call,
                                                   const std::shared_ptr<ScratchKeeper>& keeper) {
  std::unique_ptr<Executor> made(new Executor(std::move(plan), call));
  if (const auto scratch = made->memory_.make_scratch(keeper); !scratch.ok()) return scratch.error();
  return made;
}

Executor::Executor(Plan plan, const CollectiveCall& call)
    : plan_(std::move(plan)), memory_(call, plan_.chunking) {
  for (const Trees& trees : plan_.trees) {
    Role mine;
    for (std::uint32_t rank = 0; rank < plan_.world_size; ++rank) {
      if (plan_.climbs() && trees.reduce_parent[rank] == call.rank) {
        mine.children_up.push_back(rank);
        mine.child_is_leaf.push_back(std::find(trees.reduce_parent.begin(), trees.reduce_parent.end(), rank) ==
                                     trees.reduce_parent.end());
      }
      if (plan_.descends() && trees.broadcast_parent[rank] == call.rank) mine.children_down.push_back(rank);
    }
    if (plan_.climbs()) mine.parent_up = trees.reduce_parent[call.rank];
    if (plan_.descends()) mine.parent_down = trees.broadcast_parent[call.rank];
    roles_.push_back(std::move(mine));
  }
  const auto chunks = static_cast<std::size_t>(plan_.chunking.chunks());
  chunks_.resize(chunks);
  heard_words_ = (plan_.world_size + 63) / 64;
  heard_.assign(chunks * heard_words_, 0);
  window_ = std::max<std::uint64_t>(
      1, call.memory_bytes / 2 / std::max<std::size_t>(1, memory_.accumulator_bytes_max()));
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
    ChunkState& one = chunks_[chunk];
    one.missing = static_cast<std::uint32_t>(role(chunk).children_up.size());
    one.unsent_down = static_cast<std::uint32_t>(role(chunk).children_down.size());
    one.released = !lingers(chunk);
    limited_ = limited_ || lingers(chunk);
    if (part_of_result(chunk)) ++result_chunks_;
  }
  plan_bytes();
  widen_limit();
}

/// Whether accumulators of their own may have to wait for others.
bool Executor::lingers(std::uint64_t chunk) const {
  const Role& mine = role(chunk);
  if (mine.children_up.empty() || (!memory_.wide() && memory_.place(chunk) != nullptr)) return false;
  return mine.parent_up != kNoParent || mine.children_up.size() > 1;
}

bool Executor::part_of_result(std::uint64_t chunk) const { return memory_.place(chunk) != nullptr; }

void Executor::widen_limit() {
  for (; limit_ < plan_.chunking.chunks() && (in_window_ < window_ || !lingers(limit_)); ++limit_)
    if (!state(limit_).released) ++in_window_;
}

std::size_t Executor::up_window() const {
  if (!memory_.quantization()) return 0;
  std::set<std::uint32_t> parents;
  for (const Role& mine : roles_)
    if (mine.parent_up != kNoParent) parents.insert(mine.parent_up);
  const std::size_t all = memory_.call().memory_bytes / (limited_ ? 2 : 1);
  return std::max<std::size_t>(1, all / std::max<std::size_t>(1, parents.size()));
}

void Executor::plan_bytes() {
  // All chunks of a pair of trees are equal but the last.
  std::vector<std::uint64_t> chunks_of_tree(roles_.size());
  std::vector<std::uint64_t> one_of_tree(roles_.size());
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const std::size_t tree = plan_.tree_index(chunk);
    if (chunks_of_tree[tree]++ == 0) one_of_tree[tree] = chunk;
  }
  planned_bytes_.resize(plan_.world_size);
  const std::uint32_t rank = memory_.call().rank;
  for (std::size_t tree = 0; tree < roles_.size(); ++tree) {
    if (chunks_of_tree[tree] == 0) continue;
    const Role& mine = roles_[tree];
    if (mine.parent_up != kNoParent)
      planned_bytes_[mine.parent_up] += chunks_of_tree[tree] * payload_bytes(rank, Direction::up, one_of_tree[tree]);
    for (const std::uint32_t child : mine.children_down)
      planned_bytes_[child] += chunks_of_tree[tree] * payload_bytes(rank, Direction::down, one_of_tree[tree]);
  }
}

bool Executor::heard(std::uint32_t from, std::uint64_t chunk) const {
  return (heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] >> (from % 64) & 1) != 0;
}

void Executor::start(std::vector<Send>& out) {
  const std::uint32_t rank = memory_.call().rank;
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const Role& mine = role(chunk);
    if (plan_.climbs()) {
      if (!mine.children_up.empty()) continue;
      out.push_back({.to = mine.parent_up,
                     .direction = Direction::up,
                     .chunk = chunk,
                     .bytes = payload_bytes(rank, Direction::up, chunk)});
    } else if (mine.parent_down == kNoParent) {
      std::byte* const place = memory_.place(chunk);
      if (place != memory_.own(chunk)) std::memcpy(place, memory_.own(chunk), memory_.value_bytes(chunk));
      send_down(chunk, out);
    }
  }
}

std::size_t Executor::payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const {
  if (memory_.quantization()) return memory_.quantized_bytes(chunk);
  if (direction == Direction::down || !memory_.wide()) return memory_.value_bytes(chunk);
  const Role& mine = role(chunk);
  if (from == memory_.call().rank)
    return mine.children_up.empty() ? memory_.value_bytes(chunk) : memory_.accumulator_bytes(chunk);
  for (std::size_t child = 0; child < mine.children_up.size(); ++child)
    if (mine.children_up[child] == from && !mine.child_is_leaf[child]) return memory_.accumulator_bytes(chunk);
  return memory_.value_bytes(chunk);
}

Executor::Verdict Executor::judge(std::uint32_t from, Direction direction, std::uint64_t chunk,
                                  std::size_t bytes) const {
  if (chunk >= plan_.chunking.chunks() || bytes != payload_bytes(from, direction, chunk))
    return Verdict::impossible;
  const Role& mine = role(chunk);
  if (direction == Direction::up) {
    if (std::find(mine.children_up.begin(), mine.children_up.end(), from) == mine.children_up.end())
      return Verdict::impossible;
    if (planted(PlantedFault::double_counted_chunk) && state(chunk).missing > 0) return Verdict::expected;
    if (heard(from, chunk)) return Verdict::repeated;
    const bool too_many = lingers(chunk) && !state(chunk).accumulators && chunk >= limit_ &&
                          accumulators_taken_ * memory_.accumulator_bytes_max() >= kTakenBytesMax;
    return too_many ? Verdict::impossible : Verdict::expected;
  }
  if (from != mine.parent_down) return Verdict::impossible;
  // The result needs this rank's own partial sum, so it cannot come before the children's.
  if (state(chunk).missing > 0) return Verdict::impossible;
  return state(chunk).done ? Verdict::repeated : Verdict::expected;
}

std::byte* Executor::landing(std::uint64_t chunk) {
  if (memory_.quantization()) return nullptr;
  memory_.save(chunk);
  return memory_.place(chunk);
}

std::byte* Executor::accumulators(std::uint64_t chunk) {
  if (!memory_.wide() && memory_.place(chunk) != nullptr) {
    memory_.save(chunk);
    return memory_.place(chunk);
  }
  ChunkState& one = state(chunk);
  if (!one.accumulators) {
    one.accumulators = memory_.take();
    ++accumulators_taken_;
  }
  return one.accumulators.get();
}

/// The own contribution and what earlier calls owe, as accumulators.
void Executor::add_own(std::uint64_t chunk, std::byte* sum) {
  const DataType type = memory_.signature().type;
  if (const std::byte* const residual = memory_.residual(chunk))
    add_residual(type, sum, memory_.own(chunk), residual, memory_.count(chunk));
  else
    widen_float(type, sum, memory_.own(chunk), memory_.count(chunk));
}

void Executor::combine_with(std::uint64_t chunk, std::byte* sum, const std::byte* payload, bool values) {
  const DataType type = memory_.signature().type;
  const ReduceOp op = memory_.signature().op;
  const std::uint64_t count = memory_.count(chunk);
  const bool touched = state(chunk).touched;
  if (memory_.quantization()) {
    if (!touched && (memory_.wide() || memory_.residual(chunk) != nullptr)) add_own(chunk, sum);
    const bool in_sum = touched || memory_.wide() || memory_.residual(chunk) != nullptr;
    dequantize_combine(memory_.quantization(), type, op, sum, in_sum ? sum : memory_.own(chunk), payload, count);
  } else if (!touched) {
    if (values)
      combine_values(type, op, sum, memory_.own(chunk), payload, count);
    else
      combine_value(type, op, sum, payload, memory_.own(chunk), count);
  } else if (values) {
    combine_value(type, op, sum, sum, payload, count);
  } else {
    combine(type, op, sum, sum, payload, count);
  }
  state(chunk).touched = true;
}

bool Executor::arrived(Instant, std::uint32_t from, Direction direction, std::uint64_t chunk,
                       const std::byte* payload, std::vector<Send>& out) {
  if (direction == Direction::up)
    arrived_up(from, chunk, payload, out);
  else
    arrived_down(chunk, payload, out);
  return true;
}

/// A partial sum.
void Executor::arrived_up(std::uint32_t from, std::uint64_t chunk, const std::byte* payload,
                          std::vector<Send>& out) {
  ChunkState& one = state(chunk);
  const Role& mine = role(chunk);
  HAWSER_ASSERT(one.missing > 0);
  heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] |= std::uint64_t{1} << (from % 64);
  --one.missing;
  const auto child = std::find(mine.children_up.begin(), mine.children_up.end(), from);
  HAWSER_ASSERT(child != mine.children_up.end());
  combine_with(chunk, accumulators(chunk), payload,
               !memory_.wide() || mine.child_is_leaf[static_cast<std::size_t>(child - mine.children_up.begin())]);
  if (one.missing > 0) return;
  if (mine.parent_up == kNoParent) return finish_at_root(chunk, out);
  out.push_back({.to = mine.parent_up,
                 .direction = Direction::up,
                 .chunk = chunk,
                 .bytes = payload_bytes(memory_.call().rank, Direction::up, chunk)});
}

void Executor::finish_at_root(std::uint64_t chunk, std::vector<Send>& out) {
  const Signature& signature = memory_.signature();
  const std::uint64_t count = memory_.count(chunk);
  std::byte* const sum = accumulators(chunk);
  std::byte* const place = memory_.place(chunk);
  HAWSER_ASSERT(place != nullptr);
  memory_.save(chunk);
  if (!memory_.quantization()) {
    finish(signature.type, signature.op, sum, count, plan_.world_size);
    narrow(signature.type, signature.op, place, sum, count);
  } else {
    const DataType type = working_type(signature.type);
    finish(type, signature.op, sum, count, plan_.world_size);
    if (plan_.descends()) {
      quantize_up(chunk);
      CallMemory::Buffer quantized = std::move(state(chunk).made);
      keep_quantized(chunk, {quantized.get(), memory_.quantized_bytes(chunk)});
      memory_.give(std::move(quantized));
    } else {
      narrow_float(signature.type, place, sum, count);
    }
  }
  release(chunk);
  send_down(chunk, out);
}

/// Makes the payload of a quantised chunk from the sum so far, or at a leaf from the own contribution. Each
/// chunk is quantised once at each rank, so the error of that is all that error feedback has to keep.
void Executor::quantize_up(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  const DataType type = memory_.signature().type;
  const std::uint64_t count = memory_.count(chunk);
  const bool at_leaf = role(chunk).children_up.empty();
  const bool at_root = role(chunk).parent_up == kNoParent;
  const std::byte* values = nullptr;
  if (!at_leaf) {
    values = accumulators(chunk);
  } else if (memory_.wide() || memory_.residual(chunk) != nullptr) {
    add_own(chunk, memory_.first_temporary());
    values = memory_.first_temporary();
  } else {
    values = memory_.own(chunk);
  }
  std::byte* const next_residual = memory_.next_residual(chunk);
  std::byte* const decoded = next_residual == nullptr ? nullptr : memory_.second_temporary();
  one.made = memory_.take();
  const std::uint64_t seed = Random(memory_.call().seed ^ Random(chunk).next()).next();
  quantize(memory_.quantization(), type, values, count, seed, one.made.get(), decoded);
  if (next_residual == nullptr) return;
  // What the root rounds away is missing from an average, so it is that much times more in a contribution.
  const double scale = at_root && memory_.signature().op == ReduceOp::avg ? plan_.world_size : 1;
  difference(type, next_residual, values, decoded, scale, count);
}

/// The quantised result waits in its own place, where it fits, until it has been forwarded.
void Executor::keep_quantized(std::uint64_t chunk, std::span<const std::byte> payload) {
  ChunkState& one = state(chunk);
  one.quantized = true;
  memory_.save(chunk);
  if (payload.size() <= memory_.value_bytes(chunk))
    std::memcpy(memory_.place(chunk), payload.data(), payload.size());
  else
    one.kept.assign(payload.begin(), payload.end());
}

/// Turns a quantised result into values.
void Executor::bring_down(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  if (!one.quantized) return;
  const DataType type = memory_.signature().type;
  const std::byte* quantized = one.kept.data();
  if (one.kept.empty()) {
    std::memcpy(memory_.first_temporary(), memory_.place(chunk), memory_.quantized_bytes(chunk));
    quantized = memory_.first_temporary();
  }
  std::byte* const values = memory_.wide() ? memory_.second_temporary() : memory_.place(chunk);
  dequantize(memory_.quantization(), type, quantized, memory_.count(chunk), values);
  if (memory_.wide()) narrow_float(type, memory_.place(chunk), values, memory_.count(chunk));
  one.kept = {};
  one.quantized = false;
}

std::span<const std::byte> Executor::payload(Direction direction, std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  const std::size_t bytes = payload_bytes(memory_.call().rank, direction, chunk);
  if (direction == Direction::down)
    return {one.kept.empty() ? memory_.place(chunk) : one.kept.data(), bytes};
  if (memory_.quantization()) {
    if (!one.made) quantize_up(chunk);
    return {one.made.get(), bytes};
  }
  if (role(chunk).children_up.empty()) return {memory_.own(chunk), bytes};
  return {accumulators(chunk), bytes};
}

void Executor::sent(std::uint32_t, Direction direction, std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  if (direction == Direction::down) {
    HAWSER_ASSERT(one.unsent_down > 0);
    if (--one.unsent_down == 0) bring_down(chunk);
    return;
  }
  memory_.give(std::move(one.made));
  release(chunk);
}

void Executor::release(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  if (one.accumulators) --accumulators_taken_;
  memory_.give(std::move(one.accumulators));
  if (one.released) return;
  one.released = true;
  if (chunk < limit_) --in_window_;
  widen_limit();
}

/// A result; `payload` may be its landing.
void Executor::arrived_down(std::uint64_t chunk, const std::byte* payload, std::vector<Send>& out) {
  std::byte* const place = memory_.place(chunk);
  if (!memory_.quantization()) {
    if (payload != place) std::memcpy(landing(chunk), payload, memory_.value_bytes(chunk));
  } else {
    keep_quantized(chunk, {payload, memory_.quantized_bytes(chunk)});
    if (role(chunk).children_down.empty()) bring_down(chunk);
  }
  send_down(chunk, out);
}

void Executor::send_down(std::uint64_t chunk, std::vector<Send>& out) {
  ChunkState& one = state(chunk);
  HAWSER_ASSERT(!one.done);
  one.done = true;
  ++done_chunks_;
  for (const std::uint32_t child : role(chunk).children_down)
    out.push_back({.to = child,
                   .direction = Direction::down,
                   .chunk = chunk,
                   .bytes = payload_bytes(memory_.call().rank, Direction::down, chunk)});
}

bool Executor::settle(std::size_t& budget) {
  for (; settled_chunks_ < plan_.chunking.chunks(); ++settled_chunks_) {
    if (!state(settled_chunks_).quantized) continue;
    if (budget == 0) return false;
    bring_down(settled_chunks_);
    budget -= std::min(budget, memory_.value_bytes(settled_chunks_));
  }
  return true;
}

std::vector<std::uint32_t> Executor::waiting_for() const {
  std::vector<bool> wanted(plan_.world_size);
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const ChunkState& one = state(chunk);
    if (one.done) continue;
    const Role& mine = role(chunk);
    for (const std::uint32_t child : mine.children_up)
      if (!heard(child, chunk)) wanted[child] = true;
    if (one.missing == 0 && mine.parent_down != kNoParent) wanted[mine.parent_down] = true;
  }
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < plan_.world_size; ++rank)
    if (wanted[rank]) ranks.push_back(rank);
  return ranks;
}

std::vector<std::uint32_t> Executor::senders() const {
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
