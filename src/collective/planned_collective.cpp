#include "collective/planned_collective.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "base/random.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

/// More than an honest neighbour can make us take: the window and what is sent before it is known.
constexpr std::size_t kTakenBytesMax = 32 << 20;

}  // namespace

Result<std::unique_ptr<PlannedCollective>> PlannedCollective::create(Plan plan, const CollectiveCall& call,
                                                   const std::shared_ptr<ScratchKeeper>& keeper) {
  std::unique_ptr<PlannedCollective> made(new PlannedCollective(std::move(plan), call));
  if (const auto scratch = made->memory_.make_scratch(keeper); !scratch.ok()) return scratch.error();
  return made;
}

PlannedCollective::PlannedCollective(Plan plan, const CollectiveCall& call)
    : plan_(std::move(plan)), memory_(call, plan_.chunking) {
  for (const Trees& trees : plan_.trees) {
    Role mine;
    for (std::uint32_t rank = 0; rank < plan_.nodes(); ++rank) {
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
  heard_words_ = (plan_.nodes() + 63) / 64;
  heard_.assign(chunks * heard_words_, 0);
  if (is_relay() && memory_.quantization()) zeros_.resize(memory_.accumulator_bytes_max());
  const std::size_t chunk_bytes = buffers_are_bounded() || is_relay() ? 2 * memory_.buffer_bytes() : memory_.accumulator_bytes_max();
  window_ = std::max<std::uint64_t>(1, call.memory_bytes / 2 / std::max<std::size_t>(1, chunk_bytes));
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
    ChunkState& one = chunks_[chunk];
    one.missing = static_cast<std::uint32_t>(role(chunk).children_up.size());
    one.unsent_down = static_cast<std::uint32_t>(role(chunk).children_down.size());
    one.released = !lingers(chunk);
    one.climbed = role(chunk).parent_up == kNoParent;
    limited_ = limited_ || (lingers(chunk) && plan_.climbs());
    if (part_of_result(chunk)) ++result_chunks_;
  }
  plan_bytes();
  widen_limit();
}

/// Whether accumulators of their own may have to wait for others.
bool PlannedCollective::lingers(std::uint64_t chunk) const {
  if (buffers_are_bounded()) return true;
  const Role& mine = role(chunk);
  if (mine.children_up.empty() || (!memory_.wide() && memory_.place(chunk) != nullptr)) return false;
  return mine.parent_up != kNoParent || mine.children_up.size() > 1;
}

bool PlannedCollective::part_of_result(std::uint64_t chunk) const { return memory_.place(chunk) != nullptr; }

void PlannedCollective::widen_limit() {
  for (; limit_ < plan_.chunking.chunks() && (in_window_ < window_ || !lingers(limit_)); ++limit_)
    if (!state(limit_).released) ++in_window_;
}

std::size_t PlannedCollective::up_window() const {
  if (!memory_.quantization()) return 0;
  std::set<std::uint32_t> parents;
  for (const Role& mine : roles_)
    if (mine.parent_up != kNoParent) parents.insert(mine.parent_up);
  const std::size_t all = memory_.call().memory_bytes / (limited_ ? 2 : 1);
  return std::max<std::size_t>(1, all / std::max<std::size_t>(1, parents.size()));
}

void PlannedCollective::plan_bytes() {
  // All chunks of a pair of trees are equal but the last.
  std::vector<std::uint64_t> chunks_of_tree(roles_.size());
  std::vector<std::uint64_t> one_of_tree(roles_.size());
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const std::size_t tree = plan_.tree_index(chunk);
    if (chunks_of_tree[tree]++ == 0) one_of_tree[tree] = chunk;
  }
  std::vector<std::uint64_t> sums(plan_.nodes());
  std::vector<std::uint64_t> results(plan_.nodes());
  const std::uint32_t rank = memory_.call().rank;
  for (std::size_t tree = 0; tree < roles_.size(); ++tree) {
    if (chunks_of_tree[tree] == 0) continue;
    const Role& mine = roles_[tree];
    if (mine.parent_up != kNoParent)
      sums[mine.parent_up] += chunks_of_tree[tree] * payload_bytes(rank, Direction::up, one_of_tree[tree]);
    for (const std::uint32_t child : mine.children_down)
      results[child] += chunks_of_tree[tree] * payload_bytes(rank, Direction::down, one_of_tree[tree]);
  }
  // Sums go first, and results in about the second half. Where pairs are missing, a link may have one of both only, and
  // has to carry it while others rest.
  const bool has_halves = plan_.along_links && plan_.climbs() && plan_.descends();
  for (std::uint32_t to = 0; to < plan_.nodes(); ++to) {
    planned_bytes_.push_back(sums[to] + results[to]);
    paced_bytes_.push_back(has_halves ? 2 * std::max(sums[to], results[to]) : planned_bytes_.back());
  }
}

