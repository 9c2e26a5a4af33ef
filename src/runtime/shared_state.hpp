#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "runtime/communicator.hpp"
#include "runtime/device_tensors.hpp"
#include "shared_state/state_session.hpp"

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
  /// Of tensors on devices: what is on it now comes first (DeviceTensors::begin). 0: the default streams.
  std::uintptr_t stream = 0;
  /// Called now and then during a transfer, by the thread that waits; may be empty.
  std::function<void(const SyncProgress&)> progress;
};

/// hawserCommConnectPrefetch has the contract.
struct PrefetchArguments {
  Duration bound = seconds(600);
  std::uintptr_t stream = 0;                          ///< As in SyncArguments.
  std::function<void(const SyncProgress&)> progress;  ///< May be empty.
};

/// Named tensors in the caller's memory, and what this member knows of them. Safe from several threads; a call
/// beside another one is answered with invalid_usage.
class SharedState {
 public:
  /// Finds out where the tensors lie. Errors: those of StateContent::create; invalid_argument for a tensor that reaches
  /// beyond its allocation on a device.
  static Result<std::unique_ptr<SharedState>> create(std::vector<StateTensor> tensors);
  /// Takes it out of use, for its end: every later call finds it in use. Error: invalid_usage.
  Result<void> retire();

  ~SharedState();

  SyncOutcome sync(Communicator& communicator, const SyncArguments& arguments);

  Result<void> offer(Communicator& communicator);
  Result<void> withdraw();
  PrefetchOutcome connect(Communicator& communicator, const PrefetchArguments& arguments);

  Result<std::uint64_t> revision() const;
  Result<void> set_revision(std::uint64_t revision);
  /// The caller has written to a tensor.
  Result<void> mark_changed(const std::string& name);
  /// The caller has written to all tensors, which are then complete again.
  Result<void> mark_all_changed();
  // These three have no communicator: they give a device DeviceTensors::kPatience.

  /// Of all tensors that may not differ, as content_digest(). Error: system, of a device.
  Result<Digest128> digest(std::uintptr_t stream = 0);
  /// As save_checkpoint() and load_checkpoint(); the revision is kept with the tensors.
  Result<void> save(const std::string& path, std::uintptr_t stream = 0);
  Result<std::uint64_t> load(const std::string& path, std::uintptr_t stream = 0);

 private:
  SharedState(std::unique_ptr<StateContent> content, std::unique_ptr<DeviceTensors> devices)
      : session_(std::move(content)), devices_(std::move(devices)) {}

  /// Keeps other calls out while it lives.
  class Claim {
   public:
    explicit Claim(std::atomic<bool>& busy) : busy_(busy), taken_(!busy.exchange(true)) {}
    ~Claim() {
      if (taken_) busy_ = false;
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    explicit operator bool() const { return taken_; }

   private:
    std::atomic<bool>& busy_;
    bool taken_;
  };
  static Error in_use();
  /// What the steps of one operation need; null where the operation has no such step.
  struct Means {
    Communicator* communicator = nullptr;
    const SyncArguments* sync = nullptr;
    const PrefetchArguments* prefetch = nullptr;
    const std::string* path = nullptr;
  };
  /// Begins an operation of the session's and performs its steps to the end. By the call that has claimed the state.
  void drive(const std::function<StateSession::Next()>& begin, const Means& means);
  StateSession::Next perform(StateSession::Next step, const Means& means);
  StateSession::Next perform_collective(const Means& means);
  StateSession::Next perform_connect(const Means& means);
  StateSession::Next perform_load(const Means& means);
  StateSession::Next perform_digest(const Means& means);
  /// Waits for the caller's streams. `communicator`: null without one.
  Result<void> come_after(std::uintptr_t stream, Communicator* communicator);
  /// By the call that has claimed the state.
  Result<void> done() const;
  Result<void> take_back();
  Result<void> let_read(Communicator& communicator);

  mutable std::atomic<bool> busy_{false};
  StateSession session_;
  std::unique_ptr<DeviceTensors> devices_;  ///< Null where all tensors lie on the host.
  std::shared_ptr<CommunicatorSlot> offered_through_;
};

}  // namespace hawser
