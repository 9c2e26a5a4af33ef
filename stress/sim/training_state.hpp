#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "shared_state/state_sync.hpp"
#include "sim/profile.hpp"

namespace hawser::sim {

/// What a process keeps in shared state: tensors whose shapes are the same at all processes of a run, and whose
/// content all members change alike, as a training step would.
class TrainingState {
 public:
  /// Every process begins with content of its own.
  TrainingState(const ApplicationProfile& profile, std::uint64_t salt);

  StateRecord& record() { return record_; }
  const StateRecord& record() const { return record_; }

  /// The next revision. Equal content becomes equal content.
  void train();
  /// One byte changes, as nothing in a training does.
  void go_astray(Random& random);

  /// Of the bytes as they are, read anew, without tensors that may differ.
  Digest128 digest() const;
  /// Whether what the record has kept of digests is true of the bytes.
  bool bookkeeping_is_right() const;
  void remember();
  /// The bytes are those of the last remember().
  bool as_remembered() const;

 private:
  struct Memory {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
  };
  std::vector<std::byte> all_bytes() const;

  std::vector<Memory> memories_;
  StateRecord record_;
  std::vector<std::byte> remembered_;
  std::uint64_t own_ = 0;  ///< For tensors that may differ.
};

}  // namespace hawser::sim
