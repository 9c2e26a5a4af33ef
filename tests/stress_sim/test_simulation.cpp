#include <string>

#include "catch.hpp"
#include "sim/simulation.hpp"
#include "sim/sweep.hpp"

using namespace hawser;

TEST_CASE("a few hundred seeds keep all promises") {
  const sim::SweepResult result =
      sim::sweep({.first = 1, .last = 400, .violations_max = 5, .say = [](const std::string& line) {
                    UNSCOPED_INFO(line);
                  }});
  CHECK(result.violations == 0);
  CHECK(result.seeds == 400);
  CHECK(result.commits > 1000);
}

TEST_CASE("a seed has one history") {
  for (std::uint64_t seed = 500; seed < 520; ++seed) {
    const auto once = sim::simulate({.seed = seed, .peers = 0, .steps = 0, .on_trace = {}});
    // Looking on changes nothing.
    std::size_t lines = 0;
    const auto again = sim::simulate(
        {.seed = seed, .peers = 0, .steps = 0, .on_trace = [&](const std::string&) { ++lines; }});
    CHECK(once.history == again.history);
    CHECK(once.events == again.events);
    CHECK(once.coverage == again.coverage);
    CHECK(lines > 0);
  }
}

TEST_CASE("seeds have different histories") {
  CHECK(sim::simulate({.seed = 1, .on_trace = {}}).history !=
        sim::simulate({.seed = 2, .on_trace = {}}).history);
}

TEST_CASE("peers and steps can be given") {
  const auto small = sim::simulate({.seed = 3, .peers = 2, .steps = 100, .on_trace = {}});
  const auto great = sim::simulate({.seed = 3, .peers = 16, .steps = 20000, .on_trace = {}});
  CHECK_FALSE(small.violation);
  CHECK_FALSE(great.violation);
  CHECK(small.events < great.events);
}

TEST_CASE("several threads find what one finds") {
  const sim::SweepResult one = sim::sweep({.first = 1, .last = 60, .jobs = 1, .say = {}});
  const sim::SweepResult three = sim::sweep({.first = 1, .last = 60, .jobs = 3, .say = {}});
  CHECK(one.events == three.events);
  CHECK(one.coverage == three.coverage);
}

TEST_CASE("coverage tells what was never seen") {
  CHECK(sim::never_seen({}).size() == sim::expected_names().size());
  sim::Counts counts;
  for (const auto name : sim::expected_names()) counts[std::string(name)] = 1;
  CHECK(sim::never_seen(counts).empty());
}

TEST_CASE("a replay command carries what was given") {
  CHECK(sim::replay_command("hawser-sim", 7, 0, 0) == "hawser-sim --seed 7 --verbose");
  CHECK(sim::replay_command("hawser-sim", 7, 3, 100) ==
        "hawser-sim --seed 7 --peers 3 --steps 100 --verbose");
}
