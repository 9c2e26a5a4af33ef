#include "failover/members.hpp"

#include <algorithm>
#include <array>
#include <hawser/hawser.hpp>
#include <stdexcept>

namespace hawser::failover {
namespace {

/// Between two calls: the time of a takeover is not one of these members' work.
constexpr std::chrono::milliseconds kPause{5};

}  // namespace

Members::Members(std::string masters, std::size_t count)
    : masters_(std::move(masters)), count_(count), done_(count) {
  for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { serve(i); });
}

Members::~Members() {
  ends_ = true;
  for (std::thread& one : threads_) one.join();
}

void Members::serve(std::size_t which) {
  try {
    reduce_on(which);
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = error.what();
  }
  changed_.notify_all();
}

void Members::reduce_on(std::size_t which) {
  auto comm = Communicator::create({.master = masters_,
                                    .name = "member" + std::to_string(which),
                                    .connect_ms = 60'000,
                                    .min_peers = static_cast<std::uint32_t>(count_),
                                    .io_threads = 1});
  if (!comm) throw std::runtime_error(comm.error().sentence);
  if (const auto joined = comm->connect(); !joined) throw std::runtime_error(joined.error().sentence);
  std::uint64_t last_epoch = 0;
  while (!ends_) {
    std::array<float, 256> values;
    values.fill(1);
    const auto began = Clock::now();
    const auto reduced = comm->all_reduce(values);
    if (!reduced) {
      if (ends_ || reduced.error().code == hawserErrorPeerLost || reduced.error().code == hawserErrorMasterRestarted)
        continue;
      throw std::runtime_error(reduced.error().sentence);
    }
    const auto all = static_cast<float>(count_);
    if (std::any_of(values.begin(), values.end(), [&](float one) { return one != all; }))
      throw std::runtime_error("a member has a wrong sum");
    if (reduced->epoch < last_epoch) throw std::runtime_error("an epoch went back");
    last_epoch = reduced->epoch;
    note(which, {.began = began, .ended = Clock::now(), .epoch = last_epoch});
    std::this_thread::sleep_for(kPause);
  }
}

void Members::note(std::size_t which, Progress progress) {
  {
    const std::lock_guard lock(mutex_);
    done_[which] = progress;
  }
  changed_.notify_all();
}

Clock::time_point Members::all_reduced_since(Clock::time_point since, std::chrono::seconds bound) {
  std::unique_lock lock(mutex_);
  std::vector<std::optional<Clock::time_point>> ended(count_);
  const auto is_done = [&] {
    if (failure_) return true;
    bool all = true;
    for (std::size_t i = 0; i < count_; ++i) {
      if (!ended[i] && done_[i].epoch != 0 && done_[i].began >= since) ended[i] = done_[i].ended;
      all = all && ended[i];
    }
    return all;
  };
  if (!changed_.wait_for(lock, bound, is_done))
    throw std::runtime_error("not all members had a result within " + std::to_string(bound.count()) + " s");
  if (failure_) throw std::runtime_error(*failure_);
  Clock::time_point last{};
  for (const auto& one : ended) last = std::max(last, *one);
  return last;
}

std::uint64_t Members::term() {
  const std::lock_guard lock(mutex_);
  return done_[0].epoch >> 32;
}

}  // namespace hawser::failover
