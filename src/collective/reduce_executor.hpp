#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/frame.hpp"
#include "base/result.hpp"
#include "plan/plan.hpp"

namespace hawser {

/// One all-reduce at one peer, whatever the plan: for each chunk wait for the children of its reduce tree,
/// combine with the own contribution, send to the parent; the root finishes the value; on the way down,
/// store and forward. Works on the caller's memory, and can undo what it did there until it is destroyed.
///
/// Memory: out of place, sums are gathered in the receive buffer. In place, each chunk is saved to a
/// scratch of the payload's size before its first change.
class ReduceExecutor {
 public:
  struct Call {
    DataType type = DataType::float32;
    ReduceOp op = ReduceOp::sum;
    std::uint32_t rank = 0;
    const std::byte* send = nullptr;
    std::byte* receive = nullptr;
  };
  /// A chunk that shall go to a neighbour. The payload stays as it is until the neighbour has it.
  struct Send {
    std::uint32_t to = 0;
    Direction direction = Direction::up;
    std::uint64_t chunk = 0;
    std::span<const std::byte> payload;
  };
  enum class Verdict {
    expected,    ///< Take it.
    repeated,    ///< It was here before: read and forget.
    impossible,  ///< No correct peer sends this.
  };

  /// Error: system, when there is no memory for the scratch.
  static Result<std::unique_ptr<ReduceExecutor>> create(Plan plan, const Call& call);

  /// Sends what depends on nobody.
  void start(std::vector<Send>& out);

  Verdict judge(std::uint32_t from, const FrameHeader& chunk) const;
  /// Where the result of a chunk shall be written, the original being safe from now on.
  std::byte* landing(std::uint64_t chunk);
  /// A partial sum of an expected chunk has come.
  void arrived_up(std::uint32_t from, std::uint64_t chunk, const std::byte* payload, std::vector<Send>& out);
  /// The result of an expected chunk stands in its landing.
  void arrived_down(std::uint64_t chunk, std::vector<Send>& out);

  /// All of the result is in the receive buffer.
  bool complete() const { return done_chunks_ == plan_.chunking.chunks(); }
  /// Puts an in-place buffer back as it was.
  void undo();

  /// Ranks whose chunks are due next, for a complaint: those without whom this peer cannot go on.
  std::vector<std::uint32_t> waiting_for() const;
  /// Ranks that send chunks to this peer at some time, and must know when it is ready for them.
  std::vector<std::uint32_t> senders() const;
  const Plan& plan() const { return plan_; }

 private:
  ReduceExecutor(Plan plan, const Call& call);

  /// What this rank does in one pair of trees.
  struct Role {
    std::vector<std::uint32_t> children_up;
    std::vector<std::uint32_t> children_down;
    std::uint32_t parent_up = kNoParent;
    std::uint32_t parent_down = kNoParent;
  };
  struct ChunkState {
    std::uint32_t missing = 0;  ///< Children whose partial sum has not come.
    bool touched = false;       ///< The receive buffer holds a partial sum.
    bool saved = false;         ///< The original is in the scratch.
    bool done = false;
  };

  const Role& role(std::uint64_t chunk) const { return roles_[static_cast<std::size_t>(chunk % roles_.size())]; }
  std::size_t byte_offset(std::uint64_t chunk) const;
  std::size_t byte_count(std::uint64_t chunk) const;
  bool heard(std::uint32_t from, std::uint64_t chunk) const;
  void save(std::uint64_t chunk);
  void send_down(std::uint64_t chunk, std::vector<Send>& out);

  Plan plan_;
  Call call_;
  std::vector<Role> roles_;
  std::vector<ChunkState> chunks_;
  std::vector<std::uint64_t> heard_;  ///< A bit per chunk and rank.
  std::size_t heard_words_ = 0;       ///< Per chunk.
  std::unique_ptr<std::byte[]> scratch_;
  std::uint64_t done_chunks_ = 0;
};

}  // namespace hawser