bool PlannedCollective::heard(std::uint32_t from, std::uint64_t chunk) const {
  return (heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] >> (from % 64) & 1) != 0;
}

void PlannedCollective::start(Output& out) {
  if (is_relay()) return;
  if (staged()) return advance(out);
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) contribute(chunk, out);
}

/// Whether this rank's own memory goes into the chunk.
bool PlannedCollective::contributes(std::uint64_t chunk) const {
  return plan_.climbs() || role(chunk).parent_down == kNoParent;
}

/// Sends what depends on nobody else.
void PlannedCollective::contribute(std::uint64_t chunk, Output& out) {
  const Role& mine = role(chunk);
  if (plan_.climbs()) {
    if (!mine.children_up.empty()) return;
    out.sends.push_back({.to = mine.parent_up,
                         .direction = Direction::up,
                         .chunk = chunk,
                         .bytes = payload_bytes(memory_.call().rank, Direction::up, chunk)});
    return;
  }
  if (mine.parent_down != kNoParent) return;
  if (memory_.place(chunk) == memory_.own(chunk)) {
    ChunkState& one = state(chunk);
    if (memory_.uploads()) one.image = std::move(one.own);
    return send_down(chunk, out);
  }
  const std::size_t bytes = memory_.value_bytes(chunk);
  order(Task::start, chunk, {CopyBytes{.from = own(chunk), .to = place(chunk), .bytes = bytes}}, 2 * bytes, out);
}

/// Names a work, and gives it away.
void PlannedCollective::order(Task task, std::uint64_t chunk, std::vector<WorkStep> steps, std::size_t bytes,
                              Output& out) {
  if (task == Task::make)
    state(chunk).making = true;
  else
    state(chunk).working = true;
  Execution::Order& made = out.works.emplace_back();
  made.token = chunk * kTasks + static_cast<std::uint64_t>(task);
  made.work.steps = std::move(steps);
  made.work.bytes = bytes;
  const DeviceBuffers& device = memory_.call().device;
  if (task == Task::fetch) made.work.device = device.send;
  if (task == Task::upload || memory_.on_device()) made.work.device = device.receive;
}

std::optional<std::uint32_t> PlannedCollective::worked(Instant, std::uint64_t token, const WorkResult&, Output& out) {
  const std::uint64_t chunk = token / kTasks;
  const auto task = static_cast<Task>(token % kTasks);
  ChunkState& one = state(chunk);
  if (task == Task::make) {
    one.making = false;
    return std::nullopt;
  }
  HAWSER_ASSERT(one.working);
  one.working = false;
  switch (task) {
    case Task::start:
    case Task::place:
      one.in_work.clear();
      send_down(chunk, out);
      break;
    case Task::combine: combined(chunk, out); break;
    case Task::bring_down:
      memory_.give(std::move(one.kept));
      one.quantized = false;
      break;
    case Task::fetch:
      one.fetched = true;
      contribute(chunk, out);
      break;
    case Task::upload:
      one.on_device = true;
      ++uploaded_chunks_;
      break;
    case Task::save:
    case Task::make: break;
  }
  go_on(chunk, out);
  free_buffers(chunk);
  advance(out);
  return std::nullopt;
}

void PlannedCollective::go_on(std::uint64_t chunk, Output& out) {
  const ChunkState& one = state(chunk);
  if (one.working || one.waiting.empty()) return;
  // Without values of its own it begins with two of others.
  if (is_relay() && !memory_.quantization() && !one.touched && one.waiting.size() < 2) return;
  if (memory_.fetches() && contributes(chunk) && !one.fetched) return;
  if (one.came_down)
    place_waiting(chunk, out);
  else
    combine_waiting(chunk, out);
}

/// On a device what changes the place is the upload alone.
void PlannedCollective::save_first(std::uint64_t chunk, std::vector<WorkStep>& steps) {
  if (const auto copy = memory_.save(chunk)) steps.emplace_back(*copy);
}

