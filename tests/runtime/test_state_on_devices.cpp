#include <filesystem>
#include <random>

#include "shared_state_fixture.hpp"

/// Run with HAWSER_DEVICE=sim:devices=6 (runtime_state_on_devices); without it there is nothing to test here. A test
/// that breaks a device has that for itself: it stays broken.
namespace hawser::test {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kWeights = 24 * kMebibyte + 4;

std::vector<Tensor> layers(std::uint64_t big) {
  Tensor own = floats("own", 300);
  own.may_differ = true;
  return {raw("weights", big), floats("momentum", kMebibyte / 4 + 3), raw("empty", 0), own};
}
std::vector<std::int32_t> everything_on(std::int32_t device) { return {device, device, device, device}; }

void soon_stalled(std::size_t, CommunicatorConfig& config) { config.engine.stall = seconds(3); }

/// A peer whose tensors lie on a device that is about to be of no use. Never freed: a device that hangs has them.
Holding& doomed(std::int32_t device, std::uint64_t seed, std::uint64_t revision) {
  auto* const holding = new Holding(layers(kWeights), everything_on(device));
  holding->fill(seed);
  REQUIRE(holding->state().set_revision(revision).ok());
  return *holding;
}

/// The first of three peers has `holding`; the second one all that is wanted; the third one nothing of it. `breaks` is
/// called when so much has come to the peer number `receiver`.
std::vector<SyncOutcome> sync_until(Holding& holding, std::size_t receiver, const std::function<void()>& breaks) {
  TestRun run;
  const Peers peers = run.assemble(3, soon_stalled);
  Holdings others;
  for (const std::uint64_t seed : {1U, 2U}) {
    others.emplace_back(layers(kWeights), std::vector<std::int32_t>{0, kOnHost, kOnHost, 1}).fill(seed);
    REQUIRE(others.back().state().set_revision(seed == 1 ? 1 : 0).ok());
  }
  peers[receiver]->interrupt_after(4 * kMebibyte, breaks);
  std::vector<SyncOutcome> outcomes(3);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    outcomes[who] = (who == 0 ? holding : others[who - 1]).state().sync(peer, {});
  });
  for (const std::size_t who : {1U, 2U}) {
    INFO(outcomes[who].error.sentence);
    CHECK(outcomes[who].error.status == Status::success);
    CHECK(outcomes[who].info.world_size == 2);
    CHECK(others[who - 1].is_filled(1));
  }
  return outcomes;
}

/// A file that is gone at the end.
struct CheckpointPath {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("hawser-state-" + std::to_string(std::random_device{}()) + ".safetensors"))
                         .string();
  ~CheckpointPath() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("digests and checkpoints do not tell where tensors lie") {
  if (sim_devices() == nullptr) return;
  Holding host(layers(kWeights), everything_on(kOnHost));
  Holding mixed(layers(kWeights), {1, kOnHost, kOnHost, 0});
  Holding device(layers(kWeights), everything_on(0));
  for (Holding* const one : {&host, &mixed, &device}) {
    one->fill(7);
    CHECK(*one->state().digest() == *host.state().digest());
    REQUIRE(one->state().set_revision(5).ok());
  }
  // Where devices make digests, nothing else comes to the host.
  const auto before = sim_devices()->counters();
  REQUIRE(device.state().digest().ok());
  const std::uint64_t down = sim_devices()->counters().bytes_down - before.bytes_down;
  const std::uint64_t slices = 25 + 2 + 1;
  CHECK(down == (sim_devices()->runs({}) ? kDigestBytes * slices : device.bytes()));
  for (Holding* const from : {&host, &mixed, &device})
    for (Holding* const to : {&host, &mixed, &device}) {
      const CheckpointPath file;
      from->fill(7);
      REQUIRE(from->state().save(file.path).ok());
      to->fill(8);
      REQUIRE(to->state().load(file.path).value() == 5);
      CHECK(to->is_filled(7));
    }
}

TEST_CASE("what is on the caller's stream comes first, and a stream of another device is refused") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  Holding late(layers(kMebibyte), everything_on(1));
  Holding lacking(layers(kMebibyte), {0, 0, kOnHost, 0});
  late.fill(3);
  lacking.fill(4);
  REQUIRE(late.state().set_revision(1).ok());
  const std::uintptr_t stream = sim_devices()->make_user_stream(1);
  // Each of them waits up to 200 us.
  const auto content = content_of(5, 0, kMebibyte);
  for (int i = 0; i < 1000; ++i)
    REQUIRE(sim_devices()->upload_on(stream, late[0].at(), content.data(), content.size()).ok());
  CHECK(lacking.state().digest(stream).status() == Status::invalid_argument);
  std::vector<SyncOutcome> outcomes(2);
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    outcomes[who] = who == 0 ? late.state().sync(peer, {.stream = stream}) : lacking.state().sync(peer, {});
  });
  check_success(outcomes);
  for (Holding* const one : {&late, &lacking}) CHECK((*one)[0].read() == content);
}

TEST_CASE("a tensor that reaches beyond its allocation is refused") {
  if (sim_devices() == nullptr) return;
  const DeviceVector tensor(100, 0);
  const auto made =
      SharedState::create({{.name = "long", .type = DataType::float32, .count = 101, .data = tensor.bytes()}});
  CHECK(made.status() == Status::invalid_argument);
  CHECK(contains(made.error().sentence, "the tensor \"long\": 404 bytes reach beyond their allocation on device 0"));
}

TEST_CASE("a device that fails while it receives takes its peer out, and the state is incomplete") {
  if (sim_devices() == nullptr) return;
  Holding& receiver = doomed(2, 3, 0);
  const auto outcomes = sync_until(receiver, 0, [] { sim_devices()->break_device(2); });
  CHECK(outcomes[0].error.status == Status::system);
  CHECK(contains(outcomes[0].error.sentence, "simulated device 2 failed"));
  CHECK(contains(outcomes[0].error.sentence, "INCOMPLETE"));
  CHECK(receiver.state().save("/tmp/never-written").status() == Status::invalid_usage);
}

TEST_CASE("a device that fails while it serves takes its peer out, and others serve") {
  if (sim_devices() == nullptr) return;
  Holding& source = doomed(3, 1, 1);
  const auto outcomes = sync_until(source, 2, [] { sim_devices()->break_device(3); });
  CHECK(outcomes[0].error.status == Status::system);
  CHECK(contains(outcomes[0].error.sentence, "as they were"));
}

TEST_CASE("a device that hangs while it receives holds its peer no longer than a stall") {
  if (sim_devices() == nullptr) return;
  Holding& receiver = doomed(4, 3, 0);
  const auto outcomes = sync_until(receiver, 0, [] { sim_devices()->hang_device(4); });
  CHECK(outcomes[0].error.status == Status::system);
  CHECK(contains(outcomes[0].error.sentence, "device 4 has not finished its work within 3000 ms: it hangs"));
  CHECK(outcomes[0].info.incomplete);
}

TEST_CASE("a device that hangs while digests are made ends the communicator, and is not waited for again") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2, soon_stalled);
  Holding& stuck = doomed(5, 1, 1);
  sim_devices()->hang_device(5);
  const SyncOutcome outcome = stuck.state().sync(*peers[0], {});
  CHECK(outcome.error.status == Status::system);
  CHECK(contains(outcome.error.sentence, "device 5 has not finished its work within 3000 ms: it hangs"));
  CHECK(eventually([&] { return peers[0]->info().status() == Status::system; }));
  // At once, though without a communicator a device may take a minute.
  CHECK(stuck.state().digest().status() == Status::system);
}

}  // namespace hawser::test
