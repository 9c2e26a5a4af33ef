/// Who outlives whom, and who is told what is lost.
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <future>
#include <limits>
#include <stdexcept>

#include "run_fixture.hpp"
#include "runtime/io_thread.hpp"

using namespace hawser;
using namespace hawser::test;
using std::chrono::milliseconds;

namespace {

std::shared_ptr<const CallDone> lost() {
  return std::make_shared<const CallDone>(CallDone{.call = {}, .error = {Status::system, "lost"}, .info = {}});
}

}  // namespace

TEST_CASE("a bound of nothing, or less, looks and does not wait") {
  const auto completion = std::make_shared<Completion>();
  for (const milliseconds bound : {milliseconds(0), milliseconds(-1), milliseconds::min()})
    CHECK(completion->wait_for(bound) == nullptr);
  completion->complete({.call = {1}, .error = {Status::success, {}}, .info = {}});
  for (const milliseconds bound : {milliseconds(0), milliseconds(-1), milliseconds::min()})
    CHECK(completion->wait_for(bound) != nullptr);
}

TEST_CASE("a bound beyond what clocks count is as long as it takes") {
  for (const milliseconds bound :
       {milliseconds::max(), milliseconds(std::numeric_limits<std::int64_t>::max() / 1'000'000),
        milliseconds(std::int64_t{1} << 44)}) {
    const auto completion = std::make_shared<Completion>();
    std::promise<void> waits;
    auto answer = std::async(std::launch::async, [&] {
      waits.set_value();
      return completion->wait_for(bound);
    });
    waits.get_future().wait();
    completion->complete({.call = {1}, .error = {Status::success, {}}, .info = {}});
    CHECK(answer.get() != nullptr);
  }
}

TEST_CASE("an answer that is owed and lost is told as lost, and the first one counts") {
  const auto completion = std::make_shared<Completion>();
  { const OwedAnswer answer(completion, lost()); }
  REQUIRE(completion->is_done());
  CHECK(completion->wait().error.sentence == "lost");
  completion->complete({.call = {1}, .error = {Status::success, {}}, .info = {}});
  CHECK(completion->wait().error.status == Status::system);
}

TEST_CASE("a handler that throws is told, and the rest goes on") {
  asio::io_context io(1);
  int told = 0;
  bool went_on = false;
  asio::post(io, [] { throw std::bad_alloc(); });
  asio::post(io, [] { throw std::runtime_error("something else"); });
  asio::post(io, [] { throw 7; });
  asio::post(io, [&] {
    went_on = true;
    io.stop();
  });
  std::vector<Status> statuses;
  run_io(io, [&](const Thrown& thrown) noexcept {
    ++told;
    statuses.push_back(thrown.status);
  });
  CHECK(told == 3);
  CHECK(statuses == std::vector{Status::system, Status::internal, Status::internal});
  CHECK(went_on);
}

TEST_CASE("a handle of a collective outlives its communicator") {
  TestRun run;
  Peers peers = run.assemble(2);
  std::vector<float> values = contribution_of(0, 100'000);
  auto* const bytes = reinterpret_cast<std::byte*>(values.data());
  auto started = peers[0]->start({.call = {.signature = {.count = values.size()}, .send = bytes, .receive = bytes}});
  REQUIRE(started.ok());
  SECTION("which ended it") {
    peers.clear();
    CHECK(started->wait(milliseconds(0)).status() == Status::closed);
    CHECK(started->wait().status() == Status::closed);
    CHECK(values == contribution_of(0, values.size()));
  }
  SECTION("after a success") {
    const Outcome other = reduce_once(1, *peers[1], {.count = values.size()});
    CHECK(other.status == Status::success);
    REQUIRE(started->wait().ok());
    peers.clear();
    const auto info = started->wait();
    REQUIRE(info.ok());
    CHECK((*info)->contributors.size() == 2);
    CHECK(is_sum_of(values, {0, 1}));
  }
}

TEST_CASE("a large input is back before an aborted call is told, whatever ends it") {
  TestRun run;
  Peers peers = run.assemble(2);
  constexpr std::uint64_t kCount = 24'000'000;
  std::array<Outcome, 2> outcomes;
  std::array<std::thread, 2> calls;
  for (std::size_t who = 0; who < 2; ++who)
    calls[who] = std::thread(
        [&, who] { outcomes[who] = reduce_once(who, *peers[who], {.count = kCount, .in_place = true}); });
  // More of it than goes back in one turn has changed. It may end well before it is broken.
  CHECK(eventually([&] { return peers[0]->payload_bytes_received() > 75 << 20; }));
  SECTION("the other one's death") { peers[1]->vanish(); }
  SECTION("the own end") { CHECK(peers[0]->close().ok()); }
  for (std::thread& call : calls) call.join();
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    CHECK((outcome.status == Status::success || outcome.input_intact));
  }
}
