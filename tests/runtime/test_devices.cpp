#include <cstring>

#include "catch.hpp"
#include "run_fixture.hpp"

/// Run with HAWSER_DEVICE=sim (runtime_on_devices); without it there is nothing to test here.
namespace hawser::test {
namespace {

CollectiveArguments reduce_on(const DeviceVector& from, const DeviceVector& to, std::uint64_t count) {
  return {.call = {.signature = {.count = count}, .send = from.bytes(), .receive = to.bytes()}, .stream = from.stream()};
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
  const auto beyond = peers[0]->run({.call = {.signature = {.count = 101}, .send = zero.bytes(), .receive = one.bytes()},
                                     .stream = zero.stream()});
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
    const Peers peers = run.assemble(3, [](std::size_t, CommunicatorConfig& config) { config.engine.stall = seconds(1); });
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
      CHECK(done.error().sentence == "device 2 has not finished a copy within 1000 ms: it hangs");
    });
    for (const std::size_t who : {1U, 2U}) CHECK(is_sum_of(outcomes[who].result, {1, 2}));
  }
}

TEST_CASE("what is on the caller's stream may take longer than a stall") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2, [](std::size_t, CommunicatorConfig& config) { config.engine.stall = seconds(1); });
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

}  // namespace hawser::test
