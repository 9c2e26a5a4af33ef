#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "guarded_bytes.hpp"
#include "hawser_shared_state.h"
#include "reporter.hpp"
#include "state_content.hpp"
#include "tensor_twin.hpp"

namespace hawser::churn {

/// Where a training stands; part of the shared state, so all members of one revision have the same.
struct TrainingProgress {
  std::uint64_t origin = 0;   ///< Where it once began; what ballast follows from.
  std::uint64_t lineage = 0;  ///< Which beginning the weights descend from, those from disk included.
  std::uint64_t step = 0;

  bool operator==(const TrainingProgress&) const = default;
};

/// A worker's shared state: the memory of its tensors, the library's handle for them, and the rules by which
/// they change. It withdraws its offer before it writes, marks what it has written, and counts the revision:
/// one more for all changes between two synchronisations. With HAWSER_DEVICE=sim two of three tensors lie on simulated
/// devices, and what is written here goes there late.
class TrainedState {
 public:
  /// Throws std::runtime_error if the library makes no shared state.
  TrainedState(Reporter& reporter, std::uint64_t weights, std::uint64_t ballast_bytes);
  ~TrainedState();
  TrainedState(const TrainedState&) = delete;
  TrainedState& operator=(const TrainedState&) = delete;

  /// For a call that takes no stream: all that was written is there.
  hawserSharedState_t handle() const;
  /// For a call that comes after `stream`: not all need be.
  hawserSharedState_t handle_after(void*& stream) const;
  /// After a call that may have written to tensors.
  void fetch_back() const;
  std::span<const float> weights() const { return floats(kWeightsTensor); }
  TrainingProgress progress() const;
  std::uint64_t revision() const;
  std::uint64_t bytes() const;
  std::uint64_t tensors() const { return specs_.size(); }

  /// A beginning of its own at revision 0: other weights and another lineage than anybody else's.
  void begin_anew(std::mt19937_64& random);
  /// All members, alike: the training goes on under another name from what was elected.
  void branch(std::uint64_t lineage);
  /// All members, alike: one step with the average of their changes.
  void advance(std::span<const float> change);
  /// A synchronisation has succeeded, or a checkpoint was loaded.
  void settled() { changed_ = false; }

  /// The tensor that may differ.
  std::uint32_t local() const;
  void set_local(std::uint32_t value);

  /// Of all tensors that may not differ; not the library's.
  std::uint64_t content() const;
  /// What the tensors hold that no training can have put there, or "".
  std::string find_wrong() const;
  bool margins_intact() const;

 private:
  std::span<float> floats(std::size_t tensor);
  std::span<const float> floats(std::size_t tensor) const;
  BallastRule ballast_rule(std::size_t tensor) const;
  void set_progress(const TrainingProgress& progress);
  void withdraw();
  void mark(std::size_t tensor);
  void count_change();
  void expect(hawserResult_t result, const char* what) const;

  Reporter& reporter_;
  std::vector<StateTensorSpec> specs_;
  std::vector<GuardedBytes> memory_;
  std::vector<TensorTwin> twins_;
  hawserSharedState_t handle_ = nullptr;
  bool changed_ = false;  ///< Since the last synchronisation.
};

}  // namespace hawser::churn
