#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "comm_session.hpp"
#include "hawser.h"
#include "reporter.hpp"

namespace hawser::churn {

/// A buffer with a margin before and after it that nobody may touch.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t count, float fill = 0.0f);
  std::span<float> view();
  std::span<const float> view() const;
  bool margins_intact() const;
  /// With the margins.
  std::span<float> all() { return storage_; }

 private:
  std::vector<float> storage_;
};

/// One all-reduce to make. `send` and `receive` are one buffer (in place) or two of equal length.
struct ReduceRequest {
  const char* phase;  ///< A literal that names the collective in reports.
  GuardedBuffer* send;
  GuardedBuffer* receive;
  hawserReduceOp_t op = hawserSum;
  std::uint64_t tag = 0;
  hawserPlan_t plan = hawserPlanAuto;
  CallSlot slot = kMainSlot;
  std::uint32_t timeout_ms = 0;  ///< Of the first call, at this member.
};

/// What it came to; all but `next` only if that is Next::carry_on.
struct ReduceResult {
  Next next = Next::leave;
  std::vector<std::uint64_t> members;  ///< Contributors in rank order.
  std::uint32_t rank = 0;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

/// A collective that has succeeded, and what was asked for.
struct CommittedCall {
  const char* phase;  ///< A literal that names the collective in reports.
  const char* kind = "all_reduce";
  hawserDataType_t type = hawserFloat32;
  hawserReduceOp_t op = hawserSum;
  hawserQuantization_t quantization{};
  bool residual = false;
  bool compressed = false;
  std::uint64_t tag = 0;
  std::uint64_t count = 0;
  hawserPlan_t plan = hawserPlanAuto;
  std::uint64_t digest = 0;  ///< Of the result; 0 where members get different ones.
  const hawserReduceInfo_t& info;
  const std::vector<std::uint64_t>& members;
};

/// Makes all-reduces and checks all that can be checked about any of them without knowing what it is for: the
/// input is untouched (after errors, and after success out of place), nothing is written beside the buffers,
/// the info makes sense, epochs never go back, sequences grow. Reports each committed collective with a
/// digest of its result, so that the orchestrator can compare all members. For use from several threads with
/// different slots.
class CheckedCollectives {
 public:
  CheckedCollectives(CommSession& session, Reporter& reporter) : session_(session), reporter_(reporter) {}

  /// This peer is a member under that id from now on.
  void joined_as(std::uint64_t peer_id);
  std::uint64_t peer_id() const { return peer_id_; }

  /// One call. Blocks as hawserAllReduce does. Never returns Next::carry_on with a result that failed a
  /// check.
  ReduceResult reduce_once(const ReduceRequest& request);
  /// The same call again while the session's judgement is to retry.
  ReduceResult reduce(const ReduceRequest& request);
  /// For collectives made elsewhere: checks the info, reports the collective, and notes that errors are over.
  void committed(const CommittedCall& call);

 private:
  void check_info(const CommittedCall& call);

  CommSession& session_;
  Reporter& reporter_;
  std::uint64_t peer_id_ = 0;
  std::atomic<std::uint64_t> calls_{0};

  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;
  };
  std::mutex mutex_;
  std::map<std::uint64_t, Position> last_by_tag_;
};

}  // namespace hawser::churn
