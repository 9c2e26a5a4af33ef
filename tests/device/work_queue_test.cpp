#include <algorithm>
#include <atomic>
#include <future>
#include <vector>

#include "catch.hpp"
#include "device/patient_stream.hpp"
#include "device/sim_devices.hpp"
#include "device/stream_waits.hpp"
#include "device/work_queue.hpp"

namespace hawser::device {
namespace {

constexpr std::chrono::minutes kJobBound{5};

/// Down from the device into `to`; the promise hears of the end.
WorkQueue::Job download(std::byte* to, const std::byte* from, std::size_t bytes, std::promise<Result<void>>& ended) {
  return {.steps = {WorkQueue::Copy{.to = to, .from = from, .bytes = bytes}},
          .done = [&ended](const Result<void>& outcome) { ended.set_value(outcome); }};
}

TEST_CASE("jobs of a work queue end in their order") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(1)});
  auto memory = devices->allocate(0, 100 * 64);
  REQUIRE(memory.ok());
  std::vector<std::byte> input(100 * 64);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i * 7);
  devices->copy_now((*memory)->bytes(), input.data(), input.size());
  std::vector<std::byte> output(input.size());
  std::vector<int> order;
  std::atomic<int> failed{0};
  {
    auto queue = WorkQueue::start(*devices, 0, kJobBound);
    REQUIRE(queue.ok());
    for (int job = 0; job < 100; ++job)
      (*queue)->put({.steps = {WorkQueue::Copy{.to = output.data() + job * 64,
                                               .from = (*memory)->bytes() + job * 64,
                                               .bytes = 64}},
                     .done = [&, job](const Result<void>& outcome) {
                       order.push_back(job);
                       if (!outcome.ok()) ++failed;
                     }});
  }
  CHECK(failed == 0);
  REQUIRE(order.size() == 100);
  for (int job = 0; job < 100; ++job) CHECK(order[static_cast<std::size_t>(job)] == job);
  CHECK(output == input);
}

TEST_CASE("pageable memory goes through pinned pieces, and others see the order of the queue") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(1)});
  constexpr std::size_t kBytes = 5 * StagedCopies::kPieceBytes + 77;
  auto memory = devices->allocate(0, kBytes);
  REQUIRE(memory.ok());
  std::vector<std::byte> input(kBytes), output(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) input[i] = static_cast<std::byte>(i * 7 + i / 1000);
  {
    auto queue = WorkQueue::start(*devices, 0, kJobBound);
    REQUIRE(queue.ok());
    std::byte* const there = (*memory)->bytes();
    (*queue)->put({.steps = {WorkQueue::Copy{.to = there, .from = input.data(), .bytes = kBytes},
                             WorkQueue::Copy{.to = output.data(), .from = there, .bytes = kBytes}},
                   .done = [](const Result<void>& outcome) { CHECK(outcome.ok()); }});
  }
  CHECK(output == input);
  std::fill(output.begin(), output.end(), std::byte{0});
  {
    auto stream = PatientStream::make(*devices, 0, kJobBound);
    REQUIRE(stream.ok());
    CHECK((*stream)->copy(output.data(), (*memory)->bytes(), kBytes).ok());
    CHECK((*stream)->copy((*memory)->bytes(), input.data() + 1, kBytes - 1).ok());
  }
  CHECK(output == input);
  devices->copy_now(output.data(), (*memory)->bytes(), kBytes - 1);
  CHECK(std::equal(output.begin(), output.end() - 1, input.begin() + 1));
  CHECK(devices->counters().pageable_copies == 0);
}