std::size_t PlannedCollective::payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const {
  if (memory_.quantization()) return memory_.quantized_bytes(chunk);
  if (direction == Direction::down || !memory_.wide()) return memory_.value_bytes(chunk);
  const Role& mine = role(chunk);
  if (from == memory_.call().rank)
    return mine.children_up.empty() ? memory_.value_bytes(chunk) : memory_.accumulator_bytes(chunk);
  for (std::size_t child = 0; child < mine.children_up.size(); ++child)
    if (mine.children_up[child] == from && !mine.child_is_leaf[child]) return memory_.accumulator_bytes(chunk);
  return memory_.value_bytes(chunk);
}

PlannedCollective::Verdict PlannedCollective::judge(std::uint32_t from, Direction direction, std::uint64_t chunk,
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
  return state(chunk).done || state(chunk).came_down ? Verdict::repeated : Verdict::expected;
}

std::byte* PlannedCollective::landing(std::uint64_t chunk, Output& out) {
  // While a work saves it, for another landing whose connection may be dead, a copy waits elsewhere.
  if (memory_.quantization() || state(chunk).working) return nullptr;
  if (memory_.uploads()) return place(chunk);
  std::vector<WorkStep> steps;
  save_first(chunk, steps);
  if (!steps.empty()) order(Task::save, chunk, std::move(steps), 2 * memory_.value_bytes(chunk), out);
  return memory_.place(chunk);
}

std::byte* PlannedCollective::accumulators(std::uint64_t chunk, std::vector<WorkStep>& steps) {
  if (!memory_.wide() && memory_.place(chunk) != nullptr) {
    if (!memory_.uploads()) save_first(chunk, steps);
    return place(chunk);
  }
  ChunkState& one = state(chunk);
  if (!one.accumulators) {
    one.accumulators = memory_.take_sums();
    ++accumulators_taken_;
  }
  return one.accumulators.get();
}

void PlannedCollective::combine_with(std::uint64_t chunk, std::byte* sum, const Arrival& arrival,
                                     std::vector<WorkStep>& steps) {
  const DataType type = memory_.signature().type;
  const ReduceOp op = memory_.signature().op;
  const std::uint64_t count = memory_.count(chunk);
  const std::byte* const own = this->own(chunk);
  const std::byte* const payload = arrival.payload.bytes;
  const bool touched = std::exchange(state(chunk).touched, true);
  const auto combine = [&](Combine::Operands operands, const std::byte* a, const std::byte* b) {
    steps.emplace_back(
        Combine{.operands = operands, .type = type, .op = op, .sum = sum, .a = a, .b = b, .count = count});
  };
  if (memory_.quantization()) {
    const std::byte* const residual = memory_.residual(chunk);
    const bool widens = memory_.wide() || residual != nullptr;
    if (!touched && widens)
      steps.emplace_back(WidenOwn{.type = type, .sum = sum, .values = own, .residual = residual, .count = count});
    steps.emplace_back(DequantizeCombine{.quantization = memory_.quantization(),
                                         .type = type,
                                         .op = op,
                                         .sum = sum,
                                         .own = touched || widens ? sum : own,
                                         .quantized = payload,
                                         .count = count});
  } else if (!touched) {
    if (arrival.leaf)
      combine(Combine::Operands::values, own, payload);
    else
      combine(Combine::Operands::accumulators_and_values, payload, own);
  } else {
    combine(arrival.leaf ? Combine::Operands::accumulators_and_values : Combine::Operands::accumulators, sum, payload);
  }
}

void PlannedCollective::arrived(Instant, std::uint32_t from, Direction direction, std::uint64_t chunk, Payload payload,
                       Output& out) {
  if (direction == Direction::down) return came_down(chunk, std::move(payload), out);
  ChunkState& one = state(chunk);
  const Role& mine = role(chunk);
  HAWSER_ASSERT(one.missing > one.waiting.size() + one.in_work.size());
  heard_[static_cast<std::size_t>(chunk) * heard_words_ + from / 64] |= std::uint64_t{1} << (from % 64);
  const auto child = std::find(mine.children_up.begin(), mine.children_up.end(), from);
  HAWSER_ASSERT(child != mine.children_up.end());
  const bool leaf = mine.child_is_leaf[static_cast<std::size_t>(child - mine.children_up.begin())];
  one.waiting.push_back({.payload = std::move(payload), .leaf = !memory_.wide() || leaf});
  go_on(chunk, out);
}

