#include "device/work_queue.hpp"

#include <system_error>
#include <utility>

#include "device/patient_stream.hpp"

namespace hawser::device {
namespace {

/// Jobs on the stream at a time: enough to keep it busy while this thread hears of the oldest one's end.
constexpr std::size_t kBegunMost = 16;

}  // namespace

Result<std::unique_ptr<WorkQueue>> WorkQueue::start(Devices& devices, int device, std::chrono::milliseconds patience) {
  auto stream = devices.make_stream(device);
  if (!stream.ok()) return stream.error();
  std::unique_ptr<WorkQueue> queue(new WorkQueue(devices, std::move(*stream), device, patience));
  // Here, where the driver may take its time.
  if (const auto ready = queue->copies_.make_ready(); !ready.ok()) return ready.error();
  try {
    queue->thread_ = std::thread([&self = *queue] { self.work(); });
  } catch (const std::system_error& error) {
    return Error{Status::system, std::string("no thread for a device's copies: ") + error.what()};
  }
  return queue;
}

WorkQueue::~WorkQueue() { static_cast<void>(finish()); }

bool WorkQueue::finish() noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  cv_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (hangs_) {
    copies_.lose();
    static_cast<void>(stream_.release());
  }
  return hangs_;
}

void WorkQueue::put(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  cv_.notify_all();
}

Result<std::shared_ptr<Event>> WorkQueue::begin(const Job& job) {
  if (failed_) return *failed_;
  std::vector<Step> made;
  if (job.steps_of) {
    auto said = job.steps_of();
    if (!said.ok()) return said.error();
    made = std::move(*said);
  }
  for (const Step& step : job.steps_of ? made : job.steps) {
    const auto* const copy = std::get_if<Copy>(&step);
    const auto put = copy == nullptr ? stream_->launch(std::get<Launch>(step))
                                     : copies_.copy(*stream_, copy->to, copy->from, copy->bytes);
    hangs_ = hangs_ || copies_.hangs();
    if (!put.ok()) return put.error();
  }
  return stream_->record();
}

void WorkQueue::end_oldest() {
  Begun oldest = std::move(begun_.front());
  begun_.pop_front();
  Result<void> outcome;
  if (!oldest.end.ok()) outcome = oldest.end.error();
  // What has failed may have put some of its steps, and later jobs theirs: their memory is in use until these are over.
  auto end = !oldest.end.ok() && !hangs_ ? stream_->record() : std::move(oldest.end);
  if (end.ok() && !hangs_) {
    const auto ended = (*end)->wait(patience_);
    if (ended.ok() && !*ended) hangs_ = true;
    if (outcome.ok() && !ended.ok()) outcome = ended.error();
    if (outcome.ok() && hangs_) outcome = hangs(device_, patience_);
  }
  if (outcome.ok() && failed_) outcome = *failed_;
  if (!outcome.ok() && !failed_) failed_ = outcome.error();
  oldest.job.done(outcome);
}

void WorkQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (begun_.empty()) cv_.wait(lock, [&] { return is_over_ || !jobs_.empty(); });
    while (!jobs_.empty() && begun_.size() < kBegunMost) {
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      auto end = begin(job);
      begun_.push_back({std::move(job), std::move(end)});
      lock.lock();
    }
    if (begun_.empty()) return;
    lock.unlock();
    end_oldest();
    lock.lock();
  }
}

}  // namespace hawser::device
