#include <asio/post.hpp>
#include <utility>

#include "runtime/clock.hpp"
#include "runtime/peer_driver.hpp"

/// Works on payloads: on which thread or device, and how they come back.
namespace hawser {
namespace {

/// Handing a work to another thread costs about as much as running one on so many bytes.
constexpr std::size_t kInlineWorkBytes = 128 << 10;

}  // namespace

void PeerDriver::perform_one(RunWork& action) {
  if (action.work.device != kOnHost) return work_on_device(std::move(action));
  if (action.may_wait && action.work.bytes > kInlineWorkBytes) return work_in_turns(std::move(action));
  seat().works.push_back(std::move(action));
}

/// What the engine wants done on payloads, and what that leads to. The thread of the io_context leaves large ones to
/// lanes.
void PeerDriver::run_works(EngineSeat& mine) {
  if (mine.is_working || mine.works.empty()) return;
  struct Working {
    explicit Working(bool& working) : flag(working) { flag = true; }
    ~Working() { flag = false; }
    bool& flag;
  };
  const Working working(mine.is_working);
  while (!mine.works.empty() && !is_over_) {
    RunWork one = std::move(mine.works.front());
    mine.works.pop_front();
    if (lanes_ && &mine == &seat_ && one.work.bytes > kInlineWorkBytes) {
      Lanes::Lane& lane = lanes_->next();
      asio::post(lane.io, [this, &lane, work = std::move(one)]() mutable {
        lane.seat.works.push_back(std::move(work));
        run_works(lane.seat);
        settle_lane(lane.seat);
      });
      continue;
    }
    if (!begin_work()) return;
    const Instant began = now();
    WorkResult result;
    try {
      result = run(one.work, mine.desk);
    } catch (...) {
      end_work();
      throw;
    }
    end_work();
    step(WorkDone{.token = one.token, .result = result, .took = now() - began});
  }
}

/// Of memory that a call's end puts in order: tens of GiB perhaps, and everything else has its turn in between.
void PeerDriver::work_in_turns(RunWork work) {
  if (!lanes_) {
    seat_.patient.push_back(std::move(work));
    return arrange_turn(seat_, io_);
  }
  Lanes::Lane& lane = lanes_->next();
  asio::post(lane.io, [this, &lane, work = std::move(work)]() mutable {
    lane.seat.patient.push_back(std::move(work));
    arrange_turn(lane.seat, lane.io);
  });
}

void PeerDriver::work_on_device(RunWork work) {
  const auto put = config_.devices->put(
      work.work, [this, token = work.token](const Result<void>& outcome) { device_ended(token, outcome); });
  if (!put.ok()) device_ended(work.token, put);
}

/// From any thread. A device that failed takes this peer out of the run, so that nobody else waits for it.
void PeerDriver::device_ended(WorkToken token, const Result<void>& outcome) noexcept {
  try {
    if (!outcome.ok()) return lane_failed(thrown_of(outcome.error()));
    asio::post(io_, [this, token] {
      step(WorkDone{.token = token, .result = {}});
      settle();
    });
  } catch (...) {
    lane_failed(what_was_thrown());
  }
}

/// On the thread whose seat that is.
void PeerDriver::arrange_turn(EngineSeat& seat, asio::io_context& io) {
  if (seat.turn_posted || seat.patient.empty()) return;
  asio::post(io, [this, &seat, &io] {
    seat.turn_posted = false;
    if (is_over_) return;
    seat.works.push_back(std::move(seat.patient.front()));
    seat.patient.pop_front();
    arrange_turn(seat, io);
    run_works(seat);
    settle();
  });
  seat.turn_posted = true;
}

/// Works on lanes may be waited for. False once none may begin any more.
bool PeerDriver::begin_work() noexcept {
  if (!lanes_) return true;
  const std::lock_guard lock(works_mutex_);
  if (no_more_works_) return false;
  ++works_running_;
  return true;
}

void PeerDriver::end_work() noexcept {
  if (!lanes_) return;
  const std::lock_guard lock(works_mutex_);
  if (--works_running_ == 0) works_ended_.notify_all();
}

/// Waits for those that run: a few milliseconds at most.
void PeerDriver::stop_works() noexcept {
  if (!lanes_) return;
  std::unique_lock lock(works_mutex_);
  no_more_works_ = true;
  works_ended_.wait(lock, [this] { return works_running_ == 0; });
}

}  // namespace hawser
