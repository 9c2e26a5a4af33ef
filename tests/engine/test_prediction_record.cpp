#include "../catch.hpp"
#include "engine/prediction_record.hpp"

using namespace hawser;

TEST_CASE("a prediction is corrected by the median of what the latest calls alike took") {
  PredictionRecord record;
  const auto corrected = [&](double predicted) {
    return record.corrected(Collective::all_reduce, PlanKind::direct, 1 << 20, predicted);
  };
  const auto took = [&](double predicted, double seconds) {
    record.took(Collective::all_reduce, PlanKind::direct, 1 << 20, predicted, seconds);
  };
  CHECK(corrected(2) == 2);
  took(2, 3);
  CHECK(corrected(2) == Approx(3));
  CHECK(corrected(4) == Approx(6));
  // One that took long for a reason of its own.
  took(2, 3);
  took(2, 30);
  CHECK(corrected(2) == Approx(3));
  // The network has changed, and the plans know.
  for (int i = 0; i < 5; ++i) took(1, 1.1);
  CHECK(corrected(1) == Approx(1.1));
}

TEST_CASE("calls of another kind, plan or size are predicted by themselves, and what is unknown stays so") {
  PredictionRecord record;
  record.took(Collective::all_reduce, PlanKind::direct, 1 << 20, 1, 2);
  CHECK(record.corrected(Collective::all_reduce, PlanKind::direct, (1 << 20) + 5, 1) == 2);
  CHECK(record.corrected(Collective::all_reduce, PlanKind::direct, 1 << 24, 1) == 1);
  CHECK(record.corrected(Collective::all_reduce, PlanKind::ring, 1 << 20, 1) == 1);
  CHECK(record.corrected(Collective::all_gather, PlanKind::direct, 1 << 20, 1) == 1);
  CHECK(record.corrected(Collective::all_reduce, PlanKind::direct, 1 << 20, 0) == 0);
  record.took(Collective::all_reduce, PlanKind::direct, 64, 0, 2);
  CHECK(record.corrected(Collective::all_reduce, PlanKind::direct, 64, 1) == 1);
}
