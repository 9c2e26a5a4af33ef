#include "catch.hpp"
#include "topology/cost.hpp"

namespace hawser {

TEST_CASE("both plans move the same bytes; the ring pays for its hops") {
  const Conditions pair{.payload_bytes = 1 << 30, .world_size = 2};
  CHECK(ring_seconds(pair) == Approx(direct_seconds(pair)));
  const Conditions far{.payload_bytes = 4, .world_size = 8, .delay = milliseconds(50)};
  CHECK(direct_seconds(far) == Approx(0.1).epsilon(0.01));
  CHECK(ring_seconds(far) == Approx(0.7).epsilon(0.01));
}

TEST_CASE("the payload's time follows 2(N-1)/N S/b") {
  const Conditions bulk{.payload_bytes = 1000000000,
                        .world_size = 4,
                        .bytes_per_second = 1e9,
                        .delay = Duration::zero(),
                        .per_message = Duration::zero()};
  CHECK(ring_seconds(bulk) == Approx(1.5));
  CHECK(direct_seconds(bulk) == Approx(1.5));
}

}  // namespace hawser
