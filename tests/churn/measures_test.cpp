#include <vector>

#include "catch.hpp"
#include "churn/churn_schedule.hpp"
#include "churn/recovery_clock.hpp"
#include "churn/report_line.hpp"
#include "churn/series.hpp"
#include "json/json_writer.hpp"

using namespace hawser::churn;

TEST_CASE("a report line gives back what was put in") {
  LineBuilder builder("round");
  builder.add("step", std::uint64_t{7})
      .add("loss", 2.5)
      .list("members", {3, 9})
      .add("name", "a b")
      .text("x=1 y\nz");
  const ReportLine line(builder.line());
  CHECK(line.word() == "round");
  CHECK(line.number("step") == 7u);
  CHECK(line.real("loss") == 2.5);
  CHECK(line.list("members") == std::vector<std::uint64_t>{3, 9});
  CHECK(line.get("name") == "a_b");
  CHECK(line.get("text") == "x=1 y z");
  CHECK_FALSE(line.number("loss"));
  CHECK_FALSE(line.number("missing"));
}

TEST_CASE("quantiles of a series") {
  Series series;
  CHECK(series.median() == 0);
  for (int i = 10; i >= 1; --i) series.add(i);
  CHECK(series.min() == 1);
  CHECK(series.median() == 5);
  CHECK(series.p95() == 10);
  CHECK(series.max() == 10);
}

TEST_CASE("a kill is over with the first later step without the dead") {
  RecoveryClock clock;
  clock.killed(1'000'000, 7);
  clock.on_step({.at_ns = 900'000, .epoch = 1, .members = {1, 2}});
  clock.on_step({.at_ns = 2'000'000, .epoch = 1, .members = {1, 2, 7}});
  CHECK(clock.kills_ms().empty());
  clock.on_step({.at_ns = 5'000'000, .epoch = 2, .members = {1, 2}});
  clock.on_step({.at_ns = 6'000'000, .epoch = 2, .members = {1, 2}});
  CHECK(clock.kills_ms().count() == 1);
  CHECK(clock.kills_ms().max() == 4);
}

TEST_CASE("a stop that ends before the others went on is not measured") {
  RecoveryClock clock;
  clock.stopped(0, 7);
  clock.continued(7);
  clock.on_step({.at_ns = 9, .epoch = 2, .members = {1, 2}});
  CHECK(clock.stops_ms().empty());
}

TEST_CASE("a restart of the master is over with a later epoch") {
  RecoveryClock clock;
  clock.on_step({.at_ns = 1, .epoch = 4, .members = {1}});
  clock.master_killed(2);
  clock.on_step({.at_ns = 3, .epoch = 4, .members = {1}});
  CHECK(clock.masters_ms().empty());
  clock.on_step({.at_ns = 4, .epoch = 5, .members = {1}});
  CHECK(clock.masters_ms().count() == 1);
}

TEST_CASE("of several masters, a kill of the one that serves is over under another one") {
  RecoveryClock clock;
  const auto epoch_of = [](std::uint64_t term, std::uint64_t number) { return (term << 32) + number; };
  clock.on_step({.at_ns = 1, .epoch = epoch_of(1, 4), .members = {1}});
  clock.serving_master_killed(2'000'000);
  clock.on_step({.at_ns = 3'000'000, .epoch = epoch_of(1, 5), .members = {1}});
  CHECK(clock.masters_ms().empty());
  clock.on_step({.at_ns = 6'000'000, .epoch = epoch_of(3, 1), .members = {1}});
  CHECK(clock.masters_ms().count() == 1);
  CHECK(clock.masters_ms().max() == 4);
  clock.serving_master_stopped(7'000'000);
  clock.serving_master_continued();
  clock.on_step({.at_ns = 8'000'000, .epoch = epoch_of(4, 1), .members = {1}});
  CHECK(clock.master_stops_ms().empty());
  clock.serving_master_stopped(9'000'000);
  clock.on_step({.at_ns = 14'000'000, .epoch = epoch_of(5, 1), .members = {1}});
  CHECK(clock.master_stops_ms().max() == 5);
  CHECK(clock.masters_ms().count() == 1);
}

TEST_CASE("where another master may have to take the run over, more than half of the last view stays") {
  ChurnOptions options;
  options.peers = 5;
  ChurnSchedule schedule(options);
  std::vector<Candidate> workers;
  for (std::uint32_t i = 0; i < 5; ++i)
    workers.push_back({.index = i, .member = true, .synced = true, .running = true, .in_view = i < 4});
  schedule.keep(Majority{.of = 4, .unsettled = 0});
  CHECK(schedule.choose_victim(workers));
  // Of four, one is gone.
  workers[0].running = false;
  schedule.keep(Majority{.of = 4, .unsettled = 0});
  for (int i = 0; i < 50; ++i) CHECK(schedule.choose_victim(workers) == 4u);
  schedule.keep(Majority{.of = 4, .unsettled = 1});
  CHECK_FALSE(schedule.choose_victim(workers));
  schedule.keep(std::nullopt);
  CHECK(schedule.choose_victim(workers));
}

TEST_CASE("victims leave enough holders of the weights behind") {
  ChurnOptions options;
  options.peers = 4;
  ChurnSchedule schedule(options);
  std::vector<Candidate> workers;
  for (std::uint32_t i = 0; i < 4; ++i)
    workers.push_back({.index = i, .member = true, .synced = i < 2, .running = true});
  for (int i = 0; i < 200; ++i) {
    const auto victim = schedule.choose_victim(workers);
    REQUIRE(victim);
    CHECK(*victim >= 2);
  }
  workers[2].running = workers[3].running = false;
  CHECK_FALSE(schedule.choose_victim(workers));
}

TEST_CASE("a seed draws the same again, another seed something else") {
  ChurnOptions options;
  ChurnSchedule a(options), b(options);
  options.seed = 2;
  ChurnSchedule c(options);
  bool differs = false;
  for (int i = 0; i < 20; ++i) {
    const auto gap = a.gap_ms(1000);
    CHECK(gap == b.gap_ms(1000));
    CHECK((gap >= 500 && gap <= 1500));
    differs |= gap != c.gap_ms(1000);
  }
  CHECK(differs);
}

TEST_CASE("the target swings within a third of the wanted number") {
  ChurnOptions options;
  options.peers = 6;
  ChurnSchedule schedule(options);
  std::uint32_t target = 6;
  for (int i = 0; i < 500; ++i) {
    target = schedule.swing(target);
    CHECK((target >= 4 && target <= 8));
  }
}

TEST_CASE("JSON has its commas and escapes") {
  hawser::JsonWriter json;
  json.open().add("a", std::uint64_t{1}).open_list("b").add({}, std::string_view("x\"\n")).close_list();
  json.open("c").close().add("d", true).close();
  CHECK(json.text() == "{\n\"a\": 1,\n\"b\": [\n\"x\\\"\\u000a\"],\n\"c\": {},\n\"d\": true}");
}
