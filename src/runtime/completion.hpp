#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "device/devices.hpp"
#include "engine/peer_engine.hpp"

namespace hawser {

/// A call that lasts is told of in the log so often.
inline constexpr std::chrono::seconds kLongWaitLogEvery{10};

/// What a call has claimed (a tag, a residual, a place among the calls under way). Its destructor gives it back.
class CallClaim {
 public:
  virtual ~CallClaim() = default;
  /// The call has ended. Comes once at most, right before the claim's end.
  virtual void ended(bool success) noexcept = 0;
};

/// Where threads of the application wait for the I/O thread's answer to one call.
class Completion {
 public:
  /// `claim`, unless null, is given back before anybody who waits goes on.
  explicit Completion(std::unique_ptr<CallClaim> claim = nullptr) : claim_(std::move(claim)) {}

  /// The first answer counts and stays. The other form tells many calls of one end, and takes no memory.
  void complete(CallDone done) noexcept;
  void complete(std::shared_ptr<const CallDone> done) noexcept;

  /// Waits for the answer for so long; null if it did not come. Not above 0: looks and does not wait. More than
  /// the clock can count: as long as it takes.
  /// Returns null, too, soon after look_again() if that flag is raised by then.
  const CallDone* wait_for(std::chrono::milliseconds bound, const std::atomic<bool>* flag = nullptr) const;
  /// Whoever waits with a flag looks at it.
  void look_again() noexcept;
  const CallDone& wait() const;
  bool is_done() const;
  /// Opens it at the answer, at once if that has come.
  void open_when_done(std::shared_ptr<device::Gate> gate);

 private:
  void end_claim(Status status) noexcept;
  void answered() noexcept;

  std::unique_ptr<CallClaim> claim_;
  mutable std::mutex mutex_;
  mutable std::condition_variable done_cv_;
  std::vector<std::shared_ptr<device::Gate>> gates_;  ///< Closed ones.
  std::optional<CallDone> own_;
  std::shared_ptr<const CallDone> shared_;
  const CallDone* done_ = nullptr;  ///< Either of the two.
};

/// The I/O thread's side of a completion: who holds it owes the answer. Whatever it is lost by, an exception or
/// a queue that is thrown away, the caller is told `if_lost`.
class OwedAnswer {
 public:
  OwedAnswer(std::shared_ptr<Completion> completion, std::shared_ptr<const CallDone> if_lost)
      : completion_(std::move(completion)), if_lost_(std::move(if_lost)) {}
  OwedAnswer(OwedAnswer&& other) noexcept = default;
  OwedAnswer& operator=(OwedAnswer&&) = delete;
  ~OwedAnswer() {
    if (completion_) completion_->complete(std::move(if_lost_));
  }

  template <class Done>
  void give(Done done) noexcept {
    if (const auto completion = std::exchange(completion_, nullptr)) completion->complete(std::move(done));
  }

 private:
  std::shared_ptr<Completion> completion_;
  std::shared_ptr<const CallDone> if_lost_;
};

}  // namespace hawser
