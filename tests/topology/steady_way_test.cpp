#include "topology/steady_way.hpp"

#include "catch.hpp"

namespace hawser::topology {
namespace {

constexpr PeerId kBy{7};
constexpr PeerId kOther{8};

Instant after(std::int64_t s) { return Instant{} + seconds(1000 + s); }

}  // namespace

TEST_CASE("a lost way is told at once, and told again when it has stood for 30 s") {
  SteadyWay way;
  way.stands(after(0), {});
  CHECK(way.told(after(1)) == PeerId{});
  way.stands(after(2), kBy);
  CHECK(way.told(after(2)) == kBy);
  way.is_down();
  way.stands(after(10), {});
  CHECK(way.told(after(39)) == kBy);
  CHECK(way.told(after(40)) == PeerId{});
}

TEST_CASE("a way that comes and goes is told once") {
  SteadyWay way;
  int changes = 0;
  PeerId before{};
  for (int s = 0; s < 600; s += 3) {
    way.is_down();
    way.stands(after(s), s % 2 == 0 ? kBy : PeerId{});
    const PeerId told = way.told(after(s + 2));
    changes += told != before ? 1 : 0;
    before = told;
  }
  CHECK(changes == 1);
  CHECK(before == kBy);
}

TEST_CASE("a way that is lost again soon must stand longer each time") {
  SteadyWay way;
  std::int64_t now = 0;
  for (const std::int64_t held : {30, 60, 120, 240, 480, 600, 600}) {
    way.stands(after(now), kBy);
    way.is_down();
    way.stands(after(now + 1), {});
    CHECK(way.told(after(now + held)) == kBy);
    CHECK(way.told(after(now + 1 + held)) == PeerId{});
    now += held + 2;
  }
  // One that has stood for long begins anew.
  now += 600;
  way.stands(after(now), kBy);
  way.stands(after(now), {});
  CHECK(way.told(after(now + 30)) == PeerId{});
}

TEST_CASE("a break begins the time of a straight way anew, and another go-between is told later") {
  SteadyWay way;
  way.stands(after(0), kBy);
  way.stands(after(1), {});
  way.is_down();
  way.stands(after(20), {});
  CHECK(way.told(after(49)) == kBy);
  way.stands(after(49), kOther);
  CHECK(way.told(after(49)) == kOther);
  way.stands(after(50), kBy);
  CHECK(way.told(after(58)) == kOther);
  CHECK(way.told(after(59)) == kBy);
}

}  // namespace hawser::topology
