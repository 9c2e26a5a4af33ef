#include "sim/stranger_crowd.hpp"

#include <algorithm>
#include <utility>

#include "sim/world.hpp"

namespace hawser::sim {
namespace {

constexpr std::size_t kConnectedMost = 60;
constexpr std::uint64_t kStartedMost = 200;
constexpr std::size_t kAgreeMost = 3;

}  // namespace

void StrangerCrowd::come() {
  if (!may_come()) return;
  Random& random = world_.random;
  if (random.chance(1, world_.profile.faults.gentle ? 4 : 12)) return flood();
  if (random.chance(1, 3)) return plot();
  const std::string host = next_host();
  for (std::uint64_t i = 1 + random.below(2); i > 0; --i) single(host);
}

bool StrangerCrowd::may_come() {
  const auto& all = world_.strangers();
  const auto connected = std::count_if(all.begin(), all.end(), [](const auto& one) { return one->is_connected(); });
  return started_ < kStartedMost && static_cast<std::size_t>(connected) < kConnectedMost;
}

/// Each group of the run has had members.
bool StrangerCrowd::is_first_view_there() {
  std::vector<bool> seen(world_.profile.groups);
  for (const View& view : world_.hearsay.views)
    if (view.group < seen.size()) seen[view.group] = true;
  return std::all_of(seen.begin(), seen.end(), [](bool one) { return one; });
}

/// Fewer than the honest members of the group.
std::size_t StrangerCrowd::most_that_agree(std::uint32_t group) {
  if (!world_.profile.faults.gentle) return kAgreeMost;
  const auto living = world_.living();
  const auto honest = static_cast<std::size_t>(std::count_if(living.begin(), living.end(), [&](Process* process) {
    return process->group() == group && !process->bad() && process->info().connected;
  }));
  return std::min(kAgreeMost, honest == 0 ? 0 : honest - 1);
}

void StrangerCrowd::start(RandomStranger::Role role, const std::string& name, const std::string& host,
                          std::shared_ptr<const Plot> plot) {
  auto stranger = std::make_unique<RandomStranger>(world_, name, host, role, std::move(plot));
  RandomStranger& kept = *stranger;
  world_.add_stranger(std::move(stranger));
  kept.begin(Duration(world_.random.between(0, world_.random.chance(1, 2) ? 1000 : 500000)));
}

void StrangerCrowd::single(const std::string& host) {
  using Role = RandomStranger::Role;
  const auto role = static_cast<Role>(world_.random.below(RandomStranger::kRoles));
  if (role == Role::inventor) return plot();
  if (role == Role::former_member && world_.profile.faults.gentle && !is_first_view_there()) return;
  start(role, next_name(), host, nullptr);
}

/// Some of them say one thing.
void StrangerCrowd::plot() {
  Random& random = world_.random;
  const auto group = static_cast<std::uint32_t>(random.below(world_.profile.groups));
  if (world_.profile.faults.gentle && !is_first_view_there()) return;
  const std::size_t most = most_that_agree(group);
  if (most == 0) return;
  const std::size_t strangers = 1 + static_cast<std::size_t>(random.below(most));
  std::vector<Member> members;
  std::vector<std::string> hosts;
  for (std::size_t i = 0; i < strangers; ++i) {
    hosts.push_back(next_host());
    members.push_back({.id = {random.next()}, .name = next_name(), .address = {.host = hosts.back(), .port = 4000}});
  }
  auto plot = std::make_shared<Plot>();
  plot->run = random.chance(1, 2) ? world_.hearsay.run : RunId{random.next()};
  plot->view = Lies(world_).invented_view(members, group);
  for (std::size_t i = 0; i < strangers; ++i)
    start(RandomStranger::Role::inventor, members[i].name, hosts[i], plot);
}

/// So many that limits of an address are felt.
void StrangerCrowd::flood() {
  using Role = RandomStranger::Role;
  Random& random = world_.random;
  world_.coverage.saw("stranger: one of a flood");
  constexpr Role kRolesOfFloods[] = {Role::silent, Role::newcomer, Role::patient,
                                     Role::poser,  Role::asker,    Role::babbler};
  const Role role = kRolesOfFloods[random.below(std::size(kRolesOfFloods))];
  const std::string host = next_host();
  for (std::int64_t i = random.between(25, 50); i > 0; --i) start(role, next_name(), host, nullptr);
}

}  // namespace hawser::sim
