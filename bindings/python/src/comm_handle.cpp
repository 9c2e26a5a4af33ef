#include "comm_handle.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <utility>

#include "gil.hpp"
#include "signals.hpp"

namespace hawser_python {
namespace {

/// Other threads that have been told Closed get so long to take the GIL and leave.
constexpr std::chrono::seconds kLeave{2};

}  // namespace

CommHandle::CommHandle(const hawserCommConfig_t& config) : process_(::getpid()) {
  Outcome outcome;
  {
    const GilReleased released;
    outcome = outcome_of(hawserCommCreate(&config, &handle_));
  }
  raise_unless_ok(outcome);
}

CommHandle::~CommHandle() {
  close();
  if (!is_ours()) return;
  // Nobody refers to it any more, so nobody can be about to call.
  const GilReleased released;
  (void)hawserCommDestroy(handle_);
}

bool CommHandle::is_ours() const { return process_ == ::getpid(); }

bool CommHandle::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closing_;
}

CommHandle::UnderWay::UnderWay(CommHandle& owner) : owner_(owner) {
  if (!owner.is_ours())
    raise_invalid_usage("this communicator was made before the process forked, and lives in the parent only");
  {
    const std::lock_guard lock(owner.mutex_);
    if (!owner.closing_) {
      entry_ = owner.under_way_.insert(owner.under_way_.end(), std::this_thread::get_id());
      return;
    }
  }
  raise_closed("this communicator is closed");
}

CommHandle::UnderWay::~UnderWay() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.under_way_.erase(entry_);
  owner_.ended_.notify_all();
}

void CommHandle::close() {
  if (!is_ours()) {
    // Threads and sockets are the parent's. What they would have given back is lost with this process.
    if (!left_.empty()) (void)new std::vector<Left>(std::move(left_));
    return;
  }
  {
    const GilReleased released;
    std::unique_lock lock(mutex_);
    if (closing_) {
      ended_.wait_for(lock, kLeave, [this] { return closed_; });
      return;
    }
    closing_ = true;
    lock.unlock();
    // The handle stays until nobody refers to this object: another thread may be about to call.
    (void)hawserCommClose(handle_);
    lock.lock();
    // A handler that a waiting call has run may be what closes: that call is under way below us.
    const auto self = std::this_thread::get_id();
    ended_.wait_for(lock, kLeave,
                    [&] { return std::ranges::count(under_way_, self) == std::ssize(under_way_); });
    closed_ = true;
    ended_.notify_all();
  }
  reap();
}

void CommHandle::reap() {
  const auto has_ended = [](const Left& left) {
    if (left.call) return left.call->has_ended();
    int ended = 0;
    return hawserOpTest(left.op, &ended) != hawserSuccess || ended != 0;
  };
  std::vector<Left> done;
  for (auto left = left_.begin(); left != left_.end();) {
    if (closed_ || has_ended(*left)) {
      done.push_back(std::move(*left));
      left = left_.erase(left);
    } else {
      ++left;
    }
  }
  for (Left& left : done) {
    const GilReleased released;
    if (left.op != nullptr) (void)hawserOpDestroy(left.op);
    left.call.reset();
  }
}

void CommHandle::wait_for(Work work, std::shared_ptr<Kept> kept, nb::handle on_progress) {
  reap();
  const UnderWay entry(*this);
  if (on_progress.is_none() && !handles_signals()) {
    Outcome outcome;
    {
      const GilReleased released;
      outcome = outcome_of(work(handle_, nullptr));
    }
    raise_unless_ok(outcome);
    return;
  }
  std::shared_ptr<HelperCall> call;
  try {
    call = HelperCall::start(
        [work = std::move(work), handle = handle_](HelperCall& self) { return work(handle, &self); });
  } catch (const std::system_error& error) {
    raise({.code = hawserErrorSystem, .sentence = std::string("no thread for this call: ") + error.what()});
  }
  wait_in_slices(call, kept, on_progress);
}

void CommHandle::wait_in_slices(const std::shared_ptr<HelperCall>& call, const std::shared_ptr<Kept>& kept,
                                nb::handle on_progress) {
  nb::object callback = nb::borrow(on_progress);
  nb::object raised;
  while (true) {
    HelperCall::Event event;
    {
      const GilReleased released;
      event = call->wait(kSignalSlice);
    }
    if (event == HelperCall::Event::ended) break;
    // Left here, the call goes on, and its memory stays until it has ended.
    const auto leave = [&] { left_.push_back({.call = call, .op = nullptr, .kept = kept}); };
    if (!pass_signals()) {
      leave();
      throw nb::python_error();
    }
    if (event != HelperCall::Event::progressed || callback.is_none()) continue;
    try {
      const Progress progress = call->progress();
      callback(progress.bytes_done, progress.bytes_total);
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_Exception)) {
        leave();
        throw;
      }
      raised = nb::borrow(error.value());
      callback = nb::none();
    }
  }
  if (raised.is_valid()) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
    throw nb::python_error();
  }
  raise_unless_ok(call->outcome());
}

hawserOp_t CommHandle::start(const std::function<hawserResult_t(hawserComm_t, hawserOp_t*)>& begin) {
  reap();
  const UnderWay entry(*this);
  hawserOp_t op = nullptr;
  Outcome outcome;
  {
    const GilReleased released;
    outcome = outcome_of(begin(handle_, &op));
  }
  raise_unless_ok(outcome);
  return op;
}

void CommHandle::adopt(hawserOp_t op, std::shared_ptr<Kept> kept) {
  left_.push_back({.call = nullptr, .op = op, .kept = std::move(kept)});
}

}  // namespace hawser_python
