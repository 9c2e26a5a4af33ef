#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/signature.hpp"
#include "collective/device_buffers.hpp"
#include "collective/work.hpp"
#include "plan/chunking.hpp"

namespace hawser {

/// One collective as its caller gave it. Sizes in elements of signature.type:
///
/// |                | send                        | receive             | in place where          |
/// | -------------- | --------------------------- | ------------------- | ----------------------- |
/// | all-reduce     | count                       | count               | send == receive         |
/// | broadcast      | count, at the root          | count               | send == receive         |
/// | all-gather     | count                       | count * world size  | send == own part of receive |
/// | reduce-scatter | count * world size          | count               | receive == own part of send |
/// | barrier        | none                        | none                |                         |
struct CollectiveCall {
  Signature signature;
  std::uint32_t rank = 0;
  const std::byte* send = nullptr;
  std::byte* receive = nullptr;
  /// Error feedback, or null: what earlier calls failed to send (accumulators, as many as elements), and
  /// where this call's quantisation errors go.
  const std::byte* residual = nullptr;
  std::byte* next_residual = nullptr;
  std::uint64_t seed = 0;  ///< Of stochastic rounding.
  /// What may be taken for accumulators and payloads on their way (beside small change and the scratch).
  std::size_t memory_bytes = 24 << 20;
  DeviceBuffers device{};
};

/// Keeps the scratch of one in-place call for the next: fresh memory costs the system a fault for every page.
class ScratchKeeper {
 public:
  struct Memory {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
  };
  /// At least so many bytes; none where there is no memory.
  Memory take(std::size_t size);
  /// Keeps the larger one.
  void give(Memory memory);

 private:
  Memory kept_;
};

/// The caller's memory as chunks, and what a collective needs besides: scratch to undo an in-place call, and
/// buffers of a chunk's accumulators.
class CallMemory {
 public:
  using Buffer = PooledBuffer;

  CallMemory(const CollectiveCall& call, const Chunking& chunking);
  ~CallMemory();
  CallMemory(const CallMemory&) = delete;
  CallMemory& operator=(const CallMemory&) = delete;

  const CollectiveCall& call() const { return call_; }
  const Signature& signature() const { return call_.signature; }
  const Chunking& chunking() const { return chunking_; }
  const Quantization& quantization() const { return call_.signature.quantization; }

  /// All works run on the device that both buffers lie on.
  bool on_device() const { return call_.device.computes; }
  /// The own contribution lies on a device, and is needed on the host.
  bool fetches() const { return call_.device.send != kOnHost && !on_device(); }
  /// The result is made on the host, and belongs on a device.
  bool uploads() const { return call_.device.receive != kOnHost && !on_device(); }
  /// Accumulators are wider than the elements.
  bool wide() const { return accumulator_bytes_ != element_bytes_; }
  std::uint64_t count(std::uint64_t chunk) const { return chunking_.count(chunk); }
  std::size_t value_bytes(std::uint64_t chunk) const { return chunking_.count(chunk) * element_bytes_; }
  std::size_t accumulator_bytes(std::uint64_t chunk) const { return chunking_.count(chunk) * accumulator_bytes_; }
  /// Of the largest chunk.
  std::size_t accumulator_bytes_max() const { return chunking_.chunk_elements * accumulator_bytes_; }
  std::size_t quantized_bytes(std::uint64_t chunk) const;
  /// What take() and take_sums() give.
  std::size_t buffer_bytes() const { return buffer_bytes_; }

  /// This rank's contribution. For chunks that it contributes to.
  const std::byte* own(std::uint64_t chunk) const;
  /// Where the result belongs; null if it is not part of this rank's, or this is a relay.
  std::byte* place(std::uint64_t chunk) const;
  const std::byte* residual(std::uint64_t chunk) const;
  std::byte* next_residual(std::uint64_t chunk) const;

  /// Takes memory for the scratch, if the call is in place; the keeper gets it back. Error: system.
  Result<void> make_scratch(const std::shared_ptr<ScratchKeeper>& keeper);
  /// What must be done before a place is changed for the first time; none where nothing can be undone, or was before.
  /// What is undone goes by what has been done of it.
  std::optional<CopyBytes> save(std::uint64_t chunk);
  /// As in Execution.
  Work undo(std::size_t bytes);
  void undo_now() noexcept;

  /// Room on the host for a chunk's accumulators, or for its quantised values.
  Buffer take() { return take(call_.device.pool); }
  /// Room for a chunk's accumulators where works run.
  Buffer take_sums() { return take(on_device() ? call_.device.device_pool : call_.device.pool); }
  void give(Buffer buffer);

 private:
  Buffer take(const std::shared_ptr<BufferPool>& pool);
  bool changes_input() const;
  CopyBytes undo_step(std::uint64_t chunk) const;

  CollectiveCall call_;
  Chunking chunking_;
  std::size_t element_bytes_;
  std::size_t accumulator_bytes_;
  std::size_t buffer_bytes_;
  ScratchKeeper::Memory scratch_;
  std::byte* scratch_at_ = nullptr;  ///< On the host that one, on a device the caller's; null where nothing is undone.
  std::shared_ptr<ScratchKeeper> keeper_;
  std::vector<std::uint8_t> saved_;  ///< Written by works, each its own.
  std::uint64_t undone_chunks_ = 0;  ///< Those before it, or in a work of undo().
  std::map<BufferPool*, std::vector<Buffer>> free_;
};

/// Bytes that chunk sizes shall be reckoned in, so that neither the values nor the accumulators of a chunk
/// exceed what a frame can carry.
std::uint32_t chunking_bytes(const Signature& signature);

}  // namespace hawser
