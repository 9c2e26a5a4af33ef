#include "sim/profile.hpp"

#include <algorithm>

namespace hawser::sim {
namespace {

/// One of a few orders of magnitude, so that both tight and loose runs occur.
Duration one_duration_of(Random& random, std::initializer_list<Duration> choices) {
  return choices.begin()[random.below(choices.size())];
}

DelayRange up_to(Duration most) { return {.least = Duration(most.count() / 10), .most = most}; }

void draw_network(Random& random, NetworkProfile& network) {
  network.control_delay = up_to(one_duration_of(random, {microseconds(200), milliseconds(5), milliseconds(100)}));
  network.control_dial = up_to(one_duration_of(random, {microseconds(500), milliseconds(20), milliseconds(300)}));
  network.told = up_to(one_duration_of(random, {microseconds(500), milliseconds(20), milliseconds(500)}));
  network.link_delay = up_to(one_duration_of(random, {microseconds(100), milliseconds(2), milliseconds(50)}));
  network.link_dial = up_to(one_duration_of(random, {microseconds(500), milliseconds(20), milliseconds(300)}));
  network.timer_latency = up_to(one_duration_of(random, {Duration::zero(), microseconds(100), milliseconds(5)}));
  network.user_timeout = one_duration_of(random, {seconds(4), seconds(12), seconds(20)});
  network.bytes_per_ms = random.chance(1, 4) ? 20000 : 1000000;
  network.window_bytes = static_cast<std::size_t>(random.between(1, 4)) << (random.chance(1, 4) ? 12 : 16);
  network.piece_bytes_max = static_cast<std::size_t>(1) << random.between(10, 17);
  if (random.chance(1, 20)) {
    // So slow that only the progress of single frames tells a slow link from a dead one.
    network.bytes_per_ms = random.between(20, 200);
    network.piece_bytes_max = 2048;
  }
  network.connections_per_link = static_cast<std::uint32_t>(random.between(0, 3));
  network.restless = random.chance(1, 2);
  network.split_per_256 = random.chance(1, 2) ? 64 : 0;
  network.cut_keeps = Keep::some;
  network.wire_codecs = random.chance(1, 3);
}

void draw_bounds(Random& random, Profile& profile) {
  MasterConfig& master = profile.master;
  EngineConfig& engine = profile.engine;
  // The defaults, or all of them shorter by the same factor.
  const std::int64_t divisor = random.chance(1, 2) ? 1 : random.between(2, 4);
  master.silence /= divisor;
  master.stall /= divisor;
  master.recovery /= divisor;
  master.bootstrap /= divisor;
  master.link_open /= divisor;
  engine.silence /= divisor;
  engine.stall /= divisor;
  // Rates of hardly anything: plans change all the time.
  if (random.chance(1, 2)) engine.sample = {.time = microseconds(1), .bytes = 1};
  // So little that limits and windows are felt.
  if (random.chance(1, 2)) engine.collective_memory_bytes = 1 << random.below(20);
  master.call_wait = one_duration_of(random, {seconds(4), seconds(10), seconds(30)});
  engine.connect = seconds(random.between(40, 120));
  engine.master_redial = seconds(random.between(4, 40));
}

void draw_application(Random& random, ApplicationProfile& application) {
  application.rule_seed = random.next();
  application.update_per_256 = static_cast<std::uint64_t>(random.between(30, 160));
  application.big_per_256 = random.chance(1, 16) ? 20 : 0;
  if (random.chance(1, 8)) application.big_elements = 900000;
  application.deviation_per_1024 = random.chance(1, 4) ? 20 : 0;
  application.stale_look_per_256 = random.chance(1, 4) ? 20 : 0;
  application.slow_per_1024 = random.chance(1, 8) ? 20 : 0;
  application.misuse_per_1024 = random.chance(1, 4) ? 30 : 0;
  application.slow_most = seconds(random.between(1, 12));
  application.think_most = one_duration_of(random, {microseconds(100), milliseconds(10), milliseconds(100)});
  application.tags_most = static_cast<std::uint32_t>(random.between(1, 4));
  application.element_limit = random.chance(1, 8) ? 20000 : 1500;
  application.shared_state = random.chance(1, 2);
  application.large_state = application.shared_state && random.chance(1, 32);
}

/// Each kind is on or off by a coin, so that some runs see one kind of fault again and again, and others all.
void draw_faults(Random& random, FaultProfile& faults) {
  static constexpr std::uint64_t kBetween[] = {40, 150, 500, 1500};
  faults.events_between = kBetween[random.below(std::size(kBetween))];
  const auto coin = [&random](std::uint32_t weight) { return random.chance(1, 2) ? weight : 0; };
  auto& weights = faults.weights;
  weights.cut_link = coin(8);
  weights.cut_pair = coin(3);
  weights.spurious_tick = coin(2);
  weights.kill = coin(4);
  weights.start = random.chance(3, 4) ? 5 : 0;
  weights.leave = coin(2);
  weights.stop = coin(3);
  weights.silence = coin(1);
  weights.partition = coin(1);
  weights.blackhole = coin(1);
  weights.cut_control = coin(2);
  weights.half_open_control = coin(2);
  weights.master = coin(2);
  weights.master_stop = random.chance(1, 4) ? 1 : 0;
  weights.hostile = random.chance(1, 4) ? 2 : 0;
  faults.trigger_per_1024 = random.chance(1, 2) ? 20 : 0;
}

/// Only what nobody may notice: no call may fail in such a run.
void be_gentle(Random& random, Profile& profile) {
  FaultProfile& faults = profile.faults;
  const auto before = faults.weights;
  faults.gentle = true;
  faults.weights = {};
  faults.weights.cut_link = std::max(before.cut_link, 4U);
  faults.weights.spurious_tick = before.spurious_tick;
  faults.weights.start = before.start;
  // A connection to the master is not a member, and a master that slept gives everybody time.
  faults.weights.cut_control = random.chance(1, 2) ? 4 : 0;
  faults.weights.half_open_control = random.chance(1, 2) ? 2 : 0;
  faults.weights.master_stop = random.chance(1, 2) ? 1 : 0;
  profile.engine.master_redial = seconds(120);
  faults.events_between = std::max<std::uint64_t>(faults.events_between, 150);
  profile.network.told = profile.network.link_dial = up_to(milliseconds(20));
  profile.network.link_delay = up_to(milliseconds(2));
  profile.network.bytes_per_ms = std::max<std::int64_t>(profile.network.bytes_per_ms, 20000);
  profile.master.call_wait = seconds(60);
  profile.network.control_delay = up_to(milliseconds(5));
  profile.application.deviation_per_1024 = 0;
  profile.application.stale_look_per_256 = 0;
  profile.application.slow_per_1024 = 0;
}

/// Strangers, a member that lies, and peers that are of no use without each other.
void draw_company(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720003ULL);
  FaultProfile& faults = profile.faults;
  auto& weights = faults.weights;
  if (random.chance(1, 10) && !faults.gentle) be_gentle(random, profile);
  profile.application.updates_first = random.chance(1, 4);
  faults.machines = random.chance(1, 4);
  const bool is_gentle = faults.gentle;
  if (random.chance(1, is_gentle ? 2 : 5)) {
    weights.strangers = 3;
    faults.events_between = std::min<std::uint64_t>(faults.events_between, 500);
  }
  if (random.chance(1, 3)) weights.knock = 2;
  if (is_gentle && random.chance(1, 2)) {
    weights.master = 1;
    // Whom it was not told that its master is gone comes back late, perhaps to one that strangers have found first.
    if (weights.strangers != 0) weights.half_open_control = 0;
  }
  if (random.chance(1, is_gentle ? 3 : 12)) {
    faults.bad_member = true;
    faults.bad_calls = random.chance(1, 3);
    weights.lie = 5;
    profile.peers = std::max(profile.peers, 3 * profile.groups);
  } else if (is_gentle && random.chance(1, 4)) {
    faults.parties = true;
    // A party of which one is not connected may be taken.
    weights.master = weights.cut_control = weights.half_open_control = weights.master_stop = 0;
    profile.peers += profile.peers % 2;
  } else if (!is_gentle && random.chance(1, 8)) {
    faults.parties = true;
    profile.peers += profile.peers % 2;
  }
  profile.application.scribble_per_1024 = profile.application.shared_state && random.chance(1, 2) ? 40 : 0;
}

/// A part of the seeds looks for stragglers: links that are known to be fast become slow for a while, in calls that
/// last long by that.
void draw_stragglers(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720002ULL);
  profile.master.straggler = seconds(random.between(1, 10));
  profile.master.straggler_percent = static_cast<std::uint32_t>(random.between(5, 60));
  if (profile.faults.gentle || !random.chance(1, 6)) return;
  profile.master.straggler_policy = random.chance(2, 3) ? StragglerPolicy::expel : StragglerPolicy::report;
  if (!random.chance(1, 2)) return;
  profile.master.straggler = seconds(random.between(1, 3));
  profile.faults.weights = {.slow = 8};
  profile.faults.bad_member = false;
  profile.faults.events_between = 800;
  profile.faults.trigger_per_1024 = 0;
  profile.fault_events = std::max<std::uint64_t>(profile.fault_events, 6000);
  profile.faults.slow_bytes_per_ms = random.between(4, 16);
  profile.application.big_elements = 60'000;
  profile.network.bytes_per_ms = 20000;
  profile.network.piece_bytes_max = 2048;
  profile.engine.sample = {.time = microseconds(1), .bytes = 4096};
  profile.application.big_per_256 = 100;
  profile.application.large_state = false;
  profile.application.update_per_256 = 10;
  profile.application.slow_per_1024 = 0;
  profile.groups = 1;
  profile.peers = std::max(profile.peers, 4U);
}

