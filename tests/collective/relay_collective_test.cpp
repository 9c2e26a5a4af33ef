#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "collective/planned_collective.hpp"
#include "plan/network.hpp"

/// Relays in the middle of all-reduces: members and relays, frame by frame and in any order.
namespace hawser {
namespace {

constexpr std::uint64_t kCount = 300'001;

/// All nodes of one all-reduce of small whole numbers, so that sums are exact in whatever order they are made.
class RelayedCall {
 public:
  RelayedCall(const Signature& signature, std::uint32_t members, std::uint32_t relays, std::uint64_t seed,
              std::size_t relay_memory = 4 << 20)
      : signature_(signature), members_(members), random_(seed) {
    Plan plan = make_plan({.world_size = members,
                           .elements = signature.count,
                           .element_bytes = chunking_bytes(signature),
                           .between_hosts = true,
                           .relays = relays});
    REQUIRE(plan.relays == relays);
    REQUIRE(plan_check(plan).ok());
    chunks_ = plan.chunking.chunks();
    for (std::uint32_t rank = 0; rank < plan.nodes(); ++rank) {
      CollectiveCall call{.signature = signature, .rank = rank, .seed = seed + rank};
      Node& node = nodes_.emplace_back();
      if (rank < members) {
        node.memory.resize(signature.count * element_bytes(signature.type));
        fill(node.memory, rank);
        call.send = call.receive = node.memory.data();
      } else {
        call.memory_bytes = relay_memory;
      }
      auto made = PlannedCollective::create(plan, call);
      REQUIRE(made.ok());
      node.execution = std::move(*made);
    }
  }

  void play() {
    for (std::uint32_t rank = 0; rank < nodes_.size(); ++rank) {
      Execution::Output output;
      nodes_[rank].execution->start(output);
      perform(rank, output);
    }
    while (deliver_one()) {
    }
    for (std::uint32_t rank = 0; rank < members_; ++rank) {
      Node& node = nodes_[rank];
      REQUIRE(node.execution->complete());
      for (Work work = node.execution->settle(1 << 20); !work.steps.empty(); work = node.execution->settle(1 << 20))
        (void)run(work, desk_);
      CHECK(node.memory == nodes_[0].memory);
    }
  }

  float value(std::uint64_t index) const {
    float read = 0;
    std::memcpy(&read, nodes_[0].memory.data() + 4 * index, 4);
    return read;
  }
  /// A bfloat16 as the upper half of a float.
  float half_value(std::uint64_t index) const {
    std::uint32_t bits = 0;
    std::memcpy(reinterpret_cast<std::byte*>(&bits) + 2, nodes_[0].memory.data() + 2 * index, 2);
    float read = 0;
    std::memcpy(&read, &bits, 4);
    return read;
  }
  static int given(std::uint32_t rank, std::uint64_t index) {
    return static_cast<int>((index * 7 + rank * 13) % 8) - 3;
  }
  int sum(std::uint64_t index) const {
    int total = 0;
    for (std::uint32_t rank = 0; rank < members_; ++rank) total += given(rank, index);
    return total;
  }
  std::uint64_t chunks() const { return chunks_; }

 private:
  struct Node {
    std::vector<std::byte> memory;
    std::unique_ptr<PlannedCollective> execution;
  };
  struct Frame {
    std::uint32_t from = 0;
    Execution::Send send;
  };

  void fill(std::vector<std::byte>& memory, std::uint32_t rank) const {
    for (std::uint64_t i = 0; i < signature_.count; ++i) {
      const auto number = static_cast<float>(given(rank, i));
      if (signature_.type == DataType::float32) {
        std::memcpy(memory.data() + 4 * i, &number, 4);
      } else {
        REQUIRE(signature_.type == DataType::bfloat16);
        std::memcpy(memory.data() + 2 * i, reinterpret_cast<const std::byte*>(&number) + 2, 2);
      }
    }
  }

  void perform(std::uint32_t rank, Execution::Output& output) {
    while (!output.works.empty() || !output.sends.empty()) {
      for (const Execution::Send& send : output.sends) frames_.push_back({rank, send});
      output.sends.clear();
      std::vector<Execution::Order> works;
      works.swap(output.works);
      for (Execution::Order& order : works) {
        const WorkResult result = run(order.work, desk_);
        CHECK_FALSE(nodes_[rank].execution->worked({}, order.token, result, output));
      }
    }
  }

