#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "collective/call_memory.hpp"
#include "collective/execution.hpp"
#include "plan/plan.hpp"

namespace hawser {

/// One collective at one peer, whatever the plan: for each chunk wait for the children of its reduce tree,
/// combine with the own contribution, send to the parent; the root finishes the value; on the way down,
/// store and forward. Orders works on the caller's memory, and can undo what they did there until it is destroyed.
///
/// Works on one chunk follow each other, those on different chunks may run at the same time. What arrives for a chunk
/// while one is under way waits, and is taken by the next one, all of it at once. So the order in which contributions
/// are added is that in which they came.
///
/// What a payload is. Up from a leaf: the values. Up from others: accumulators (kernels/reduce.hpp). Down:
/// the values. Quantised: the quantised values in all three places; the root keeps exactly what the others
/// will decode.
///
/// A relay has no tensor, and no memory of its caller's: it is the root of some chunks, adds what comes for these, and
/// keeps each result until all have it. Never complete by itself, it is over when the members are.
///
/// Memory: sums are gathered in the receive buffer where that can hold them; else (accumulators wider than
/// the elements, or chunks that are no part of this rank's result) in a bounded number of buffers, and
/// send_limit() tells the children how far they may go. In place, each chunk is saved to a scratch before
/// its first change.
///
/// Buffers on a device. Where the device computes (CallMemory::on_device) all is as on the host, but that works run
/// there and quantised payloads cross; since these wait on the host until they are sent, only a bounded number of
/// chunks is under way. Else contributions are fetched to the host chunk by chunk, in the order of the chunks, and
/// results are uploaded, while other chunks travel. On the host a chunk has up to four buffers, and only a bounded
/// number of chunks has any: send_limit() says which. The call is complete once its last chunk has been uploaded.
class PlannedCollective final : public Execution {
 public:
  /// Error: system, when there is no memory for the scratch.
  static Result<std::unique_ptr<PlannedCollective>> create(Plan plan, const CollectiveCall& call,
                                                  const std::shared_ptr<ScratchKeeper>& keeper = nullptr);

  void start(Output& out) override;
  std::optional<std::span<const std::byte>> payload(Direction direction, std::uint64_t chunk, Output& out) override;
  void sent(std::uint32_t to, Direction direction, std::uint64_t chunk, Output& out) override;
  std::optional<std::uint32_t> worked(Instant now, std::uint64_t token, const WorkResult& result, Output& out) override;

  std::uint64_t chunks() const override { return plan_.chunking.chunks(); }
  Verdict judge(std::uint32_t from, Direction direction, std::uint64_t chunk, std::size_t bytes) const override;
  std::size_t payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const override;
  std::size_t stride(std::uint64_t chunk, std::size_t bytes) const override {
    return memory_.quantization() ? 1 : bytes / memory_.count(chunk);
  }
  std::byte* landing(std::uint64_t chunk, Output& out) override;
  void arrived(Instant now, std::uint32_t from, Direction direction, std::uint64_t chunk, Payload payload,
               Output& out) override;

  bool complete() const override {
    return done_chunks_ == result_chunks_ && (!memory_.uploads() || uploaded_chunks_ == result_chunks_);
  }
  Work settle(std::size_t bytes) override;
  Work undo(std::size_t bytes) override { return memory_.undo(bytes); }
  void undo_now() noexcept override { memory_.undo_now(); }

  std::uint64_t send_limit() const override { return limited_ ? limit_ : kNoLimit; }
  std::uint64_t limit_step() const override { return std::max<std::uint64_t>(1, window_ / 2); }
  std::size_t up_window() const override;
  std::uint64_t planned_bytes(std::uint32_t to) const override {
    return to < planned_bytes_.size() ? planned_bytes_[to] : 0;
  }
  std::uint64_t paced_bytes(std::uint32_t to) const override { return to < paced_bytes_.size() ? paced_bytes_[to] : 0; }
  bool uses_relays() const override { return plan_.relays > 0; }

  std::vector<std::uint32_t> waiting_for() const override;
  std::vector<std::uint32_t> senders() const override;
  PlanKind plan_kind() const override { return plan_.kind; }
  const std::string& plan_reason() const override { return plan_.reason; }
  double predicted_seconds() const override { return plan_.predicted_seconds; }
  const Plan& plan() const { return plan_; }

 private:
  PlannedCollective(Plan plan, const CollectiveCall& call);