/// Without a contribution of its own: what came first is where the sum begins.
void PlannedCollective::combine_first_at_relay(std::uint64_t chunk, std::byte* sum, std::vector<WorkStep>& steps) {
  ChunkState& one = state(chunk);
  one.touched = true;
  const Signature& signature = memory_.signature();
  const std::byte* const first = one.in_work[0].payload.bytes;
  if (memory_.quantization())
    steps.emplace_back(DequantizeCombine{.quantization = memory_.quantization(),
                                         .type = signature.type,
                                         .op = ReduceOp::sum,
                                         .sum = sum,
                                         .own = zeros_.data(),
                                         .quantized = first,
                                         .count = memory_.count(chunk)});
  else
    steps.emplace_back(Combine{.operands = Combine::Operands::values,
                               .type = signature.type,
                               .op = signature.op,
                               .sum = sum,
                               .a = first,
                               .b = planted(PlantedFault::doubling_relay) ? first : one.in_work[1].payload.bytes,
                               .count = memory_.count(chunk)});
}

/// Adds all partial sums that have come; with the last one, the root finishes the value while it is in the cache.
void PlannedCollective::combine_waiting(std::uint64_t chunk, Output& out) {
  ChunkState& one = state(chunk);
  one.in_work = std::exchange(one.waiting, {});
  std::vector<WorkStep> steps;
  steps.reserve(one.in_work.size() + 4);
  std::byte* const sum = accumulators(chunk, steps);
  std::size_t next = 0;
  if (is_relay() && !one.touched) {
    combine_first_at_relay(chunk, sum, steps);
    next = memory_.quantization() ? 1 : 2;
  }
  for (; next < one.in_work.size(); ++next) combine_with(chunk, sum, one.in_work[next], steps);
  if (one.in_work.size() == one.missing && role(chunk).parent_up == kNoParent) finish_at_root(chunk, sum, steps);
  order(Task::combine, chunk, std::move(steps), (2 + one.in_work.size()) * memory_.accumulator_bytes(chunk), out);
}

void PlannedCollective::combined(std::uint64_t chunk, Output& out) {
  ChunkState& one = state(chunk);
  one.missing -= static_cast<std::uint32_t>(one.in_work.size());
  one.in_work.clear();
  if (planted(PlantedFault::forgotten_arrival)) {
    one.missing -= static_cast<std::uint32_t>(one.waiting.size());
    one.waiting.clear();
  }
  if (one.missing > 0) return;
  const std::uint32_t parent = role(chunk).parent_up;
  if (parent != kNoParent) {
    out.sends.push_back({.to = parent,
                         .direction = Direction::up,
                         .chunk = chunk,
                         .bytes = payload_bytes(memory_.call().rank, Direction::up, chunk)});
    return;
  }
  if (one.quantized && !one.kept) memory_.give(std::move(one.made));
  if (!is_relay()) release(chunk);
  send_down(chunk, out);
}

void PlannedCollective::finish_at_root(std::uint64_t chunk, std::byte* sum, std::vector<WorkStep>& steps) {
  const Signature& signature = memory_.signature();
  ChunkState& one = state(chunk);
  std::byte* place = this->place(chunk);
  if (is_relay()) {
    if (memory_.wide() && !memory_.quantization()) one.kept = memory_.take();
    place = one.kept ? one.kept.get() : sum;
  }
  HAWSER_ASSERT(place != nullptr);
  if (place != sum && !memory_.uploads()) save_first(chunk, steps);
  const bool floats = static_cast<bool>(memory_.quantization());
  const bool in_place = place == sum && !memory_.wide();
  const bool quantizes = floats && plan_.descends();
  if (signature.op == ReduceOp::avg || (!in_place && !quantizes))
    steps.emplace_back(FinishSum{.floats = floats,
                                 .type = signature.type,
                                 .op = signature.op,
                                 .sum = sum,
                                 .place = in_place || quantizes ? nullptr : place,
                                 .count = memory_.count(chunk),
                                 .contributors = plan_.world_size});
  if (!quantizes) return;
  QuantizeValues quantize = quantize_step(chunk);
  quantize.values = sum;
  if (memory_.on_device()) {
    quantize.place = place;
    steps.emplace_back(quantize);
    one.kept = std::move(one.made);
    return;
  }
  steps.emplace_back(quantize);
  if (is_relay()) {
    one.kept = std::move(one.made);
    return;
  }
  if (memory_.uploads()) {
    one.kept = std::move(one.made);
    steps.emplace_back(bring_down_step(chunk));
    return;
  }
  one.quantized = true;
  if (fits_its_place(chunk))
    steps.emplace_back(CopyBytes{.from = one.made.get(), .to = place, .bytes = memory_.quantized_bytes(chunk)});
  else
    one.kept = std::move(one.made);
}

