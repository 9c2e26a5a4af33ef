#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <vector>

#include "reporter.hpp"
#include "trained_state.hpp"

namespace hawser::churn {

/// The checkpoints of one worker, on the disk that its place in the run has: a worker that takes the place of
/// a dead one finds the dead one's. The last few are kept.
class Checkpoints {
 public:
  /// `folder` exists and is nobody else's while this lives.
  Checkpoints(std::filesystem::path folder, Reporter& reporter)
      : folder_(std::move(folder)), reporter_(reporter) {}

  void save(const TrainedState& state);
  /// The newest one; false: there is none. Now and then a damaged copy of it first, which must be refused.
  bool load_newest(TrainedState& state, std::mt19937_64& random);
  /// Whether the library takes the state for complete, which saving is a way to ask.
  bool is_complete(const TrainedState& state);

 private:
  /// Their numbers, ascending.
  std::vector<std::uint64_t> numbers() const;
  std::filesystem::path path_of(std::uint64_t number) const;
  void try_damaged(TrainedState& state, const std::filesystem::path& original, std::mt19937_64& random);
  void tell(const char* did) const;

  std::filesystem::path folder_;
  Reporter& reporter_;
};

}  // namespace hawser::churn
