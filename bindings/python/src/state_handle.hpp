#pragma once

#include <hawser_shared_state.h>

#include <memory>
#include <string>
#include <vector>

#include "comm_handle.hpp"
#include "gil.hpp"
#include "tensor.hpp"

namespace hawser_python {

/// A shared state and the tensors that it reads and writes. Every function needs the GIL, and lets go of it
/// where it waits.
class StateHandle {
 public:
  /// A name, a tensor, whether its content may differ.
  struct Entry {
    std::string name;
    nb::object tensor;
    bool allow_content_inequality = false;
  };
  explicit StateHandle(const std::vector<Entry>& entries);
  ~StateHandle();
  StateHandle(const StateHandle&) = delete;
  StateHandle& operator=(const StateHandle&) = delete;

  /// Lets the tensors go. Raises InvalidUsage while a call uses it.
  void close();

  /// Raises Closed. The token says as long as it lives that the state is in use.
  struct Use {
    hawserSharedState_t handle;
    std::shared_ptr<void> token;
  };
  Use use();

  /// Runs a call that needs no communicator, without the GIL; not to be broken off.
  template <class Call>
  void run(const Call& call) {
    const Use used = use();
    Outcome outcome;
    {
      const GilReleased released;
      outcome = outcome_of(call(used.handle));
    }
    raise_unless_ok(outcome);
  }

 private:
  long process_;
  hawserSharedState_t handle_ = nullptr;
  std::vector<Tensor> tensors_;
  std::shared_ptr<void> token_ = std::make_shared<char>();
};

}  // namespace hawser_python