/// The quantised result waits in its own place, where it fits, until it has been forwarded.
bool PlannedCollective::fits_its_place(std::uint64_t chunk) const {
  return memory_.quantized_bytes(chunk) <= memory_.value_bytes(chunk);
}

/// Makes the payload of a quantised chunk from the sum so far, or at a leaf from the own contribution. Each chunk is
/// quantised once at each rank, so the error of that is all that error feedback has to keep.
QuantizeValues PlannedCollective::quantize_step(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  const bool at_leaf = role(chunk).children_up.empty();
  const bool at_root = role(chunk).parent_up == kNoParent;
  one.made = memory_.take();
  return {.quantization = memory_.quantization(),
          .type = memory_.signature().type,
          .values = at_leaf ? own(chunk) : nullptr,
          .widens = at_leaf,
          .residual = at_leaf ? memory_.residual(chunk) : nullptr,
          .count = memory_.count(chunk),
          .seed = Random(memory_.call().seed ^ Random(chunk).next()).next(),
          .out = one.made.get(),
          .next_residual = memory_.next_residual(chunk),
          // What the root rounds away is missing from an average, so it is that much times more in a contribution.
          .residual_scale = at_root && memory_.signature().op == ReduceOp::avg ? plan_.world_size : 1.0};
}

std::optional<std::span<const std::byte>> PlannedCollective::payload(Direction direction, std::uint64_t chunk,
                                                                     Output& out) {
  ChunkState& one = state(chunk);
  const std::size_t bytes = payload_bytes(memory_.call().rank, direction, chunk);
  if (direction == Direction::down)
    return std::span<const std::byte>(one.forwarded.bytes != nullptr ? one.forwarded.bytes
                                      : one.kept                     ? one.kept.get()
                                      : is_relay()                   ? one.accumulators.get()
                                                                     : place(chunk),
                                      bytes);
  const bool at_leaf = role(chunk).children_up.empty();
  if (memory_.quantization()) {
    if (one.making) return std::nullopt;
    if (one.made) return std::span<const std::byte>(one.made.get(), bytes);
    std::vector<WorkStep> steps;
    QuantizeValues quantize = quantize_step(chunk);
    if (!at_leaf) quantize.values = accumulators(chunk, steps);
    steps.emplace_back(quantize);
    order(Task::make, chunk, std::move(steps), memory_.accumulator_bytes(chunk) + bytes, out);
    return std::nullopt;
  }
  if (at_leaf) return std::span<const std::byte>(own(chunk), bytes);
  if (one.accumulators) return std::span<const std::byte>(one.accumulators.get(), bytes);
  return std::span<const std::byte>(place(chunk), bytes);
}

DequantizeValues PlannedCollective::bring_down_step(std::uint64_t chunk) {
  const ChunkState& one = state(chunk);
  return {.quantization = memory_.quantization(),
          .type = memory_.signature().type,
          .quantized = one.kept ? one.kept.get() : place(chunk),
          .quantized_bytes = memory_.quantized_bytes(chunk),
          .place = place(chunk),
          .count = memory_.count(chunk)};
}

void PlannedCollective::sent(std::uint32_t, Direction direction, std::uint64_t chunk, Output& out) {
  ChunkState& one = state(chunk);
  if (direction == Direction::down) {
    HAWSER_ASSERT(one.unsent_down > 0);
    if (--one.unsent_down == 0 && one.quantized)
      order(Task::bring_down, chunk, {bring_down_step(chunk)},
            memory_.value_bytes(chunk) + memory_.quantized_bytes(chunk), out);
    if (one.unsent_down == 0 && is_relay()) {
      memory_.give(std::move(one.kept));
      release(chunk);
    }
  } else {
    memory_.give(std::move(one.made));
    release(chunk);
    one.climbed = true;
  }
  free_buffers(chunk);
  advance(out);
}

void PlannedCollective::release(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  if (one.accumulators) --accumulators_taken_;
  memory_.give(std::move(one.accumulators));
  if (one.released || buffers_are_bounded()) return;
  one.released = true;
  if (chunk < limit_) --in_window_;
  widen_limit();
}