/// A part of the seeds has keys. Strangers have none, one that is banned, an observer's, or a member's of their own.
void draw_keys(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720006ULL);
  profile.network.keys = profile.master.needs_keys = random.chance(1, 3);
}

/// A part of the seeds has devices, and in a part of those they fail.
void draw_devices(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720005ULL);
  if (!random.chance(1, 4)) return;
  profile.application.devices = true;
  if (!profile.faults.gentle && profile.faults.weights.kill > 0) profile.faults.weights.device = 2;
}

/// Several masters, which die, and come back, and are cut off from members and from each other.
void draw_masters(std::uint64_t seed, bool lease, Profile& profile) {
  Random random(seed ^ 0x6861777365720008ULL);
  FaultProfile& faults = profile.faults;
  if (faults.gentle) return;
  // What a stranger or a bad member claims may keep a master from taking over.
  faults.bad_member = faults.parties = false;
  faults.weights.lie = faults.weights.strangers = 0;
  profile.engine.masters = static_cast<std::size_t>(random.between(2, 3));
  profile.master.has_others = true;
  profile.master.has_lease = lease;
  faults.weights.master = random.chance(3, 4) ? 4 : 0;
  faults.weights.split = random.chance(3, 4) ? 4 : 0;
  profile.engine.master_redial = seconds(random.between(8, 40));
  profile.peers = std::max(profile.peers, static_cast<std::uint32_t>(random.between(2, 5)) * profile.groups);
}

