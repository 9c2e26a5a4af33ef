#include <atomic>
#include <future>
#include <vector>

#include "catch.hpp"
#include "device/copy_queue.hpp"
#include "device/sim_devices.hpp"

namespace hawser::device {
namespace {

constexpr std::chrono::minutes kJobBound{5};

/// Down from the device into `to`; the promise hears of the end.
CopyQueue::Job download(std::byte* to, const std::byte* from, std::size_t bytes, std::promise<Result<void>>& ended) {
  return {.copies = {{.to = to, .from = from, .bytes = bytes}},
          .after = nullptr,
          .done = [&ended](const Result<void>& outcome) { ended.set_value(outcome); }};
}

TEST_CASE("jobs of a copy queue end in their order, each after its event") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(1)});
  auto memory = devices->allocate(0, 100 * 64);
  REQUIRE(memory.ok());
  std::vector<std::byte> input(100 * 64);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i * 7);
  const std::uintptr_t user = devices->make_user_stream(0);
  REQUIRE(devices->upload_on(user, (*memory)->bytes(), input.data(), input.size()).ok());
  auto written = devices->record_on(0, user);
  REQUIRE(written.ok());
  std::vector<std::byte> output(input.size());
  std::vector<int> order;
  std::atomic<int> failed{0};
  {
    auto queue = CopyQueue::start(*devices, 0, kJobBound);
    REQUIRE(queue.ok());
    for (int job = 0; job < 100; ++job)
      (*queue)->put({.copies = {{.to = output.data() + job * 64, .from = (*memory)->bytes() + job * 64, .bytes = 64}},
                     .after = job == 0 ? *written : nullptr,
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

TEST_CASE("after one failed copy all later jobs fail") {
  const auto devices = SimDevices::make({.delay_most = {}});
  auto memory = devices->allocate(0, 64);
  auto other = devices->allocate(1, 64);
  REQUIRE(memory.ok());
  REQUIRE(other.ok());
  auto queue = CopyQueue::start(*devices, 0, kJobBound);
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

TEST_CASE("a device that does not answer is an error after the patience") {
  const auto devices = SimDevices::make({.delay_most = {}});
  auto memory = devices->allocate(0, 64);
  REQUIRE(memory.ok());
  // The job waits for an event that takes half a second to come.
  auto slow = SimDevices::make({.bytes_per_second = 100, .delay_most = {}});
  auto slow_memory = slow->allocate(0, 64);
  auto slow_stream = slow->make_stream(0);
  REQUIRE(slow_memory.ok());
  REQUIRE(slow_stream.ok());
  std::byte here[64] = {};
  REQUIRE((*slow_stream)->copy((*slow_memory)->bytes(), here, 50).ok());
  auto late = (*slow_stream)->record();
  REQUIRE(late.ok());
  auto queue = CopyQueue::start(*devices, 0, std::chrono::milliseconds(1));
  REQUIRE(queue.ok());
  std::promise<Result<void>> ended;
  auto job = download(here, (*memory)->bytes(), 64, ended);
  job.after = *late;
  (*queue)->put(std::move(job));
  const auto outcome = ended.get_future().get();
  REQUIRE(!outcome.ok());
  CHECK(outcome.error().sentence.starts_with("device 0 has not finished a copy within 1 ms"));
}

}  // namespace
}  // namespace hawser::device