/// A result; it may lie in its landing.
void PlannedCollective::came_down(std::uint64_t chunk, Payload payload, Output& out) {
  ChunkState& one = state(chunk);
  HAWSER_ASSERT(!one.came_down);
  one.came_down = true;
  if (!memory_.quantization() && payload.bytes == place(chunk)) {
    HAWSER_ASSERT(!one.working);
    send_down(chunk, out);
    free_buffers(chunk);
    return advance(out);
  }
  one.waiting.push_back({.payload = std::move(payload)});
  go_on(chunk, out);
}

/// Brings a result to where it is forwarded from; as values, where it is not forwarded.
void PlannedCollective::place_waiting(std::uint64_t chunk, Output& out) {
  ChunkState& one = state(chunk);
  one.in_work = std::exchange(one.waiting, {});
  const std::byte* const payload = one.in_work.front().payload.bytes;
  std::vector<WorkStep> steps;
  if (!memory_.uploads()) save_first(chunk, steps);
  std::size_t bytes = memory_.value_bytes(chunk);
  if (!memory_.quantization()) {
    steps.emplace_back(CopyBytes{.from = payload, .to = place(chunk), .bytes = bytes});
  } else if (memory_.uploads()) {
    if (!role(chunk).children_down.empty()) {
      one.kept = memory_.take();
      steps.emplace_back(CopyBytes{.from = payload, .to = one.kept.get(), .bytes = memory_.quantized_bytes(chunk)});
    }
    DequantizeValues step = bring_down_step(chunk);
    step.quantized = payload;
    steps.emplace_back(step);
  } else if (role(chunk).children_down.empty() || memory_.on_device()) {
    if (!role(chunk).children_down.empty()) one.forwarded = one.in_work.front().payload;
    DequantizeValues step = bring_down_step(chunk);
    step.quantized = payload;
    steps.emplace_back(step);
  } else {
    one.quantized = true;
    if (!fits_its_place(chunk)) one.kept = memory_.take();
    bytes = memory_.quantized_bytes(chunk);
    steps.emplace_back(
        CopyBytes{.from = payload, .to = one.kept ? one.kept.get() : place(chunk), .bytes = bytes});
  }
  order(Task::place, chunk, std::move(steps), 2 * bytes, out);
}

void PlannedCollective::send_down(std::uint64_t chunk, Output& out) {
  ChunkState& one = state(chunk);
  HAWSER_ASSERT(!one.done);
  one.done = true;
  ++done_chunks_;
  for (const std::uint32_t child : role(chunk).children_down)
    out.sends.push_back({.to = child,
                         .direction = Direction::down,
                         .chunk = chunk,
                         .bytes = payload_bytes(memory_.call().rank, Direction::down, chunk)});
  upload(chunk, out);
}

/// What is decoded stays where it is until all is over: nobody needs its memory any more.
Work PlannedCollective::settle(std::size_t bytes) {
  Work work;
  for (; settled_chunks_ < plan_.chunking.chunks() && work.bytes < bytes; ++settled_chunks_) {
    if (!state(settled_chunks_).quantized) continue;
    work.steps.emplace_back(bring_down_step(settled_chunks_));
    work.bytes += memory_.value_bytes(settled_chunks_) + memory_.quantized_bytes(settled_chunks_);
  }
  return work;
}

std::vector<std::uint32_t> PlannedCollective::waiting_for() const {
  std::vector<bool> wanted(plan_.nodes());
  for (std::uint64_t chunk = 0; chunk < plan_.chunking.chunks(); ++chunk) {
    const ChunkState& one = state(chunk);
    // For what a device has not given yet nobody else is to blame.
    if (one.done || (staged() && contributes(chunk) && chunk >= limit_)) continue;
    if (memory_.fetches() && contributes(chunk) && !one.fetched) continue;
    const Role& mine = role(chunk);
    for (const std::uint32_t child : mine.children_up)
      if (!heard(child, chunk)) wanted[child] = true;
    if (one.missing == 0 && mine.parent_down != kNoParent) wanted[mine.parent_down] = true;
  }
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < plan_.nodes(); ++rank)
    if (wanted[rank]) ranks.push_back(rank);
  return ranks;
}

std::vector<std::uint32_t> PlannedCollective::senders() const {
  std::vector<bool> sends(plan_.nodes());
  for (const Role& mine : roles_) {
    for (const std::uint32_t child : mine.children_up) sends[child] = true;
    if (mine.parent_down != kNoParent) sends[mine.parent_down] = true;
  }
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < plan_.nodes(); ++rank)
    if (sends[rank]) ranks.push_back(rank);
  return ranks;
}

}  // namespace hawser
