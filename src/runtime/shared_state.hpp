#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "runtime/communicator.hpp"
#include "runtime/state_sync.hpp"

namespace hawser {

struct SyncProgress {
  std::uint64_t bytes_done = 0;  ///< That this member lacked and has now.
  std::uint64_t bytes_total = 0;
};

/// hawserSharedStateSync has the contract.
struct SyncArguments {
  SyncSettings settings;
  std::uint64_t tag = 0;
  bool only_marked = false;  ///< Tensors that were not marked as changed are what they were.
  unsigned threads = 0;      ///< For digests; 0: one for each core.
  /// Called now and then during a transfer, by the thread that waits; may be empty.
  std::function<void(const SyncProgress&)> progress;
};

/// Named tensors in the caller's memory, and what this member knows of them. Safe from several threads; a call
/// beside another one is answered with invalid_usage.
class SharedState {
 public:
  static Result<std::unique_ptr<SharedState>> create(std::vector<StateTensor> tensors);
  /// Takes it out of use, for its end: every later call finds it in use. Error: invalid_usage.
  Result<void> retire();

  SyncOutcome sync(Communicator& communicator, const SyncArguments& arguments);

  Result<std::uint64_t> revision() const;
  Result<void> set_revision(std::uint64_t revision);
  /// The caller has written to a tensor.
  Result<void> mark_changed(const std::string& name);
  /// The caller has written to all tensors, which are then complete again.
  Result<void> mark_all_changed();
  /// Of all tensors that may not differ, as content_digest().
  Result<Digest128> digest();

  /// As save_checkpoint() and load_checkpoint(); the revision is kept with the tensors.
  Result<void> save(const std::string& path);
  Result<std::uint64_t> load(const std::string& path);

 private:
  explicit SharedState(std::unique_ptr<StateContent> content) { record_.content = std::move(content); }

  class Claim;
  StateSync::Next perform(Communicator& communicator, const SyncArguments& arguments, StateSync& sync);

  mutable std::atomic<bool> busy_{false};
  StateRecord record_;
};

}  // namespace hawser
