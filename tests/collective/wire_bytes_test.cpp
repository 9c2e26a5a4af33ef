#include "catch.hpp"
#include "collective/planned_collective.hpp"
#include "collective/wire_bytes.hpp"
#include "plan/plan.hpp"

namespace hawser {
namespace {

/// What an executor sends of the first chunk, per 1024 elements.
std::uint64_t sent(const Signature& signature, Direction direction, bool leaf) {
  // In a chain 2, 1, 0 the last is the leaf, the middle one sends a partial sum.
  const PlanInput input{.kind = PlanKind::ring,
                        .world_size = 3,
                        .elements = signature.count,
                        .element_bytes = chunking_bytes(signature)};
  const Plan plan = make_plan(input);
  const auto& parents = plan.trees_of(0).reduce_parent;
  std::uint32_t wanted = 0;
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    const bool is_leaf = parents[0] != rank && parents[1] != rank && parents[2] != rank;
    if (parents[rank] != kNoParent && is_leaf == leaf) wanted = rank;
  }
  std::vector<std::byte> send(signature.count * element_bytes(signature.type));
  std::vector<std::byte> receive(send.size());
  CollectiveCall call;
  call.signature = signature;
  call.rank = wanted;
  call.send = send.data();
  call.receive = receive.data();
  auto executor = PlannedCollective::create(plan, call);
  REQUIRE(executor.ok());
  const std::uint64_t elements = plan.chunking.count(0);
  REQUIRE(elements % 1024 == 0);
  return (*executor)->payload_bytes(wanted, direction, 0) / (elements / 1024);
}

}  // namespace

TEST_CASE("plans reckon with what executors send") {
  const Quantization blocks{.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 256};
  const Quantization cast{.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16};
  for (const Signature& signature :
       {Signature{.type = DataType::float32, .count = 12 << 16},
        Signature{.type = DataType::float16, .count = 12 << 16}, Signature{.type = DataType::int8, .count = 12 << 16},
        Signature{.type = DataType::float32, .op = ReduceOp::max, .count = 12 << 16},
        Signature{.type = DataType::float32, .count = 12 << 16, .quantization = blocks},
        Signature{.type = DataType::float32, .count = 12 << 16, .quantization = cast}}) {
    INFO(describe(signature));
    const WireBytes wire = wire_bytes(signature);
    CHECK(wire.leaf_up == sent(signature, Direction::up, true));
    CHECK(wire.inner_up == sent(signature, Direction::up, false));
    CHECK(wire.down == sent(signature, Direction::down, false));
  }
}

TEST_CASE("a quantised call is planned by what it has on the wire") {
  const Quantization bytes{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  const WireBytes wire = wire_bytes({.type = DataType::float32, .count = 12 << 16, .quantization = bytes});
  // A scale and an offset come with a chunk.
  CHECK(wire.down >= 1024);
  CHECK(wire.down <= 1024 + 32);
  CHECK(wire.leaf_up == wire.down);
  CHECK(wire.inner_up == wire.down);
}

}  // namespace hawser
