#include <cmath>
#include <cstring>
#include <string>

#include "catch.hpp"
#include "collective/residual.hpp"
#include "device_kernels/launches.hpp"
#include "run_fixture.hpp"
#include "runtime/device_works.hpp"
#include "runtime/reduce_many.hpp"

/// Quantised calls whose works run on devices. Run with HAWSER_DEVICE=sim:devices=6 (runtime_on_devices); without it
/// there is nothing to test here.
namespace hawser::test {
namespace {

/// Values of a float type, on the host or on a device.
class Values {
 public:
  Values(const std::vector<std::byte>& bytes, bool on_device) : host_(bytes) {
    if (!on_device) return;
    memory_ = std::move(*sim_devices()->allocate(1, bytes.size()));
    sim_devices()->copy_now(memory_->bytes(), bytes.data(), bytes.size());
  }
  std::byte* bytes() { return memory_ ? memory_->bytes() : host_.data(); }
  std::vector<std::byte> now() {
    if (memory_) sim_devices()->copy_now(host_.data(), memory_->bytes(), host_.size());
    return host_;
  }

 private:
  std::vector<std::byte> host_;
  std::unique_ptr<device::Memory> memory_;
};

std::vector<std::byte> numbers(DataType type, std::size_t who, std::uint64_t count) {
  std::vector<std::byte> bytes(count * element_bytes(type));
  for (std::uint64_t i = 0; i < count; ++i) {
    const double value = std::sin(static_cast<double>(i) * 0.37 + static_cast<double>(who)) * 3;
    if (type == DataType::float64) {
      std::memcpy(bytes.data() + i * 8, &value, 8);
      continue;
    }
    const auto narrow = static_cast<float>(value);
    narrow_float(type, bytes.data() + i * element_bytes(type), reinterpret_cast<const std::byte*>(&narrow), 1);
  }
  return bytes;
}

struct Case {
  Quantization quantization;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  bool in_place = false;
  PlanKind plan = PlanKind::direct;
};
constexpr std::uint64_t kCount = 300'007;

struct Seen {
  std::vector<std::vector<std::byte>> results;
  std::vector<double> owed;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};

/// Three calls in a row by two members, the second and third with what the first ones lost.
Seen reduce_thrice(const Peers& peers, const Case& one, bool on_device) {
  Seen seen;
  seen.results.resize(2);
  std::vector<std::shared_ptr<Residual>> residuals{*Residual::create(kCount, one.type),
                                                   *Residual::create(kCount, one.type)};
  std::atomic<std::uint64_t> sent{0}, received{0};
  // Messages and checks of several threads at once would break each other.
  std::vector<std::string> wrong(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    for (int call = 0; call < 3 && wrong[who].empty(); ++call) {
      Values send(numbers(one.type, who, kCount), on_device);
      Values receive(std::vector<std::byte>(kCount * element_bytes(one.type)), on_device);
      const auto done = peer.run({.call = {.signature = {.type = one.type,
                                                         .op = one.op,
                                                         .plan = one.plan,
                                                         .count = kCount,
                                                         .quantization = one.quantization},
                                           .send = send.bytes(),
                                           .receive = one.in_place ? send.bytes() : receive.bytes()},
                                  .residual = residuals[who]});
      if (!done.ok()) {
        wrong[who] = done.error().sentence;
        continue;
      }
      sent += (*done)->bytes_sent;
      received += (*done)->bytes_received;
      seen.results[who] = one.in_place ? send.now() : receive.now();
      if (!one.in_place && send.now() != numbers(one.type, who, kCount)) wrong[who] = "its input has changed";
    }
  });
  for (const std::string& what : wrong) CHECK(what.empty());
  for (const auto& residual : residuals) {
    REQUIRE(residual->claim());
    CHECK(residual->device() == (on_device ? 1 : kOnHost));
    seen.owed.push_back(*residual->root_mean_square());
    REQUIRE(residual->reset().ok());
    CHECK(*residual->root_mean_square() == 0);
    residual->release(false);
  }
  seen.bytes_sent = sent;
  seen.bytes_received = received;
  return seen;
}

}  // namespace

