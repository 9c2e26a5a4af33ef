#include "collective/reduce_executor.hpp"

#include <cstring>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

/// A chunk on its way between two executors.
struct Flight {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  FrameHeader header;
  std::vector<std::byte> payload;
};

/// World-size executors, joined by a network that delivers in any order and repeats at will.
class Ensemble {
 public:
  struct Setup {
    PlanKind kind = PlanKind::ring;
    std::uint32_t world_size = 2;
    std::uint64_t elements = 1;
    ReduceOp op = ReduceOp::sum;
    bool in_place = false;
  };

  Ensemble(const Setup& setup, std::uint64_t seed) : setup_(setup), random_(seed) {
    for (std::uint32_t rank = 0; rank < setup.world_size; ++rank) {
      auto& input = inputs_.emplace_back(setup.elements);
      for (std::uint64_t i = 0; i < setup.elements; ++i) input[i] = value(rank, i);
      originals_.push_back(input);
      outputs_.emplace_back(setup.in_place ? 0 : setup.elements);
      auto made = ReduceExecutor::create(
          make_plan({.kind = setup.kind, .world_size = setup.world_size, .elements = setup.elements}),
          {.op = setup.op, .rank = rank, .send = send_of(rank), .receive = receive_of(rank)});
      REQUIRE(made.ok());
      executors_.push_back(std::move(*made));
    }
    std::vector<ReduceExecutor::Send> sends;
    for (std::uint32_t rank = 0; rank < setup.world_size; ++rank) {
      executors_[rank]->start(sends);
      launch(rank, sends);
    }
  }

  /// Delivers up to `limit` flights.
  void run(std::uint64_t limit = ~std::uint64_t{0}) {
    for (; limit > 0 && !flights_.empty(); --limit) {
      const auto pick = static_cast<std::ptrdiff_t>(random_.below(flights_.size()));
      const Flight flight = flights_[static_cast<std::size_t>(pick)];
      // A repeat stays on its way and comes again later.
      if (!random_.chance(1, 4)) flights_.erase(flights_.begin() + pick);
      deliver(flight);
    }
  }

  bool complete() const {
    for (const auto& executor : executors_)
      if (!executor->complete()) return false;
    return true;
  }
  void undo_all() {
    for (const auto& executor : executors_) executor->undo();
  }
  void check_result() {
    for (std::uint32_t rank = 0; rank < setup_.world_size; ++rank) {
      const auto* got = reinterpret_cast<const float*>(receive_of(rank));
      for (std::uint64_t i = 0; i < setup_.elements; ++i) {
        float sum = 0;
        for (std::uint32_t other = 0; other < setup_.world_size; ++other) sum += value(other, i);
        if (setup_.op == ReduceOp::avg) sum /= static_cast<float>(setup_.world_size);
        if (got[i] != sum) FAIL("rank " << rank << " element " << i << ": " << got[i] << " is not " << sum);
      }
    }
  }
  bool inputs_intact() const { return inputs_ == originals_; }
  ReduceExecutor& executor(std::uint32_t rank) { return *executors_[rank]; }

 private:
  static float value(std::uint32_t rank, std::uint64_t i) {
    return static_cast<float>(Random(rank * 1000003ULL + i).below(1000));
  }
  const std::byte* send_of(std::uint32_t rank) {
    return reinterpret_cast<const std::byte*>(inputs_[rank].data());
  }
  std::byte* receive_of(std::uint32_t rank) {
    return reinterpret_cast<std::byte*>((setup_.in_place ? inputs_ : outputs_)[rank].data());
  }
  void launch(std::uint32_t from, std::vector<ReduceExecutor::Send>& sends) {
    for (const auto& send : sends) {
      Flight flight{.from = from, .to = send.to, .header = {}, .payload = {send.payload.begin(), send.payload.end()}};
      flight.header.direction = send.direction;
      flight.header.chunk = send.chunk;
      flight.header.payload_bytes = static_cast<std::uint32_t>(send.payload.size());
      flights_.push_back(std::move(flight));
    }
    sends.clear();
  }
  void deliver(const Flight& flight) {
    ReduceExecutor& executor = *executors_[flight.to];
    const auto verdict = executor.judge(flight.from, flight.header);
    REQUIRE(verdict != ReduceExecutor::Verdict::impossible);
    if (verdict == ReduceExecutor::Verdict::repeated) return;
    std::vector<ReduceExecutor::Send> sends;
    if (flight.header.direction == Direction::up) {
      executor.arrived_up(flight.from, flight.header.chunk, flight.payload.data(), sends);
    } else {
      std::memcpy(executor.landing(flight.header.chunk), flight.payload.data(), flight.payload.size());
      executor.arrived_down(flight.header.chunk, sends);
    }
    launch(flight.to, sends);
  }

