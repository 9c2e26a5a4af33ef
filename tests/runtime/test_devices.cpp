#include <cstring>

#include "catch.hpp"
#include "run_fixture.hpp"
#include "runtime/clock.hpp"

/// Run with HAWSER_DEVICE=sim:devices=6 (runtime_on_devices); without it there is nothing to test here. A test that
/// breaks a device has that for itself: it stays broken.
namespace hawser::test {
namespace {

constexpr std::chrono::minutes kEventBound{5};

CollectiveArguments reduce_on(const DeviceVector& from, const DeviceVector& to, std::uint64_t count) {
  return {.call = {.signature = {.count = count}, .send = from.bytes(), .receive = to.bytes()},
          .stream = from.stream()};
}

/// Calls again after a loss: who is late finds another view than who was early.
Outcome reduce_with_the_rest(std::size_t who, Communicator& peer, std::uint64_t count) {
  Outcome outcome;
  for (int attempt = 0; attempt < 5; ++attempt) {
    outcome = reduce_once(who, peer, {.count = count});
    if (outcome.status != Status::peer_lost) break;
    CHECK(outcome.input_intact);
  }
  return outcome;
}

}  // namespace

TEST_CASE("all kinds of collectives take tensors of devices, in place and not, quantised and not") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(4);
  for (const bool in_place : {false, true})
    for (const PlanKind plan : {PlanKind::direct, PlanKind::ring})
      for (const std::uint64_t count : {1ULL, 70'000ULL, 3'000'000ULL}) {
        std::vector<Outcome> outcomes(4);
        on_all(peers, [&](std::size_t who, Communicator& peer) {
          outcomes[who] = reduce_once(who, peer, {.count = count, .in_place = in_place, .plan = plan});
        });
        for (const Outcome& outcome : outcomes) {
          INFO(outcome.sentence);
          REQUIRE(outcome.status == Status::success);
          CHECK(is_sum_of(outcome.result, {0, 1, 2, 3}));
        }
      }
  // What crosses is what a call needs, once: nothing is copied down that was just copied up.
  const auto before = sim_devices()->counters();
  std::vector<DeviceVector> send, receive;
  for (std::size_t who = 0; who < 4; ++who) {
    send.emplace_back(contribution_of(who, 500'000), static_cast<int>(who % 2));
    receive.emplace_back(500'000, static_cast<int>(who % 2));
  }
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    CHECK(peer.run(reduce_on(send[who], receive[who], 500'000)).ok());
  });
  for (const DeviceVector& one : receive) CHECK(is_sum_of(one.values(), {0, 1, 2, 3}));
  const auto after = sim_devices()->counters();
  CHECK(after.bytes_down - before.bytes_down == 4 * 4 * 500'000ULL);
  CHECK(after.bytes_up - before.bytes_up == 4 * 4 * 500'000ULL);
  CHECK(after.pinned_bytes_most <= 4 * DeviceCopies::kPinnedBytesMost);

  on_all(peers, [&](std::size_t who, Communicator& peer) {
    auto arguments = reduce_on(send[who], receive[who], 500'000);
    arguments.call.signature.quantization = {.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
    CHECK(peer.run(arguments).ok());
  });
  for (const DeviceVector& one : receive) CHECK(one.values() == receive[0].values());
}

TEST_CASE("a stream waits for an operation, and goes on when it has failed too") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const DeviceVector from(contribution_of(0, 1000), 0);
  const DeviceVector to(1000, 0);
  const auto later = [&] {
    const auto event = sim_devices()->record_on_user_stream(from.stream());
    REQUIRE(event.ok());
    return *event;
  };
  auto started = peers[0]->start(reduce_on(from, to, 1000));
  REQUIRE(started.ok());
  REQUIRE(started->stream_wait(from.stream()).ok());
  const auto after = later();
  // The other member has not called.
  CHECK_FALSE(*after->wait(milliseconds(0)));
  CHECK(reduce_once(1, *peers[1], {.count = 1000}).status == Status::success);
  REQUIRE(*after->wait(kEventBound));
  CHECK(is_sum_of(to.values(), {0, 1}));
  // One that has ended already.
  REQUIRE(started->stream_wait(from.stream()).ok());
  CHECK(*later()->wait(kEventBound));

  auto failing = peers[0]->start(reduce_on(from, to, 1000));
  REQUIRE(failing.ok());
  REQUIRE(failing->stream_wait(from.stream()).ok());
  const auto beyond = later();
  CHECK_FALSE(*beyond->wait(milliseconds(0)));
  REQUIRE(peers[1]->close().ok());
  CHECK(*beyond->wait(kEventBound));
  CHECK(failing->wait().status() != Status::success);

  std::vector<float> host(10);
  auto on_host = peers[0]->start({.call = {.signature = {.count = 10},
                                           .send = reinterpret_cast<const std::byte*>(host.data()),
                                           .receive = reinterpret_cast<std::byte*>(host.data())}});
  if (on_host.ok()) CHECK(on_host->stream_wait(from.stream()).status() == Status::invalid_argument);
}

TEST_CASE("after a death in the middle the inputs on devices are as they were") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(3);
  constexpr std::uint64_t kCount = 8'000'000;
  std::vector<Outcome> outcomes(3);
  const Killer killer(*peers[0], *peers[2], kCount);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    outcomes[who] = reduce_once(who, peer, {.count = kCount, .in_place = true});
  });
  for (const Outcome& outcome : outcomes) {
    CHECK(outcome.status != Status::success);
    CHECK(outcome.input_intact);
  }
}

TEST_CASE("buffers that reach beyond their allocation, and streams of other devices, are refused") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const DeviceVector zero(100, 0);
  const DeviceVector one(100, 1);
  const auto beyond = peers[0]->run(
      {.call = {.signature = {.count = 101}, .send = zero.bytes(), .receive = one.bytes()}, .stream = zero.stream()});
  CHECK(beyond.status() == Status::invalid_argument);
  CHECK(beyond.error().sentence.starts_with("the send buffer: 404 bytes reach beyond their allocation on device 0"));
  const auto other = peers[0]->run(
      {.call = {.signature = {.count = 100}, .send = one.bytes(), .receive = one.bytes()}, .stream = zero.stream()});
  CHECK(other.status() == Status::invalid_argument);
}

TEST_CASE("a device that fails takes its peer out of the run, and the others go on") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(3);
  const DeviceVector doomed(contribution_of(0, 1'000'000), 3);
  const DeviceVector doomed_result(1'000'000, 3);
  CHECK(is_sum_of(doomed.values(), {0}));
  sim_devices()->break_device(3);
  std::vector<Outcome> outcomes(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who > 0) {
      outcomes[who] = reduce_with_the_rest(who, peer, 1'000'000);
      return;
    }
    const auto done = peer.run(reduce_on(doomed, doomed_result, 1'000'000));
    CHECK(done.status() == Status::system);
    CHECK(done.error().sentence.find("simulated device 3 failed") != std::string::npos);
  });
  for (const std::size_t who : {1U, 2U}) CHECK(is_sum_of(outcomes[who].result, {1, 2}));
}

TEST_CASE("a device that hangs takes its peer out of the run, and nobody waits for it at the end") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  {
    const Peers peers =
        run.assemble(3, [](std::size_t, CommunicatorConfig& config) { config.engine.stall = seconds(1); });
    // Kept, as the device has them.
    static const auto* const stuck = new DeviceVector(contribution_of(0, 100'000), 2);
    CHECK(is_sum_of(stuck->values(), {0}));
    std::vector<Outcome> outcomes(3);
    sim_devices()->hang_device(2);
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      if (who > 0) {
        outcomes[who] = reduce_with_the_rest(who, peer, 100'000);
        return;
      }
      const auto done = peer.run(reduce_on(*stuck, *stuck, 100'000));
      CHECK(done.status() == Status::system);
      CHECK(done.error().sentence == "device 2 has not finished its work within 1000 ms: it hangs");
    });
    for (const std::size_t who : {1U, 2U}) CHECK(is_sum_of(outcomes[who].result, {1, 2}));
  }
}

TEST_CASE("nobody waits for a device that hangs when inputs are put back at once") {
  if (sim_devices() == nullptr) return;
  static const auto copies = std::make_shared<DeviceCopies>(*sim_devices(), milliseconds(100));
  static const DeviceVector tensor(contribution_of(0, 1000), 4);
  CollectiveCall call{.signature = {.count = 1000}, .send = tensor.bytes(), .receive = tensor.bytes()};
  const auto prepared = copies->prepare(call, 4000, 4000, tensor.stream());
  REQUIRE(prepared.ok());
  REQUIRE(call.device.scratch != nullptr);
  call.device.copy_now({.from = tensor.bytes(), .to = call.device.scratch, .bytes = 4000});
  sim_devices()->hang_device(4);
  // The first waits for as long as the patience says, the others not at all. Otherwise this would take 100 s.
  const auto begun = now();
  for (int chunk = 0; chunk < 1000; ++chunk)
    call.device.copy_now({.from = call.device.scratch, .to = tensor.bytes(), .bytes = 4000});
  CHECK(now() - begun < seconds(50));
  copies->finish();
}

TEST_CASE("all syncs of shared states share what the first one has pinned") {
  const auto devices = device::SimDevices::make({});
  const auto copies = std::make_shared<DeviceCopies>(*devices, seconds(20));
  REQUIRE(copies->make_ready_for_state({0}).ok());
  const auto pinned = devices->counters().pinned_bytes_most;
  CHECK(pinned >= DeviceCopies::kCallBytes);
  for (int sync = 0; sync < 3; ++sync) REQUIRE(copies->make_ready_for_state({0}).ok());
  CHECK(devices->counters().pinned_bytes_most == pinned);
  copies->finish();
}

TEST_CASE("a failing device in the middle of a list takes its peer out") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const DeviceVector small(contribution_of(0, 10), 5);
  CHECK(is_sum_of(small.values(), {0}));
  const std::byte beyond[4] = {};
  // Memory that is no device's and no host's can be told from a device that fails: the peer stays.
  const auto wrong = peers[0]->copy({{{.from = beyond, .to = small.bytes() + 38, .bytes = 4}, small.stream()}});
  CHECK(wrong.status() == Status::invalid_argument);
  CHECK(peers[0]->info().ok());
  sim_devices()->break_device(5);
  const auto failed = peers[0]->copy({{{.from = beyond, .to = small.bytes(), .bytes = 4}, small.stream()}});
  CHECK(failed.status() == Status::system);
  CHECK(eventually([&] { return peers[0]->info().status() == Status::system; }));
}

TEST_CASE("what is on the caller's stream may take longer than a stall") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers =
      run.assemble(2, [](std::size_t, CommunicatorConfig& config) { config.engine.stall = seconds(1); });
  const DeviceVector late(1000, 0);
  // A thousand writes of up to 200 us, and each of them a sum's input.
  const auto values = contribution_of(0, 1000);
  for (int i = 0; i < 25'000; ++i)
    REQUIRE(sim_devices()->upload_on(late.stream(), late.bytes(), values.data(), 4000).ok());
  std::vector<Outcome> outcomes(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    if (who == 1) {
      outcomes[1] = reduce_once(1, peer, {.count = 1000});
      return;
    }
    const auto done = peer.run(reduce_on(late, late, 1000));
    CHECK(done.ok());
  });
  CHECK(outcomes[1].status == Status::success);
  CHECK(is_sum_of(outcomes[1].result, {0, 1}));
  CHECK(is_sum_of(late.values(), {0, 1}));
}

TEST_CASE("a call that is cancelled while it waits for the caller's stream ends after what is on that stream") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const DeviceVector late(1000, 0);
  const auto values = contribution_of(0, 1000);
  for (int i = 0; i < 5'000; ++i)
    REQUIRE(sim_devices()->upload_on(late.stream(), late.bytes(), values.data(), 4000).ok());
  const auto almost_all = sim_devices()->record_on_user_stream(late.stream());
  REQUIRE(almost_all.ok());
  REQUIRE(sim_devices()->upload_on(late.stream(), late.bytes(), values.data(), 4000).ok());
  auto call = peers[0]->start(reduce_on(late, late, 1000));
  REQUIRE(call.ok());
  call->cancel();
  CHECK(call->wait().status() == Status::timeout);
  CHECK(*(*almost_all)->wait(std::chrono::milliseconds(0)));
  CHECK(late.values() == values);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    // Who has not heard of the end of that call yet is told by this one.
    Status status = Status::timeout;
    while (status == Status::timeout)
      status = who == 0 ? peer.run(reduce_on(late, late, 1000)).status() : reduce_once(1, peer, {.count = 1000}).status;
    CHECK(status == Status::success);
  });
  CHECK(is_sum_of(late.values(), {0, 1}));
}

}  // namespace hawser::test
