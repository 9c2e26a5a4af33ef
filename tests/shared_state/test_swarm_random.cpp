#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "shared_state/swarm.hpp"
#include "shared_state/swarm_simulation.hpp"

// Random transfers among honest members, slow, stopped, late and gone ones among them: all complete, nobody
// is taken for a liar, and no deadline comes twice.

namespace hawser {
namespace {

struct Scene {
  std::vector<SwarmMember> members;
  std::vector<SwarmPart> parts;
  std::vector<std::uint32_t> staying;
  Duration latency{};
  Duration limit{};  ///< Long enough if one member sent everything to all.
  std::uint64_t slices = 0;
  bool prefetch = false;  ///< No holders: what owners have is known from what they say only.
};

/// Each part has a holder, or else a member with all of it, that stays and whose copies are whole.
Scene random_scene(Random& random) {
  Scene scene;
  const auto peers = static_cast<std::uint32_t>(2 + random.below(8));
  const auto steady = static_cast<std::uint32_t>(random.below(peers));
  scene.latency = microseconds(random.between(0, random.chance(1, 4) ? 200000 : 5000));
  scene.members.resize(peers);
  scene.prefetch = random.chance(1, 5);
  for (std::uint64_t part = 1 + random.below(5); part > 0; --part) {
    SwarmPart who{.slices = random.below(random.chance(1, 3) ? 200 : 12)};
    for (std::uint32_t peer = 0; peer < peers; ++peer) {
      const std::uint64_t role = random.below(10);
      if (scene.prefetch)
        who.receivers.push_back(peer);
      else if (peer == steady || role < 2)
        who.holders.push_back(peer);
      else if (role < 9)
        who.receivers.push_back(peer);
    }
    scene.slices += who.slices;
    scene.parts.push_back(who);
  }
  for (std::uint32_t peer = 0; peer < peers; ++peer) {
    SwarmMember& member = scene.members[peer];
    member.up = microseconds(random.between(100, random.chance(1, 5) ? 500000 : 20000));
    if (random.chance(1, 3)) member.down = microseconds(random.between(0, 50000));
    if (random.chance(1, 3)) member.ready_at += microseconds(random.between(0, 5000000));
    member.has.resize(scene.slices);
    const std::uint64_t known = random.chance(1, 2) ? 0 : random.below(10);
    for (std::uint64_t slice = 0; slice < scene.slices; ++slice)
      member.has[slice] = random.chance(known, 10) || (scene.prefetch && peer == steady);
    if (random.chance(1, 4)) {
      member.stops_at = Instant{} + microseconds(random.between(0, 2000000));
      member.goes_on_at = member.stops_at + microseconds(random.between(1, 6000000));
    }
    if (peer != steady && random.chance(1, 10))
      member.gone_at = Instant{} + microseconds(random.between(0, 3000000));
    else
      scene.staying.push_back(peer);
    if (peer != steady && random.chance(1, 4))
      for (std::uint64_t damaged = random.below(scene.slices + 1); damaged > 0; --damaged)
        member.damaged.insert(random.below(scene.slices));
  }
  SwarmMember slowest;
  for (const SwarmMember& member : scene.members) {
    slowest.up = std::max(slowest.up, member.up);
    slowest.down = std::max(slowest.down, member.down);
  }
  const auto slices = static_cast<std::int64_t>(scene.slices);
  scene.limit = seconds(20) + slices * (peers * scene.members[steady].up + 2 * slowest.down) + 8 * slowest.up;
  return scene;
}

}  // namespace

TEST_CASE("random transfers among honest members end, with everything everywhere") {
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    Random random(seed);
    const Scene scene = random_scene(random);
    SwarmSimulation sim(scene.members, scene.parts, scene.latency);
    INFO("seed " << seed);
    const bool ended = sim.run(scene.staying, scene.limit);
    INFO((sim.wrong.empty() ? "" : sim.wrong.front()));
    REQUIRE(sim.wrong.empty());
    REQUIRE(ended);
    // Without holders the damaged copy may have been all that was known of.
    for (const std::uint32_t self : scene.staying)
      REQUIRE((scene.prefetch || sim.swarms[self].given_up().empty()));
  }
}

}  // namespace hawser