  Setup setup_;
  Random random_;
  std::vector<std::vector<float>> inputs_;
  std::vector<std::vector<float>> originals_;
  std::vector<std::vector<float>> outputs_;
  std::vector<std::unique_ptr<ReduceExecutor>> executors_;
  std::vector<Flight> flights_;
};

}  // namespace

TEST_CASE("sums are exact whatever the order and however often chunks come") {
  std::uint64_t seed = 1;
  for (const PlanKind kind : {PlanKind::ring, PlanKind::direct})
    for (const std::uint32_t world_size : {2U, 3U, 4U, 7U})
      for (const std::uint64_t elements : {1ULL, 2ULL, 5ULL, 4097ULL, 100003ULL})
        for (const bool in_place : {false, true})
          for (const ReduceOp op : {ReduceOp::sum, ReduceOp::avg}) {
            Ensemble ensemble({.kind = kind, .world_size = world_size, .elements = elements, .op = op, .in_place = in_place},
                              seed++);
            ensemble.run();
            REQUIRE(ensemble.complete());
            ensemble.check_result();
            if (!in_place) REQUIRE(ensemble.inputs_intact());
          }
}

TEST_CASE("undo gives every input back, wherever the collective stopped") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    Ensemble ensemble({.kind = random.chance(1, 2) ? PlanKind::ring : PlanKind::direct,
                       .world_size = static_cast<std::uint32_t>(random.between(2, 5)),
                       .elements = 20000 + random.below(50000),
                       .in_place = true},
                      seed);
    ensemble.run(random.below(120));
    ensemble.undo_all();
    REQUIRE(ensemble.inputs_intact());
  }
}

TEST_CASE("chunks that no correct peer sends are recognised") {
  Ensemble ensemble({.kind = PlanKind::ring, .world_size = 4, .elements = 100000}, 1);
  FrameHeader header;
  header.payload_bytes = static_cast<std::uint32_t>(ensemble.executor(0).plan().chunking.count(0) * 4);
  const auto judge = [&](std::uint32_t from) { return ensemble.executor(0).judge(from, header); };
  // Chunk 0 has root 0: its sum comes from rank 3 alone, and its result from nobody.
  CHECK(judge(3) == ReduceExecutor::Verdict::expected);
  CHECK(judge(1) == ReduceExecutor::Verdict::impossible);
  header.direction = Direction::down;
  CHECK(judge(3) == ReduceExecutor::Verdict::impossible);
  header.direction = Direction::up;
  header.payload_bytes -= 4;
  CHECK(judge(3) == ReduceExecutor::Verdict::impossible);
  header.payload_bytes += 4;
  header.chunk = 1ULL << 40;
  CHECK(judge(3) == ReduceExecutor::Verdict::impossible);
}

TEST_CASE("a complaint names those whose chunks are due") {
  Ensemble ring({.kind = PlanKind::ring, .world_size = 4, .elements = 100000}, 1);
  CHECK(ring.executor(0).waiting_for() == std::vector<std::uint32_t>{3});
  CHECK(ring.executor(0).senders() == std::vector<std::uint32_t>{3});
  Ensemble star({.kind = PlanKind::direct, .world_size = 4, .elements = 100000}, 1);
  CHECK(star.executor(2).waiting_for() == std::vector<std::uint32_t>{0, 1, 3});
  Ensemble tiny({.kind = PlanKind::direct, .world_size = 4, .elements = 1}, 1);
  CHECK(tiny.executor(2).waiting_for() == std::vector<std::uint32_t>{0});
}

}  // namespace hawser
