#include "plan/prediction.hpp"

#include "catch.hpp"
#include "plan/network.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser {
namespace {

using topology::Estimates;
using topology::sample_of_rates;
using topology::sample_of_regions;

Prediction predicted(const PlanInput& input, const Estimates& estimates) {
  return predict(make_plan(input), input.wire, input.element_bytes, estimates);
}

}  // namespace

TEST_CASE("one chunk between two goes there and back") {
  const Estimates estimates(sample_of_rates({1'000'000, 1'000'000}, 20'000'000));
  const Prediction prediction = predicted({.elements = 2500}, estimates);
  // 10 KB at 1 MB/s and 20 ms, twice.
  CHECK(prediction.seconds == Approx(2 * 0.010 + 2 * 0.020).epsilon(1e-3));
  CHECK(prediction.transfer_seconds == Approx(0.010));
}

TEST_CASE("with equal links the prediction is the formula's, and a chunk's way") {
  // 2(N-1)/N S/b, and the delay of 2 or 2(N-1) hops.
  constexpr double kOnTheWire_s = 2.0 * 7 / 8 * 400e6 / 125e6;
  constexpr double kDelay_s = 0.010;
  const Estimates estimates(sample_of_rates(std::vector<std::uint64_t>(8, 125'000'000), 10'000'000));
  const PlanInput direct{.kind = PlanKind::direct, .world_size = 8, .elements = 100'000'000};
  PlanInput ring = direct;
  ring.kind = PlanKind::ring;
  CHECK(predicted(direct, estimates).seconds == Approx(kOnTheWire_s + 2 * kDelay_s).epsilon(0.01));
  CHECK(predicted(ring, estimates).seconds == Approx(kOnTheWire_s + 2 * 7 * kDelay_s).epsilon(0.03));
}

TEST_CASE("the bottleneck is named") {
  const PlanInput input{.kind = PlanKind::direct, .world_size = 3, .elements = 10'000'000};
  topology::Matrix matrix = sample_of_rates({1'000'000'000, 1'000'000'000, 1'000'000'000}, 1000);
  matrix.members[1].uplink_bytes_per_second = 1'000'000;
  CHECK(predicted(input, Estimates(matrix)).bottleneck == "the uplink of rank 1");
  matrix.members[1].uplink_bytes_per_second = 1'000'000'000;
  matrix.pair(2, 0).bytes_per_second = 1'000'000;
  CHECK(predicted(input, Estimates(matrix)).bottleneck == "the link from rank 2 to rank 0");
  matrix.cables.push_back({.from = {0}, .to = {1, 2}, .bytes_per_second = 500'000});
  CHECK(predicted(input, Estimates(matrix)).bottleneck ==
        "the cable from the region of rank 0 to that of rank 1");
}

TEST_CASE("the loads are those of the trees") {
  // A chain 0 <- 1 <- 2, and rank 0's star on the way down: 1 sends what it got and its own once.
  Plan plan{.world_size = 3, .chunking = {.elements = 1000, .chunk_elements = 1000}};
  plan.trees.push_back(
      {.root = 0, .reduce_parent = {kNoParent, 0, 1}, .broadcast_parent = {kNoParent, 0, 0}});
  topology::Matrix matrix = sample_of_rates({4000, 4000, 4000}, 1'000'000'000);
  const Estimates estimates(matrix);
  const Prediction plain = predict(plan, {}, 4, estimates);
  // Rank 0 sends two results of 4000 bytes, and rank 1 receives a value and a result.
  CHECK(plain.transfer_seconds == Approx(2));
  // Two hops up, one down, a second and a chunk each; the chunk that the transfer has counted.
  CHECK(plain.path_seconds == Approx(3 * 2 - 1).epsilon(1e-4));
  // Quantised up to a quarter, and results to a half.
  const Prediction small = predict(plan, {.leaf_up = 1024, .inner_up = 2048, .down = 2048}, 4, estimates);
  CHECK(small.transfer_seconds == Approx(1));
  CHECK(small.path_seconds == Approx(3 + 0.25 + 0.5 + 0.5 - 0.5).epsilon(1e-4));
}

TEST_CASE("the commit waits for the member that is farthest from the master") {
  topology::Matrix matrix = sample_of_rates({1000, 1000}, 1);
  matrix.members[1].control_delay_ns = 70'000'000;
  const Prediction prediction = predicted({.elements = 10}, Estimates(matrix));
  CHECK(prediction.commit_seconds == Approx(0.140));
  CHECK(prediction.seconds ==
        Approx(prediction.transfer_seconds + prediction.path_seconds + prediction.commit_seconds));
}

TEST_CASE("the ideal counts what must cross, and what a slow member must carry") {
  const PlanInput eight{.world_size = 8, .elements = 250'000'000};
  // 1 GB through 300 Mbit/s, 1 ms to the nearest.
  CHECK(ideal_seconds(eight, Estimates(sample_of_regions({}))) == Approx(1e9 / 37.5e6 + 0.001));
  const PlanInput four{.world_size = 4, .elements = 250'000'000};
  const Estimates slow(sample_of_rates({125'000'000, 125'000'000, 12'500'000, 125'000'000}, 1'000'000));
  CHECK(ideal_seconds(four, slow) == Approx(80 + 0.001));
  const Estimates equal(sample_of_rates(std::vector<std::uint64_t>(4, 125'000'000), 1'000'000));
  CHECK(ideal_seconds(four, equal) == Approx(1.5 * 8 + 0.001));
  PlanInput gather = four;
  gather.collective = Collective::all_gather;
  CHECK(ideal_seconds(gather, equal) == Approx(3 * 8 + 0.001));
}

}  // namespace hawser