TEST_CASE("quantised calls have the same bits and residuals on devices and on the host, and move quantised bytes") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const std::vector<Quantization> schemes{
      {.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8},
      {.scheme = QuantizationScheme::zero_point_scale, .type = QuantizedType::uint16},
      {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64},
      {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 256},
      {.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16}};
  int played = 0;
  for (const Quantization& scheme : schemes)
    for (const DataType type : {DataType::float32, DataType::bfloat16, DataType::float64}) {
      if (!check(scheme, type).ok()) continue;
      const Case one{.quantization = scheme,
                     .type = type,
                     .op = played % 2 == 0 ? ReduceOp::sum : ReduceOp::avg,
                     .in_place = played % 3 == 0,
                     .plan = played % 4 < 2 ? PlanKind::direct : PlanKind::ring};
      INFO(describe(scheme) << " of " << to_string(type));
      const Seen host = reduce_thrice(peers, one, false);
      const auto before = sim_devices()->counters();
      const Seen device = reduce_thrice(peers, one, true);
      const auto after = sim_devices()->counters();
      CHECK(host.results[0] == host.results[1]);
      CHECK(device.results == host.results);
      CHECK(device.owed == host.owed);
      CHECK(host.owed[0] > 0);
      // What the bus carries beside payloads: residuals, to be brought there once and looked at.
      const std::uint64_t residual = kCount * element_bytes(working_type(type));
      CHECK(after.bytes_down - before.bytes_down == device.bytes_sent + 2 * 2 * residual);
      CHECK(after.bytes_up - before.bytes_up == device.bytes_received + 2 * 2 * residual);
      ++played;
    }
  CHECK(played == 14);
}

TEST_CASE("a residual moves to where its call's works run, and takes what is owed with it") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const Case one{.quantization = {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 64}};
  // Both play the same calls; one of them changes places in between.
  std::vector<std::vector<std::vector<std::byte>>> results(2);
  for (const bool moves : {false, true}) {
    std::vector<std::shared_ptr<Residual>> residuals{*Residual::create(kCount, one.type),
                                                     *Residual::create(kCount, one.type)};
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      for (int call = 0; call < 4; ++call) {
        Values values(numbers(one.type, who, kCount), moves && call % 2 == 1);
        REQUIRE(peer.run({.call = {.signature = {.count = kCount, .quantization = one.quantization},
                                   .send = values.bytes(),
                                   .receive = values.bytes()},
                          .residual = residuals[who]})
                    .ok());
        if (who == 0) results[moves ? 1 : 0].push_back(values.now());
      }
    });
  }
  CHECK(results[0] == results[1]);
}

TEST_CASE("lists of tensors of one device are packed there, and cross as the call says") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  constexpr std::size_t kTensors = 150;
  constexpr std::uint64_t kEach = 257;
  const auto before = sim_devices()->counters();
  std::vector<std::vector<std::vector<std::byte>>> results(2);
  std::atomic<std::uint64_t> sent{0};
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    std::vector<Values> values;
    for (std::size_t i = 0; i < kTensors; ++i) values.emplace_back(numbers(DataType::float32, who + i, kEach), true);
    ManyArguments arguments;
    for (Values& one : values)
      arguments.tensors.push_back({.send = one.bytes(), .receive = one.bytes(), .count = kEach});
    arguments.quantization = {.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64};
    const ManyOutcome outcome = reduce_many(peer, arguments);
    // The sentence is empty after a success, and is shown after a failure.
    REQUIRE(outcome.error.sentence == "");
    REQUIRE(outcome.error.status == Status::success);
    sent += outcome.info.bytes_sent;
    for (Values& one : values) results[who].push_back(one.now());
  });
  const auto after = sim_devices()->counters();
  CHECK(after.bytes_down - before.bytes_down == sent);
  CHECK(after.launches > before.launches);
  REQUIRE(results[0] == results[1]);
  for (std::size_t i = 0; i < kTensors; ++i)
    for (std::uint64_t at = 0; at < kEach; ++at) {
      float got = 0;
      std::memcpy(&got, results[0][i].data() + at * 4, 4);
      const double wanted = std::sin(static_cast<double>(at) * 0.37 + static_cast<double>(i)) * 3 +
                            std::sin(static_cast<double>(at) * 0.37 + static_cast<double>(i + 1)) * 3;
      REQUIRE(std::abs(got - wanted) < 0.1);
    }
}

TEST_CASE("tensors of a list may be sent from one device and received on another") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    std::vector<DeviceVector> send, receive;
    std::vector<float> on_host(50);
    ManyArguments arguments;
    for (int i = 0; i < 4; ++i) {
      send.emplace_back(contribution_of(who, 50), i % 2);
      receive.emplace_back(50, 1 - i % 2);
      arguments.tensors.push_back({.send = send.back().bytes(),
                                   .receive = receive.back().bytes(),
                                   .count = 50,
                                   .stream = send.back().stream()});
    }
    arguments.tensors.push_back({.send = send[0].bytes(),
                                 .receive = reinterpret_cast<std::byte*>(on_host.data()),
                                 .count = 50,
                                 .stream = send[0].stream()});
    const ManyOutcome outcome = reduce_many(peer, arguments);
    // The sentence is empty after a success, and is shown after a failure.
    REQUIRE(outcome.error.sentence == "");
    REQUIRE(outcome.error.status == Status::success);
    for (const DeviceVector& one : receive) CHECK(is_sum_of(one.values(), {0, 1}));
    CHECK(is_sum_of(on_host, {0, 1}));
  });
}