  /// What this rank does in one pair of trees.
  struct Role {
    std::vector<std::uint32_t> children_up;
    std::vector<bool> child_is_leaf;  ///< Beside children_up.
    std::vector<std::uint32_t> children_down;
    std::uint32_t parent_up = kNoParent;
    std::uint32_t parent_down = kNoParent;
  };
  /// A payload that waits for its work, or is in it.
  struct Arrival {
    Payload payload;
    bool leaf = false;  ///< Of a sum: values, and no accumulators.
  };
  struct ChunkState {
    std::uint32_t missing = 0;  ///< Children whose partial sum is not in the sum.
    std::uint32_t unsent_down = 0;  ///< Children that have not got the result.
    bool touched = false;       ///< The accumulators hold a partial sum, or will once the work is done.
    bool working = false;       ///< A work on its memory is under way; not counting the one that makes a payload.
    bool making = false;        ///< The payload on its way up is being made.
    bool came_down = false;     ///< The result has come, and may be in a work.
    bool done = false;
    bool released = false;      ///< Its accumulators are free again, or never were needed.
    bool quantized = false;     ///< The result lies quantised in `kept`, or in its place if that is empty.
    bool fetched = false;       ///< The own contribution is on the host.
    bool climbed = false;       ///< The parent has got the sum, or nobody waits for one.
    bool on_device = false;     ///< The result is where it belongs.
    CallMemory::Buffer own;     ///< From the device.
    CallMemory::Buffer image;   ///< Of the result on its way to the device, and of the sum before.
    CallMemory::Buffer accumulators;  ///< Where not in the receive buffer.
    CallMemory::Buffer made;          ///< The quantised payload on its way up.
    CallMemory::Buffer kept;
    Payload forwarded;  ///< Of the result, where it stays on the host as it came.
    std::vector<Arrival> waiting;
    std::vector<Arrival> in_work;
  };
  /// What a work is about; its token holds that and the chunk.
  enum class Task : std::uint8_t { start, save, combine, make, place, bring_down, fetch, upload };
  static constexpr std::uint64_t kTasks = 8;

  const Role& role(std::uint64_t chunk) const { return roles_[plan_.tree_index(chunk)]; }
  ChunkState& state(std::uint64_t chunk) { return chunks_[static_cast<std::size_t>(chunk)]; }
  const ChunkState& state(std::uint64_t chunk) const { return chunks_[static_cast<std::size_t>(chunk)]; }
  bool is_relay() const { return memory_.call().rank >= plan_.world_size; }
  /// The caller's memory is not all on the host, where the works are.
  bool staged() const { return memory_.fetches() || memory_.uploads(); }
  /// Chunks have buffers on the host that others may have afterwards.
  bool buffers_are_bounded() const { return staged() || memory_.on_device(); }
  const std::byte* own(std::uint64_t chunk) const;
  std::byte* place(std::uint64_t chunk);
  bool contributes(std::uint64_t chunk) const;
  void contribute(std::uint64_t chunk, Output& out);
  void advance(Output& out);
  void upload(std::uint64_t chunk, Output& out);
  void free_buffers(std::uint64_t chunk);
  bool heard(std::uint32_t from, std::uint64_t chunk) const;
  bool lingers(std::uint64_t chunk) const;
  bool part_of_result(std::uint64_t chunk) const;
  void order(Task task, std::uint64_t chunk, std::vector<WorkStep> steps, std::size_t bytes, Output& out);
  void save_first(std::uint64_t chunk, std::vector<WorkStep>& steps);
  void combine_first_at_relay(std::uint64_t chunk, std::byte* sum, std::vector<WorkStep>& steps);
  void combine_waiting(std::uint64_t chunk, Output& out);
  void combined(std::uint64_t chunk, Output& out);
  void came_down(std::uint64_t chunk, Payload payload, Output& out);
  void place_waiting(std::uint64_t chunk, Output& out);
  void go_on(std::uint64_t chunk, Output& out);
  std::byte* accumulators(std::uint64_t chunk, std::vector<WorkStep>& steps);
  void combine_with(std::uint64_t chunk, std::byte* sum, const Arrival& arrival, std::vector<WorkStep>& steps);
  void finish_at_root(std::uint64_t chunk, std::byte* sum, std::vector<WorkStep>& steps);
  QuantizeValues quantize_step(std::uint64_t chunk);
  DequantizeValues bring_down_step(std::uint64_t chunk);
  bool fits_its_place(std::uint64_t chunk) const;
  void release(std::uint64_t chunk);
  void widen_limit();
  void plan_bytes();
  void send_down(std::uint64_t chunk, Output& out);

  Plan plan_;
  CallMemory memory_;
  std::vector<Role> roles_;
  std::vector<std::uint64_t> planned_bytes_;  ///< By rank.
  std::vector<std::uint64_t> paced_bytes_;    ///< Likewise.
  std::vector<ChunkState> chunks_;
  std::vector<std::uint64_t> heard_;  ///< A bit per chunk and rank.
  std::size_t heard_words_ = 0;       ///< Per chunk.
  std::uint64_t done_chunks_ = 0;
  std::uint64_t result_chunks_ = 0;
  std::uint64_t uploaded_chunks_ = 0;
  std::uint64_t advanced_ = 0;  ///< Chunks before it are being fetched, or were, if they are to be.
  std::uint64_t settled_chunks_ = 0;  ///< Those before it, or in a work of settle().
  bool limited_ = false;
  std::uint64_t limit_ = 0;
  std::uint64_t in_window_ = 0;  ///< Chunks below the limit whose accumulators may be needed yet.
  std::uint64_t window_ = 1;
  std::size_t accumulators_taken_ = 0;
  std::vector<std::byte> zeros_;  ///< Of a relay, where payloads are quantised: what the first is added to.
};

}  // namespace hawser
