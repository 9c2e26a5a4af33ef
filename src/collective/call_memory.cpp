#include "collective/call_memory.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "kernels/quantize.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

std::size_t accumulator_bytes_of(const Signature& signature) {
  if (!reduces(signature.collective)) return element_bytes(signature.type);
  return accumulator_bytes(signature.type, signature.quantization ? ReduceOp::sum : signature.op);
}

}  // namespace

std::uint32_t chunking_bytes(const Signature& signature) {
  return static_cast<std::uint32_t>(
      std::max(element_bytes(signature.type), accumulator_bytes_of(signature) / 2));
}

CallMemory::CallMemory(const CollectiveCall& call, const Chunking& chunking)
    : call_(call),
      chunking_(chunking),
      element_bytes_(element_bytes(call.signature.type)),
      accumulator_bytes_(accumulator_bytes_of(call.signature)),
      buffer_bytes_(accumulator_bytes_max()) {
  if (quantization())
    buffer_bytes_ = std::max(buffer_bytes_, hawser::quantized_bytes(quantization(), signature().type,
                                                                    chunking_.chunk_elements));
}

CallMemory::~CallMemory() {
  if (keeper_) keeper_->give(std::move(scratch_));
}

ScratchKeeper::Memory ScratchKeeper::take(std::size_t size) {
  Memory taken = std::exchange(kept_, {});
  if (taken.size >= size) return taken;
  taken.bytes.reset(new (std::nothrow) std::byte[size]);
  taken.size = taken.bytes ? size : 0;
  return taken;
}

void ScratchKeeper::give(Memory memory) {
  if (memory.size > kept_.size) kept_ = std::move(memory);
}

std::size_t CallMemory::quantized_bytes(std::uint64_t chunk) const {
  return hawser::quantized_bytes(quantization(), signature().type, count(chunk));
}

const std::byte* CallMemory::own(std::uint64_t chunk) const {
  if (signature().collective == Collective::all_gather)
    return call_.send + chunking_.offset_in_segment(chunk) * element_bytes_;
  return call_.send + chunking_.offset(chunk) * element_bytes_;
}

std::byte* CallMemory::place(std::uint64_t chunk) const {
  if (call_.receive == nullptr) return nullptr;
  if (signature().collective != Collective::reduce_scatter)
    return call_.receive + chunking_.offset(chunk) * element_bytes_;
  if (chunking_.segment(chunk) != call_.rank) return nullptr;
  return call_.receive + chunking_.offset_in_segment(chunk) * element_bytes_;
}

const std::byte* CallMemory::residual(std::uint64_t chunk) const {
  return call_.residual == nullptr ? nullptr : call_.residual + chunking_.offset(chunk) * accumulator_bytes_;
}

std::byte* CallMemory::next_residual(std::uint64_t chunk) const {
  return call_.next_residual == nullptr ? nullptr
                                        : call_.next_residual + chunking_.offset(chunk) * accumulator_bytes_;
}

bool CallMemory::changes_input() const {
  if (call_.receive == nullptr) return false;
  switch (signature().collective) {
    case Collective::all_reduce: return call_.send == call_.receive;
    case Collective::reduce_scatter:
      return call_.receive == call_.send + call_.rank * chunking_.elements * element_bytes_;
    // A broadcast and an all-gather change what they were not given.
    default: return false;
  }
}

Result<void> CallMemory::make_scratch(const std::shared_ptr<ScratchKeeper>& keeper) {
  if (!changes_input()) return {};
  saved_.assign(static_cast<std::size_t>(chunking_.chunks()), 0);
  if (call_.device.receive != kOnHost) {
    HAWSER_ASSERT(call_.device.scratch != nullptr && call_.device.copy_now);
    scratch_at_ = call_.device.scratch;
    return {};
  }
  const std::uint64_t bytes = chunking_.elements * element_bytes_;
  scratch_ = keeper ? keeper->take(bytes) : ScratchKeeper().take(bytes);
  if (!scratch_.bytes)
    return Error{Status::system, "there is no memory for the " + std::to_string(bytes) +
                                     " bytes that keep the input of an in-place collective safe; reduce out "
                                     "of place, or a part at a time"};
  keeper_ = keeper;
  scratch_at_ = scratch_.bytes.get();
  return {};
}

std::optional<CopyBytes> CallMemory::save(std::uint64_t chunk) {
  if (scratch_at_ == nullptr || saved_[static_cast<std::size_t>(chunk)] != 0) return std::nullopt;
  std::byte* const from = place(chunk);
  return CopyBytes{.from = from,
                   .to = scratch_at_ + (from - call_.receive),
                   .bytes = value_bytes(chunk),
                   .done = &saved_[static_cast<std::size_t>(chunk)]};
}

CopyBytes CallMemory::undo_step(std::uint64_t chunk) const {
  std::byte* const to = place(chunk);
  return {.from = scratch_at_ + (to - call_.receive), .to = to, .bytes = value_bytes(chunk)};
}

Work CallMemory::undo(std::size_t bytes) {
  Work work;
  work.device = call_.device.receive;
  for (; undone_chunks_ < saved_.size() && work.bytes < bytes; ++undone_chunks_) {
    if (saved_[static_cast<std::size_t>(undone_chunks_)] == 0) continue;
    work.steps.emplace_back(undo_step(undone_chunks_));
    work.bytes += 2 * value_bytes(undone_chunks_);
  }
  return work;
}

void CallMemory::undo_now() noexcept {
  for (std::uint64_t chunk = 0; chunk < saved_.size(); ++chunk) {
    if (saved_[static_cast<std::size_t>(chunk)] == 0) continue;
    const CopyBytes step = undo_step(chunk);
    if (call_.device.receive != kOnHost)
      call_.device.copy_now(step);
    else
      std::memcpy(step.to, step.from, step.bytes);
    // Once: the caller may have its memory back when this is called again.
    saved_[static_cast<std::size_t>(chunk)] = 0;
  }
}

CallMemory::Buffer CallMemory::take(const std::shared_ptr<BufferPool>& pool) {
  std::vector<Buffer>& free = free_[pool.get()];
  if (free.empty())
    return Buffer(pool ? pool->take(buffer_bytes_) : new std::byte[buffer_bytes_],
                  BufferFree{.pool = pool, .bytes = buffer_bytes_});
  Buffer buffer = std::move(free.back());
  free.pop_back();
  return buffer;
}

void CallMemory::give(Buffer buffer) {
  if (buffer) free_[buffer.get_deleter().pool.get()].push_back(std::move(buffer));
}

}  // namespace hawser
