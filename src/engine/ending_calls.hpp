#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "engine/peer_engine.hpp"

namespace hawser {

/// Calls that are over for the engine while their memory is put in order: what RestoreInput and SettleResult ask
/// for, in slices, so that whoever drives the engine does other things in between. The CallDone of such a call is
/// kept until the last slice. Pure.
///
/// Until a call's end is told, its input can still be put back, whatever throws.
class EndingCalls {
 public:
  /// `turn_bytes`: so much is done in one turn, of all calls together.
  explicit EndingCalls(std::size_t turn_bytes) : turn_bytes_(turn_bytes), budget_(turn_bytes) {}

  /// Takes the work over, and does of it what this turn has room for.
  void take(RestoreInput& action) { take(action.call, action.execution, Work::restore); }
  void take(SettleResult& action) { take(action.call, action.execution, Work::settle); }
  /// Whether this call's end may be told now: then forget() it. If not it is kept, and next() gives it.
  bool may_end(CallDone& done);
  void forget(CallId call) noexcept;

  /// The turn is over: the next one may do as much.
  void turn_ends() { budget_ = turn_bytes_; }
  /// Works on until the end of some call may be told, and gives that; none once the turn has done its part.
  std::optional<CallDone> next();
  /// The turn that has begun does everything: nobody waits any more.
  void hurry() { budget_ = kAll; }
  /// Whether later turns have something to do.
  bool has_work() const { return !endings_.empty(); }
  bool has(CallId call) const;

  /// For after an exception: all inputs are as they were. The ends that were kept are forgotten.
  void undo_all() noexcept;

 private:
  static constexpr std::size_t kAll = ~std::size_t{0};
  enum class Work { restore, settle };
  struct Ending {
    CallId call;
    Work work = Work::restore;
    std::shared_ptr<Execution> execution;
    std::optional<CallDone> done;  ///< Once the engine has told it.
    bool in_order = false;
  };
  void take(CallId call, std::shared_ptr<Execution>& execution, Work work);
  void work_on(Ending& ending);
  std::vector<Ending>::iterator find(CallId call);

  std::size_t turn_bytes_;
  std::size_t budget_;
  std::vector<Ending> endings_;  ///< Oldest first.
};

}  // namespace hawser