/// Relays, which die and come again, are stopped, and are cut off: nobody may notice, in gentle runs either.
void draw_relays(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720009ULL);
  profile.relays = static_cast<std::uint32_t>(random.between(1, 2)) * profile.groups;
  auto& weights = profile.faults.weights;
  weights.relay_kill = random.chance(3, 4) ? 6 : 0;
  weights.relay_start = 4;
  weights.relay_stop = random.chance(1, 2) && !profile.faults.gentle ? 3 : 0;
  weights.relay_cut = random.chance(1, 2) && !profile.faults.gentle ? 3 : 0;
  // A first large call goes through relays.
  profile.application.big_per_256 = std::max<std::uint64_t>(profile.application.big_per_256, 40);
}

/// A part of the seeds has groups without all links: as those of more than 128 members, but small.
void draw_rows(std::uint64_t seed, bool always, Profile& profile) {
  Random random(seed ^ 0x6861777365720004ULL);
  if (!random.chance(1, 8) && !always) return;
  LinkLayout links{.all_links_max = static_cast<std::uint32_t>(random.between(3, 5)), .width = 2, .sponsors = 1};
  if (random.chance(1, 4)) links = {.all_links_max = 7, .width = 4, .sponsors = 2};
  links.sponsors += static_cast<std::uint32_t>(random.below(2));
  profile.master.links = profile.engine.links = links;
  const auto members = static_cast<std::uint32_t>(random.between(links.all_links_max, links.all_links_max + 4));
  profile.peers = std::max(profile.peers, members * profile.groups);
  if (profile.faults.parties) profile.peers += profile.peers % 2;
  // Whom nobody can dial is refused there.
  profile.faults.nat = false;
}

/// In a part of the runs links come to be only if both sides dial at once, as their master tells them.
void draw_crossed_nats(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720008ULL);
  if (profile.faults.nat || profile.faults.bad_member || !random.chance(1, 8)) return;
  // In larger groups whom nobody can dial is refused.
  if (profile.engine.links.all_links_max < profile.peers + 2) return;
  // A link that breaks comes back when the master is there, so no call may depend on it that long.
  if (profile.faults.gentle) return;
  profile.faults.crossed_nats = true;
}