  bool deliver_one() {
    std::vector<std::size_t> may_go;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      const Execution::Send& send = frames_[i].send;
      if (send.direction == Direction::down || send.chunk < nodes_[send.to].execution->send_limit()) may_go.push_back(i);
    }
    if (may_go.empty()) {
      CHECK(frames_.empty());
      return false;
    }
    const std::size_t at = may_go[random_.below(may_go.size())];
    const Frame frame = frames_[at];
    frames_.erase(frames_.begin() + static_cast<std::ptrdiff_t>(at));
    const Execution::Send& send = frame.send;
    PlannedCollective& from = *nodes_[frame.from].execution;
    PlannedCollective& to = *nodes_[send.to].execution;
    Execution::Output output;
    auto payload = from.payload(send.direction, send.chunk, output);
    perform(frame.from, output);
    if (!payload) payload = from.payload(send.direction, send.chunk, output);
    REQUIRE(payload);
    REQUIRE(payload->size() == send.bytes);
    const auto copy = std::make_shared<std::vector<std::byte>>(payload->begin(), payload->end());
    REQUIRE(to.judge(frame.from, send.direction, send.chunk, copy->size()) == Execution::Verdict::expected);
    to.arrived({}, frame.from, send.direction, send.chunk, {.bytes = copy->data(), .owner = copy}, output);
    perform(send.to, output);
    from.sent(send.to, send.direction, send.chunk, output);
    perform(frame.from, output);
    return true;
  }

  Signature signature_;
  std::uint32_t members_;
  Random random_;
  std::vector<Node> nodes_;
  std::vector<Frame> frames_;
  WorkDesk desk_;
  std::uint64_t chunks_ = 0;
};

}  // namespace

TEST_CASE("relays add what members send them, exactly once, and all get the same bits") {
  const auto members = GENERATE(2U, 3U, 5U);
  const auto relays = GENERATE(1U, 2U);
  const auto seed = GENERATE(1U, 2U, 3U);
  RelayedCall call({.count = kCount}, members, relays, seed);
  call.play();
  for (std::uint64_t i = 0; i < kCount; i += 991) CHECK(call.value(i) == static_cast<float>(call.sum(i)));
}

TEST_CASE("an average, a maximum and wide sums go through relays, too") {
  const auto seed = GENERATE(1U, 2U);
  SECTION("average") {
    RelayedCall call({.op = ReduceOp::avg, .count = kCount}, 4, 1, seed);
    call.play();
    for (std::uint64_t i = 0; i < kCount; i += 991) CHECK(call.value(i) == static_cast<float>(call.sum(i)) / 4);
  }
  SECTION("maximum") {
    RelayedCall call({.op = ReduceOp::max, .count = kCount}, 3, 2, seed);
    call.play();
    for (std::uint64_t i = 0; i < kCount; i += 991)
      CHECK(call.value(i) == static_cast<float>(std::max({call.given(0, i), call.given(1, i), call.given(2, i)})));
  }
  SECTION("bfloat16, whose sums are wider") {
    RelayedCall call({.type = DataType::bfloat16, .count = kCount}, 5, 1, seed);
    call.play();
    for (std::uint64_t i = 0; i < kCount; i += 991) CHECK(call.half_value(i) == static_cast<float>(call.sum(i)));
  }
}

TEST_CASE("quantised values are decoded, added and quantised again by a relay") {
  const auto type = GENERATE(DataType::float32, DataType::bfloat16);
  const Quantization quantization{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  REQUIRE(check(quantization, type).ok());
  RelayedCall call({.type = type, .count = kCount, .quantization = quantization}, 4, 1, 7);
  call.play();
  for (std::uint64_t i = 0; i < kCount; i += 991) {
    const float got = type == DataType::float32 ? call.value(i) : call.half_value(i);
    CHECK(std::abs(got - static_cast<float>(call.sum(i))) < 0.4F);
  }
}

TEST_CASE("a relay that has little memory lets the members send as far as it goes") {
  RelayedCall call({.count = 20 * kCount}, 3, 1, 5, 1);
  call.play();
  CHECK(call.chunks() > 100);
  for (std::uint64_t i = 0; i < 20 * kCount; i += 9'991) CHECK(call.value(i) == static_cast<float>(call.sum(i)));
}

}  // namespace hawser
