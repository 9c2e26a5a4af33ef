#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "shared_state/state_session.hpp"
#include "sim/profile.hpp"

namespace hawser::sim {

/// What a process keeps in shared state: tensors whose shapes are the same at all processes of a run, and whose
/// content all members change alike, as a training step would.
class TrainingState {
 public:
  /// Every process begins with content of its own.
  TrainingState(const ApplicationProfile& profile, std::uint64_t salt);

  StateSession& session() { return *session_; }
  const StateSession& session() const { return *session_; }

  // Nothing is on offer meanwhile.
  /// The next revision. Equal content becomes equal content.
  void train();
  /// One byte changes, as nothing in a training does.
  void go_astray(Random& random);

  /// Writes to what is on offer, and tells nobody for a while. To be followed by own_up() before anything else.
  void scribble(Random& random);
  /// The name of the tensor that was scribbled on, once; none if there is none.
  std::optional<std::string> own_up() { return std::exchange(scribbled_, std::nullopt); }

  /// What is there now becomes the checkpoint. Only while the session lets it be saved.
  void save();
  bool has_checkpoint() const { return checkpoint_.has_value(); }
  /// The step of StateSession::load(): the checkpoint's revision; or an error, before or after something was written.
  Result<std::uint64_t> read_checkpoint(Random& random);

  /// Whether that is memory of a tensor.
  bool holds(const std::byte* at) const;
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
  struct Checkpoint {
    std::uint64_t revision = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<std::byte> all_bytes() const;
  void changed(const StateTensor& tensor);

  std::vector<Memory> memories_;
  std::unique_ptr<StateSession> session_;
  std::optional<Checkpoint> checkpoint_;
  std::optional<std::string> scribbled_;  ///< A tensor.
  std::vector<std::byte> remembered_;
  std::uint64_t own_ = 0;  ///< For tensors that may differ.
};

}  // namespace hawser::sim
