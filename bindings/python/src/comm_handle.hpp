#pragma once

#include <hawser.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "failure.hpp"
#include "helper_call.hpp"
#include "tensor.hpp"

namespace hawser_python {

/// Members of a group, at most: room for all contributors and sources.
constexpr std::uint32_t kMembersMax = 1024;

/// A communicator and what still belongs to the library on its behalf: the memory of calls that were left by
/// a signal, and of operations that nobody waits for. All of it is given back when those have ended, at the
/// latest by close(). Every function needs the GIL, and lets go of it where it waits.
class CommHandle {
 public:
  explicit CommHandle(const hawserCommConfig_t& config);
  ~CommHandle();
  CommHandle(const CommHandle&) = delete;
  CommHandle& operator=(const CommHandle&) = delete;

  /// Leaves the run and ends all calls under way with Closed. Again: does nothing.
  void close();
  bool is_closed() const;

  /// A call that does not wait. Raises Closed, or what it came to.
  template <class Call>
  void look(const Call& call) {
    const UnderWay entry(*this);
    check(call(handle_));
  }

  /// A call that waits. `work` runs without the GIL, in this thread or another, and may go on when this has
  /// raised what a signal's handler raised: it owns what it writes to. `kept` is kept until it has ended.
  /// `on_progress(bytes_done, bytes_total)` is called by this thread, unless it is None; what it raises is
  /// raised in the end, and by a KeyboardInterrupt at once.
  using Work = std::function<hawserResult_t(hawserComm_t, HelperCall*)>;
  void wait_for(Work work, std::shared_ptr<Kept> kept, nb::handle on_progress = nb::none());

  /// Begins an operation; does not wait.
  hawserOp_t start(const std::function<hawserResult_t(hawserComm_t, hawserOp_t*)>& begin);
  /// Takes over an operation that has not ended.
  void adopt(hawserOp_t op, std::shared_ptr<Kept> kept);

  /// Whether the process is the one that made it; after a fork nothing of it may be touched.
  bool is_ours() const;

 private:
  /// A call of a Python thread; raises Closed or InvalidUsage if there can be none.
  class UnderWay {
   public:
    explicit UnderWay(CommHandle& owner);
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    CommHandle& owner_;
    std::list<std::thread::id>::iterator entry_;
  };
  /// What nobody waits for any more.
  struct Left {
    std::shared_ptr<HelperCall> call;
    hawserOp_t op = nullptr;
    std::shared_ptr<Kept> kept;
  };

  void wait_in_slices(const std::shared_ptr<HelperCall>& call, const std::shared_ptr<Kept>& kept,
                      nb::handle on_progress);
  void reap();

  long process_;
  hawserComm_t handle_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  bool closing_ = false;
  bool closed_ = false;
  std::list<std::thread::id> under_way_;
  std::vector<Left> left_;
};

}  // namespace hawser_python