TEST_CASE("after one failed copy all later jobs fail") {
  const auto devices = SimDevices::make({.delay_most = {}});
  auto memory = devices->allocate(0, 64);
  auto other = devices->allocate(1, 64);
  REQUIRE(memory.ok());
  REQUIRE(other.ok());
  auto queue = WorkQueue::start(*devices, 0, kJobBound);
  REQUIRE(queue.ok());
  std::byte here[64] = {};
  std::promise<Result<void>> well, wrong, after;
  (*queue)->put(download(here, (*memory)->bytes(), 64, well));
  (*queue)->put(download(here, (*other)->bytes(), 64, wrong));
  (*queue)->put(download(here, (*memory)->bytes(), 64, after));
  CHECK(well.get_future().get().ok());
  const auto error = wrong.get_future().get();
  CHECK(error.status() == Status::invalid_argument);
  CHECK(after.get_future().get().status() == Status::invalid_argument);
}

TEST_CASE("a job that ends with the error of an earlier one is not at work any more") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(50)});
  auto memory = devices->allocate(0, 64);
  auto other = devices->allocate(1, 64);
  REQUIRE(memory.ok());
  REQUIRE(other.ok());
  const std::vector<std::byte> content(64, std::byte{9});
  devices->copy_now((*memory)->bytes(), content.data(), content.size());
  auto queue = WorkQueue::start(*devices, 0, kJobBound);
  REQUIRE(queue.ok());
  std::promise<void> all_are_there;
  std::promise<Result<void>> wrong;
  (*queue)->put({.steps_of = [&]() -> Result<std::vector<WorkQueue::Step>> {
                   all_are_there.get_future().wait();
                   return std::vector<WorkQueue::Step>{};
                 },
                 .done = [](const Result<void>&) {}});
  std::vector<std::byte> there(64);
  (*queue)->put(download(there.data(), (*other)->bytes(), 64, wrong));
  std::promise<bool> had_come;
  (*queue)->put({.steps = {WorkQueue::Copy{.to = there.data(), .from = (*memory)->bytes(), .bytes = 64}},
                 .done = [&](const Result<void>& outcome) { had_come.set_value(!outcome.ok() && there == content); }});
  all_are_there.set_value();
  CHECK(had_come.get_future().get());
  CHECK_FALSE(wrong.get_future().get().ok());
}

TEST_CASE("a device that does not answer is an error after the patience, and nobody waits for its end") {
  // Kept: its stream is still at work when the test ends.
  static auto devices = SimDevices::make({.delay_most = {}});
  static auto memory = std::move(*devices->allocate(0, 64));
  static std::byte here[64];
  devices->hang_device(0);
  auto queue = WorkQueue::start(*devices, 0, std::chrono::milliseconds(1));
  REQUIRE(queue.ok());
  std::promise<Result<void>> ended;
  (*queue)->put(download(here, memory->bytes(), 64, ended));
  const auto outcome = ended.get_future().get();
  REQUIRE(!outcome.ok());
  CHECK(outcome.error().sentence == "device 0 has not finished its work within 1 ms: it hangs");
  CHECK((*queue)->finish());
}

TEST_CASE("events of streams are waited for beside each other, and whoever waits at the end is told") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(2)});
  auto memory = devices->allocate(0, 64);
  REQUIRE(memory.ok());
  std::vector<std::uintptr_t> streams;
  std::promise<Result<void>> both, closed;
  {
    StreamWaits waits;
    StreamWaits::Events events;
    const std::byte bytes[64] = {};
    for (int i = 0; i < 2; ++i) {
      streams.push_back(devices->make_user_stream(0));
      REQUIRE(devices->upload_on(streams.back(), (*memory)->bytes(), bytes, 64).ok());
      events.push_back(*devices->record_on(0, streams.back()));
    }
    REQUIRE(waits.put(events, [&](const Result<void>& come) { both.set_value(come); }).ok());
    CHECK(both.get_future().get().ok());
    CHECK(*StreamWaits::have_come(events));
    // An event that comes only when its stream is asked to end.
    struct Never final : Event {
      Result<bool> wait(std::chrono::milliseconds) override { return false; }
    };
    REQUIRE(waits.put({std::make_shared<Never>()}, [&](const Result<void>& come) { closed.set_value(come); }).ok());
  }
  CHECK(closed.get_future().get().status() == Status::closed);
}

}  // namespace
}  // namespace hawser::device
