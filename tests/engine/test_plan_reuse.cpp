/// When a call is planned anew.
#include "../catch.hpp"
#include "lone_engine.hpp"

using namespace hawser;
using hawser::test::LoneEngine;

namespace {

LinkRow row_of(std::uint64_t rate) {
  return {.bytes_per_second = {rate, rate},
          .delay_ns = {5'000'000, 5'000'000},
          .uplink_bytes_per_second = rate,
          .downlink_bytes_per_second = rate};
}

}  // namespace

TEST_CASE("a call that repeats is planned once, until something that its plan depends on has changed") {
  LoneEngine engine;
  engine.all_reduce(1000);
  CHECK(engine.plans_made() == 1);
  engine.all_reduce(1000);
  CHECK(engine.plans_made() == 1);
  engine.all_reduce(1001);
  CHECK(engine.plans_made() == 2);
  const Quantization bytes{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  engine.all_reduce(1000, 0, bytes);
  CHECK(engine.plans_made() == 3);
  engine.all_reduce(1000, 0, bytes);
  CHECK(engine.plans_made() == 3);

  Measures measures{.view = engine.view().id, .version = 1, .rows = {row_of(1'000'000), row_of(1'000'000)}};
  measures.rows[0].bytes_per_second[0] = measures.rows[0].delay_ns[0] = 0;
  measures.rows[1].bytes_per_second[1] = measures.rows[1].delay_ns[1] = 0;
  engine.say(measures);
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 3);
  // What the commit named holds for the next one.
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 4);
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 4);
}
