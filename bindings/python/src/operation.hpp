#pragma once

#include <hawser.h>

#include <cstdint>
#include <hawser/collectives.hpp>
#include <memory>
#include <mutex>
#include <optional>

#include "comm_handle.hpp"
#include "tensor.hpp"

namespace hawser_python {

/// A collective in the background. Dropped before it has ended, it goes on, and its memory is kept by the
/// communicator. Every function needs the GIL, and lets go of it where it waits.
class Operation {
 public:
  Operation(std::shared_ptr<CommHandle> comm, hawserOp_t op, std::shared_ptr<Kept> kept)
      : comm_(std::move(comm)), op_(op), kept_(std::move(kept)) {}
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  bool test() const;
  /// Waits for the end, or for so long (nullopt: as long as it takes). Raises what a signal's handler raises,
  /// and goes on then.
  hawser::Reduced wait(std::optional<std::uint64_t> timeout_ms);
  void cancel() const;
  /// By the stream's address; 0: the default one.
  void stream_wait(std::uintptr_t stream) const;

 private:
  struct Look;
  Look look(std::uint64_t timeout_ms) const;
  void check_process() const;

  std::shared_ptr<CommHandle> comm_;
  hawserOp_t op_;
  std::shared_ptr<Kept> kept_;
};

}  // namespace hawser_python
