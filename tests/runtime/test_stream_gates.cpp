#include <barrier>

#include "catch.hpp"
#include "run_fixture.hpp"
#include "runtime/reduce_many.hpp"

/// Streams that wait for calls, on devices whose driver waits for all streams wherever it may. Run with
/// HAWSER_DEVICE=sim:devices=6 (runtime_on_devices); without it there is nothing to test here.
namespace hawser::test {
namespace {

constexpr std::chrono::minutes kGateBound{5};

/// While it lives, the driver waits.
class WaitingDriver {
 public:
  WaitingDriver() : before_(sim_devices()->counters().waited_in_vain) { sim_devices()->wait_for_gates(true); }
  ~WaitingDriver() {
    sim_devices()->wait_for_gates(false);
    CHECK(sim_devices()->counters().waited_in_vain == before_);
  }
  WaitingDriver(const WaitingDriver&) = delete;
  WaitingDriver& operator=(const WaitingDriver&) = delete;

 private:
  std::uint64_t before_;
};

struct CallKind {
  DataType type = DataType::float32;
  Quantization quantization{};
  Collective collective = Collective::all_reduce;
};

CollectiveArguments in_place(const DeviceVector& tensor, const CallKind& kind, std::uint64_t count,
                             std::uint64_t tag) {
  return {.call = {.signature = {.collective = kind.collective,
                                 .type = kind.type,
                                 .count = count,
                                 .quantization = kind.quantization},
                   .send = tensor.bytes(),
                   .receive = tensor.bytes()},
          .tag = tag,
          .stream = tensor.stream()};
}

}  // namespace

TEST_CASE("two calls in place and one stream that waits for both wait for nothing of each other") {
  if (sim_devices() == nullptr) return;
  constexpr std::uint64_t kBytes = 4 << 20;
  const Quantization quantized{
      .scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64};
  for (const CallKind& kind :
       {CallKind{}, CallKind{.quantization = quantized},
        CallKind{.type = DataType::bfloat16, .quantization = quantized},
        CallKind{.quantization = quantized, .collective = Collective::reduce_scatter}}) {
    TestRun run;
    const Peers peers = run.assemble(2);
    std::vector<DeviceVector> tensors;
    for (int i = 0; i < 4; ++i) tensors.emplace_back(std::vector<float>(kBytes / 4, 1.0F), i % 2);
    const std::uint64_t count =
        kBytes / element_bytes(kind.type) / (kind.collective == Collective::reduce_scatter ? 2 : 1);
    const WaitingDriver driver;
    // Both members are in one process, whose driver asks for pinned memory beside all streams.
    std::barrier both_have_called(2);
    on_all(peers, [&](std::size_t who, Communicator& peer) {
      const std::uintptr_t stream = tensors[who].stream();
      const auto known = *peer.info();
      const std::size_t rank = *known->view.rank_of(known->self);
      for (int round = 0; round < 2; ++round) {
        std::vector<AsyncCollective> calls;
        for (std::uint64_t tag = 0; tag < 2; ++tag) {
          const DeviceVector& tensor = tensors[who + 2 * tag];
          auto arguments = in_place(tensor, kind, count, tag);
          if (kind.collective == Collective::reduce_scatter)
            arguments.call.receive += rank * count * element_bytes(kind.type);
          auto call = peer.start(arguments);
          REQUIRE((call.ok() ? "" : call.error().sentence) == "");
          both_have_called.arrive_and_wait();
          REQUIRE(call->stream_wait(stream).ok());
          calls.push_back(*call);
        }
        const auto event = sim_devices()->record_on_user_stream(stream);
        REQUIRE(event.ok());
        REQUIRE(*(*event)->wait(kGateBound));
        for (const AsyncCollective& call : calls) CHECK(call.wait().ok());
      }
    });
    if (!kind.quantization)
      for (const DeviceVector& tensor : tensors)
        CHECK(tensor.values() == std::vector<float>(kBytes / 4, 4.0F));
  }
}

TEST_CASE("the end of a communicator waits for no stream that waits for its calls") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  const Quantization quantized{
      .scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64};
  const DeviceVector plain(contribution_of(0, 100'000), 0);
  const DeviceVector other(contribution_of(0, 100'000), 0);
  const WaitingDriver driver;
  auto first = peers[0]->start(in_place(plain, {}, 100'000, 0));
  auto second = peers[0]->start(in_place(other, {.quantization = quantized}, 100'000, 1));
  REQUIRE((first.ok() && second.ok()));
  for (const auto& call : {first, second}) REQUIRE(call->stream_wait(plain.stream()).ok());
  const auto event = sim_devices()->record_on_user_stream(plain.stream());
  REQUIRE(event.ok());
  // The other member never calls.
  REQUIRE(peers[0]->close().ok());
  REQUIRE(*(*event)->wait(kGateBound));
  CHECK(first->wait().status() == Status::closed);
  CHECK(plain.values() == contribution_of(0, 100'000));
}

TEST_CASE("memory beyond what is kept goes back to the driver once a caller has waited for the last call") {
  if (sim_devices() == nullptr) return;
  TestRun run;
  const Peers peers = run.assemble(2);
  constexpr std::uint64_t kCount = 24 << 20;
  std::vector<DeviceVector> tensors;
  for (int i = 0; i < 2; ++i) tensors.emplace_back(kCount, i);
  const auto before = sim_devices()->counters().device_bytes;
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    auto call = peer.start(in_place(tensors[who], {}, kCount, 0));
    REQUIRE(call.ok());
    CHECK(sim_devices()->counters().device_bytes >= before + 4 * kCount);
    CHECK(call->wait().ok());
  });
  CHECK(sim_devices()->counters().device_bytes - before <= 2 * DeviceCopies::kDeviceBytesKept);
}

TEST_CASE("a list on a device that hangs gives its memory to nobody") {
  if (sim_devices() == nullptr) return;
  static const auto copies = std::make_shared<DeviceCopies>(*sim_devices(), milliseconds(100));
  static const DeviceVector tensor(contribution_of(0, 1000), 5);
  CHECK(is_sum_of(tensor.values(), {0}));
  PooledBuffer list = copies->take(5, 100 << 20);
  const std::vector<StreamCopy> gather{
      {{.from = tensor.bytes(), .to = list.get(), .bytes = 4000}, tensor.stream()}};
  CHECK(copies->copy(gather).ok());
  sim_devices()->hang_device(5);
  const WaitingDriver driver;
  CHECK(copies->copy(gather).status() == Status::system);
  list.reset();
  copies->trim();
  copies->finish();
}

}  // namespace hawser::test