/// In a part of the runs in which no call may fail, ways between two members die. A third one joins them.
void draw_ways(std::uint64_t seed, Profile& profile) {
  Random random(seed ^ 0x6861777365720007ULL);
  if (!profile.faults.gentle || profile.faults.bad_member || profile.faults.nat || !random.chance(1, 2)) return;
  // Where not all have links, two may have none in common.
  if (profile.engine.links.all_links_max < profile.peers + 2) return;
  profile.faults.weights.blackhole = 3;
  // It takes some seconds until a link has another way: as many as a stall may last by default, and not fewer.
  profile.master.stall = MasterConfig{}.stall;
  profile.engine.stall = EngineConfig{}.stall;
  // A member whose links and whose connection to the master are down at one time may be taken for dead.
  profile.faults.weights.cut_control = profile.faults.weights.half_open_control = 0;
  profile.faults.weights.master = profile.faults.weights.master_stop = 0;
  profile.peers = std::max(profile.peers, 3 * profile.groups + profile.peers % 2);
}

/// Where no call may fail for another reason, members call late, and the master hears all: then a call ends as soon as
/// one gives it up.
void draw_bounds_of_calls(Profile& profile) {
  profile.application.gives_up = true;
  FaultProfile& faults = profile.faults;
  if (!faults.gentle) return;
  faults.weights.cut_control = faults.weights.half_open_control = 0;
  faults.weights.master = faults.weights.master_stop = 0;
  faults.bad_member = false;
  profile.application.slow_per_1024 = 40;
  profile.application.slow_most = seconds(30);
}

}  // namespace

Profile draw_profile(std::uint64_t seed, std::uint32_t peers, std::uint64_t steps, const Modes& modes) {
  Random random(seed ^ 0x6861777365720001ULL);
  Profile profile;
  profile.peers = static_cast<std::uint32_t>(random.between(2, 6));
  if (random.chance(1, 24)) profile.peers = static_cast<std::uint32_t>(random.between(7, 16));
  profile.groups = random.chance(1, 8) ? 2 : 1;
  profile.fault_events = static_cast<std::uint64_t>(random.between(500, 4000));
  draw_network(random, profile.network);
  draw_bounds(random, profile);
  draw_application(random, profile.application);
  // A slice takes its time on the slowest links, and all members' transfers must be over while a run settles.
  // So does a big collective, and no call may last longer than the bounds of those that fail (seed 75451).
  // A small window on a long way is no faster (seed 52152).
  const std::int64_t delay_us = std::max<std::int64_t>(profile.network.link_delay.most.count(), 1);
  const auto window_per_ms = static_cast<std::int64_t>(profile.network.window_bytes) * 1000 / delay_us;
  if (profile.network.bytes_per_ms < 20000 || window_per_ms < 1000) {
    profile.application.large_state = false;
    profile.application.big_elements = std::min<std::uint64_t>(profile.application.big_elements, 60'000);
  }
  draw_faults(random, profile.faults);
  profile.faults.nat = random.chance(1, 4);
  profile.network.flip_per_million = random.chance(1, 4) ? 2000 : 0;
  profile.application.crossed_calls = profile.faults.weights.stop == 0;
  if (random.chance(1, 10)) be_gentle(random, profile);
  draw_company(seed, profile);
  draw_stragglers(seed, profile);
  draw_rows(seed, modes.rows, profile);
  draw_crossed_nats(seed, profile);
  draw_devices(seed, profile);
  draw_keys(seed, profile);
  draw_ways(seed, profile);
  if (modes.masters || modes.lease) draw_masters(seed, modes.lease, profile);
  if (modes.relays) draw_relays(seed, profile);
  profile.application.messages = modes.messages;
  if (modes.gives_up) draw_bounds_of_calls(profile);
  if (peers != 0) profile.peers = peers;
  if (steps != 0) profile.fault_events = steps;
  // Newcomers come in with an update, of which some profiles have few: none in 100 s (seed 36625).
  profile.settle = seconds(profile.application.update_per_256 < 30 ? 400 : 100);
  // The members of a run that no master can take over wait as long as they may, and begin another one.
  if (profile.master.has_others) profile.settle += profile.engine.master_redial * 3;
  if (random.chance(1, 2)) {
    profile.application.late_endings = true;
    profile.engine.ending_work_bytes = static_cast<std::size_t>(random.between(1, 64 << 10));
  }
  if (random.chance(1, 2)) profile.application.late_works_per_256 = random.between(1, 256);
  return profile;
}

}  // namespace hawser::sim
