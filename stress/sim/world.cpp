#include "sim/world.hpp"

#include <cstdio>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

namespace hawser::sim {

World::World(Profile profile_in, std::uint64_t seed)
    : profile(std::move(profile_in)),
      random(seed),
      checker(*this),
      master(*this, 0),
      control(*this),
      links(*this) {
  masters_.push_back(&master);
  for (std::size_t i = 1; i < profile.engine.masters; ++i)
    masters_.push_back(standbys_.emplace_back(std::make_unique<MasterProcess>(*this, i)).get());
  for (MasterProcess* const one : masters_)
    if (profile.network.keys) one->rules.denied_keys.insert(kBannedKey);
}

World::~World() = default;

Process& World::start_process(const std::string& name, Process::Place place) {
  if (tracing()) trace(name + " starts");
  return *processes_.emplace_back(std::make_unique<Process>(*this, processes_.size() + 1, name, place));
}

Process* World::find(PeerId id) {
  for (const auto& process : processes_)
    if (!process->gone() && process->id() == id) return process.get();
  return nullptr;
}

Process* World::find_by_any_id(PeerId id) {
  if (Process* const process = find(id)) return process;
  for (const auto& process : processes_)
    if (!process->gone() && process->has_been(id)) return process.get();
  return nullptr;
}

std::vector<Process*> World::living() {
  std::vector<Process*> found;
  for (const auto& process : processes_)
    if (!process->gone() && !process->is_relay()) found.push_back(process.get());
  return found;
}

std::vector<Process*> World::living_relays() {
  std::vector<Process*> found;
  for (const auto& process : processes_)
    if (!process->gone() && process->is_relay()) found.push_back(process.get());
  return found;
}

const Stranger* World::find_stranger(PeerId id) const {
  for (const auto& stranger : strangers_)
    if (stranger->who.id == id) return stranger.get();
  return nullptr;
}

Party World::known_party() {
  if (!master.running()) return {};
  std::map<PartyId, std::pair<Party, std::uint32_t>> members;
  for (const View& view : master.machine().snapshot().views)
    for (const Member& member : view.members)
      if (const Process* process = find(member.id); process && process->party().exists()) {
        auto& [party, count] = members[process->party().id];
        party = process->party();
        ++count;
      }
  std::erase_if(members, [](const auto& entry) { return entry.second.second < entry.second.first.size; });
  if (members.empty()) return {};
  auto one = members.begin();
  std::advance(one, static_cast<std::ptrdiff_t>(random.below(members.size())));
  return one->second.first;
}

bool World::step() {
  arm_timers();  // Of those that something was done to between events.
  const bool more = queue.step();
  arm_timers();
  buried.clear();
  return more;
}

std::optional<Instant> World::next_due() {
  arm_timers();
  return queue.next_due();
}

void World::timer_changes(Process& process) {
  if (!std::exchange(process.timer_changes, true)) to_arm_.emplace_back(&process, queue.reserve());
}

void World::arm_timers() {
  for (const auto& [process, turn] : to_arm_) process->arm_timer(turn);
  to_arm_.clear();
}

void World::trace(const std::string& line) const {
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f ",
                static_cast<double>(queue.now().time_since_epoch().count()) / 1e6);
  on_trace(time + line);
}

void World::log(const std::string& who, const LogEvent& event) {
  coverage.saw(event.what);
  if (std::string_view(event.what) == "stalled-peer-expelled") judge_blame(event.text);
  if (std::string_view(event.what) == "straggler-expelled") judge_straggler(event.text);
  if (on_log) on_log(who, event);
  if (tracing()) trace(who + " logs " + event.what + ": " + event.text);
}

/// Whether the master blames one whose data did not flow lately. Only counted: it cannot always tell.
void World::judge_blame(const std::string& name) {
  for (const auto& process : processes_) {
    if (process->name() != name || process->gone()) continue;
    const bool guilty =
        links.hampered(*process) || process->hampered_until() > queue.now() - profile.master.stall * 2;
    coverage.saw(guilty ? "sim: culprit expelled for a stall" : "sim: innocent expelled for a stall");
  }
}

/// Whether one is expelled for slow links whose links are slow. Only counted: they may be fast again by then.
void World::judge_straggler(const std::string& name) {
  for (const auto& process : processes_)
    if (process->name() == name && !process->gone())
      coverage.saw(process->link_bytes_per_ms() != 0 ? "sim: straggler expelled"
                                                     : "sim: expelled, though not slow now");
}

void World::observe(const std::string& who, const char* kind) {
  if (on_message) on_message(who, kind);
}

}  // namespace hawser::sim