TEST_CASE("sums of quantised reduce-scatters have room on the device, whoever is early") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(4);
  constexpr std::uint64_t kEach = 1 << 20;
  for (const PlanKind plan : {PlanKind::direct, PlanKind::ring})
    for (const DataType type : {DataType::float32, DataType::bfloat16}) {
      std::vector<std::string> wrong(peers.size());
      on_all(peers, [&](std::size_t who, Communicator& peer) {
        Values send(numbers(type, who, 4 * kEach), true);
        Values receive(std::vector<std::byte>(kEach * element_bytes(type)), true);
        const auto done =
            peer.run({.call = {.signature = {.collective = Collective::reduce_scatter,
                                             .type = type,
                                             .plan = plan,
                                             .count = kEach,
                                             .quantization = {.scheme = QuantizationScheme::blockwise,
                                                              .type = QuantizedType::int8,
                                                              .block = 64}},
                               .send = send.bytes(),
                               .receive = receive.bytes()}});
        if (!done.ok()) wrong[who] = done.error().sentence;
      });
      for (const std::string& what : wrong) CHECK(what.empty());
    }
}

TEST_CASE("no driver is given pageable memory, which it might wait for") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const Quantization quantized{
      .scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64};
  const auto before = sim_devices()->counters().pageable_copies;
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    // Residuals that move; and more calls at once than there is pinned memory for.
    const auto residual = *Residual::create(kCount, DataType::float32);
    constexpr std::uint64_t kMany = 6 << 20;
    std::vector<DeviceVector> many;
    for (int i = 0; i < 6; ++i) many.emplace_back(kMany, static_cast<int>(who));
    std::vector<AsyncCollective> calls;
    for (std::size_t i = 0; i < many.size(); ++i) {
      // Early data of the other member waits for this one.
      auto call = peer.start(
          {.call = {.signature = {.count = kMany, .quantization = i % 2 == 0 ? Quantization{} : quantized},
                    .send = many[i].bytes(),
                    .receive = many[i].bytes()},
           .tag = i,
           .stream = many[i].stream()});
      REQUIRE(call.ok());
      calls.push_back(*call);
    }
    for (const AsyncCollective& call : calls) CHECK(call.wait().ok());
    for (const bool on_device : {true, false, true}) {
      Values values(numbers(DataType::float32, who, kCount), on_device);
      const auto done = peer.run({.call = {.signature = {.count = kCount, .quantization = quantized},
                                           .send = values.bytes(),
                                           .receive = values.bytes()},
                                  .residual = residual});
      CHECK(done.ok());
    }
    // Lists with tensors of devices and of the host.
    std::vector<float> on_host(50);
    const DeviceVector small(50, static_cast<int>(who));
    ManyArguments arguments;
    arguments.tensors = {
        {.send = small.bytes(), .receive = on_host.data(), .count = 50, .stream = small.stream()},
        {.send = on_host.data(), .receive = on_host.data(), .count = 50}};
    CHECK(reduce_many(peer, arguments).error.status == Status::success);
  });
  CHECK(sim_devices()->counters().pageable_copies == before);
}

TEST_CASE("a list with a stream of another device is refused before anything is reduced") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const DeviceVector zero(300'000, 0);
  const DeviceVector one(300'000, 1);
  const auto refused = [&](const hawser::Tensor& second) {
    ManyArguments arguments;
    arguments.tensors = {
        {.send = zero.bytes(), .receive = zero.bytes(), .count = 300'000, .stream = zero.stream()}, second};
    const ManyOutcome outcome = reduce_many(*peers[0], arguments);
    CHECK(outcome.error.status == Status::invalid_argument);
    CHECK(outcome.error.sentence.starts_with("tensor 1: "));
    CHECK(outcome.info.collectives == 0);
  };
  refused({.send = one.bytes(), .receive = one.bytes(), .count = 300'000, .stream = zero.stream()});
  refused({.send = one.bytes(), .receive = one.bytes(), .count = 300'001, .stream = one.stream()});
}

TEST_CASE("a step that no device does is an error of the work") {
  if (sim_devices() == nullptr) return;
  DeviceDesk desk(*sim_devices(), device::KeptMemory::on(*sim_devices(), 0));
  CHECK(on_device({.steps = {CompressPayload{}}, .device = 0}, desk).status() == Status::invalid_argument);
}

}  // namespace hawser::test
