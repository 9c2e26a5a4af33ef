#include "sim/fault_driver.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "base/limits.hpp"
#include "sim/application.hpp"

namespace hawser::sim {

FaultDriver::FaultDriver(World& world)
    : world_(world), faults_(world.profile.faults), strangers_(world), port_strangers_(world) {
  const auto& weights = faults_.weights;
  const auto add = [this](Kind kind, std::uint32_t weight) {
    drawn_from_.insert(drawn_from_.end(), weight, kind);
  };
  add(Kind::kill, weights.kill);
  add(Kind::start, weights.start);
  add(Kind::leave, weights.leave);
  add(Kind::stop, weights.stop);
  add(Kind::silence, weights.silence);
  add(Kind::cut_link, weights.cut_link);
  add(Kind::cut_pair, weights.cut_pair);
  add(Kind::partition, weights.partition);
  add(Kind::blackhole, weights.blackhole);
  add(Kind::cut_control, weights.cut_control);
  add(Kind::half_open_control, weights.half_open_control);
  add(Kind::master, weights.master);
  add(Kind::hostile, weights.hostile);
  add(Kind::spurious_tick, weights.spurious_tick);
  add(Kind::master_stop, weights.master_stop);
  add(Kind::split, weights.split);
  add(Kind::slow, weights.slow);
  add(Kind::strangers, weights.strangers);
  add(Kind::lie, weights.lie);
  add(Kind::knock, weights.knock);
  add(Kind::device, weights.device);
  add(Kind::relay_kill, weights.relay_kill);
  add(Kind::relay_start, weights.relay_start);
  add(Kind::relay_stop, weights.relay_stop);
  add(Kind::relay_cut, weights.relay_cut);
}

void FaultDriver::begin() {
  for (MasterProcess* const master : world_.masters()) master->start();
  const bool at_once = world_.random.chance(1, 2);
  const auto delay = [&] { return at_once ? Duration::zero() : Duration(world_.random.between(0, 3000000)); };
  for (std::uint32_t i = 0; i < world_.profile.peers; ++i) run(start_process(), delay());
  if (faults_.bad_member) start_bad_member();
  for (std::uint32_t i = 0; i < world_.profile.relays; ++i) start_relay(delay());
  if (faults_.trigger_per_1024 != 0 || faults_.weights.relay_kill != 0)
    world_.on_message = [this](const std::string&, const char* kind) { message_sent(kind); };
}

void FaultDriver::run(Process& process, Duration delay) {
  auto application = std::make_unique<TrainingApplication>(world_, process);
  application->start(delay);
  process.run(std::move(application));
}

Process& FaultDriver::start_process() {
  std::string name(1, static_cast<char>('a' + started_ % 26));
  if (started_ >= 26) name += std::to_string(started_ / 26);
  Process::Place place{.group = world_.profile.groups == 1 ? 0 : started_ % world_.profile.groups};
  if (faults_.parties) {
    if (started_ % 2 == 0) party_ = {world_.random.next()};
    place.party = {.id = party_, .size = 2};
  }
  // Of a machine with three processes, or of its own.
  if (faults_.machines && started_ % 6 < 3) place.machine = (1ULL << 32) + started_ / 6;
  ++started_;
  const auto living = world_.living();
  const bool has_nat = std::any_of(living.begin(), living.end(), [&](const Process* one) {
    return one->group() == place.group && one->is_behind_nat();
  });
  Process& started = world_.start_process(name, place);
  if (faults_.crossed_nats && world_.random.chance(1, 2)) {
    world_.coverage.saw("sim: process behind a NAT that crossed dials get through");
    started.put_behind_nat(true);
    return started;
  }
  // Two of them could not reach each other.
  if (!faults_.nat || has_nat || !world_.random.chance(1, 2)) return started;
  world_.coverage.saw("sim: process behind a NAT");
  started.put_behind_nat();
  return started;
}

void FaultDriver::start_bad_member() {
  bad_ = &world_.start_process("bad", {.group = 0});
  bad_->turn_bad(faults_.bad_calls);
  run(*bad_, Duration(world_.random.between(0, 5000000)));
}

/// What it says while it only waits for admission, strangers say too.
void FaultDriver::lie() {
  if (!bad_ || bad_->gone() || bad_->stopped() || !bad_->info().connected) return;
  bad_->bad()->speak();
}

void FaultDriver::after_event() {
  if (over_ || drawn_from_.empty()) return;
  if (world_.random.below(faults_.events_between) == 0) happen();
}

void FaultDriver::message_sent(const char* kind) {
  const std::string_view what = kind;
  if (over_ || drawn_from_.empty() || what == "ping" || what == "pong" || what == "world-news") return;
  // In the middle of the call that the master has just told it of.
  if (what == "relay-call" && faults_.weights.relay_kill > 0 && world_.random.chance(1, 6))
    world_.queue.after(Duration(world_.random.between(0, 8 * world_.profile.network.link_delay.most.count())), [this] {
      if (!over_) kill_relay();
    });
  if (world_.random.below(1024) >= faults_.trigger_per_1024) return;
  // Not within the action of a machine, and sometimes when the message has come halfway.
  world_.queue.after(Duration(world_.random.between(0, world_.profile.network.control_delay.most.count())),
                     [this] {
                       if (!over_) happen();
                     });
}

std::vector<Process*> FaultDriver::runners() {
  std::vector<Process*> found;
  for (Process* process : world_.living())
    if (!process->stopped()) found.push_back(process);
  return found;
}

Process* FaultDriver::any(bool running_only) {
  const auto candidates = running_only ? runners() : world_.living();
  if (candidates.empty()) return nullptr;
  return candidates[static_cast<std::size_t>(world_.random.below(candidates.size()))];
}

Ending FaultDriver::any_ending() { return static_cast<Ending>(world_.random.below(3)); }

void FaultDriver::happen() {
  happen(drawn_from_[static_cast<std::size_t>(world_.random.below(drawn_from_.size()))]);
}

void FaultDriver::happen(Kind kind) {
  Random& random = world_.random;
  Coverage& coverage = world_.coverage;
  if (kind == Kind::start) {
    if (world_.living().size() >= world_.profile.peers + 2) return;
    coverage.saw("fault: start");
    for (int i = 0; i < (faults_.parties ? 2 : 1); ++i) run(start_process(), Duration::zero());
    return;
  }
  if (kind == Kind::strangers) return strangers_.come();
  if (kind == Kind::lie) return lie();
  if (kind == Kind::knock) return port_strangers_.come();
  if (kind == Kind::master) return restart_master();
  if (kind == Kind::master_stop) return stop_master();
  if (kind == Kind::split) return split();
  if (kind == Kind::hostile) return inject_hostile();
  if (kind == Kind::device) return break_a_device();
  if (kind >= Kind::relay_kill) return happen_to_relays(kind);
  Process* const one = any(kind != Kind::kill && kind != Kind::cut_control);
  if (!one) return;
  switch (kind) {
    case Kind::kill: {
      kill(*one);
      if (random.chance(1, 6))
        if (Process* const another = any(false)) {
          coverage.saw("fault: kill two at once");
          kill(*another);
        }
      return;
    }
    case Kind::leave: coverage.saw("fault: leave"); return one->leave();
    case Kind::stop: return stop(*one);
    case Kind::silence: return silence(*one);
    case Kind::slow: return slow_down(*one);
    case Kind::cut_link:
    case Kind::cut_pair: {
      const auto ends = world_.links.established();
      if (ends.empty()) return;
      LinkEnd& end = *ends[static_cast<std::size_t>(random.below(ends.size()))];
      if (faults_.gentle && (may_be_away(*end.process) || may_be_away(*end.other->process))) return;
      coverage.saw(kind == Kind::cut_link ? "fault: cut a connection" : "fault: cut a link");
      if (kind == Kind::cut_link) return world_.links.cut(end);
      return world_.links.cut_pair(*end.process, *end.other->process);
    }
    case Kind::partition:
    case Kind::blackhole: {
      Process* const two = any(true);
      if (!two || two == one) return;
      if (faults_.gentle && !world_.links.may_lose_way(*one, *two)) return;
      coverage.saw(kind == Kind::partition ? "fault: partition" : "fault: blackhole");
      if (kind == Kind::blackhole) return block(*one, *two);
      world_.links.refuse_dials(*one, *two);
      return world_.links.cut_pair(*one, *two);
    }
    case Kind::cut_control:
      coverage.saw("fault: cut control");
      world_.checker.control_disturbed();
      return world_.control.cut(*one, CutSeenBy::both);
    case Kind::half_open_control: return cut_control(*one);
    case Kind::spurious_tick: coverage.saw("fault: spurious tick"); return one->deliver(EngineTick{});
    case Kind::start:
    case Kind::master:
    case Kind::master_stop:
    case Kind::split:
    case Kind::strangers:
    case Kind::lie:
    case Kind::knock:
    case Kind::device:
    case Kind::relay_kill:
    case Kind::relay_start:
    case Kind::relay_stop:
    case Kind::relay_cut:
    case Kind::hostile: return;
  }
}

void FaultDriver::kill(Process& process) {
  world_.coverage.saw("fault: kill");
  process.kill(any_ending());
}

/// One that is at work, if there is one.
void FaultDriver::break_a_device() {
  for (Process* const one : runners()) {
    if (!one->device_is_at_work()) continue;
    world_.coverage.saw("fault: a device fails");
    return one->device_fails(any_ending());
  }
}

void FaultDriver::stop(Process& process) {
  world_.coverage.saw("fault: stop");
  process.stop();
  const Duration longest = world_.profile.master.silence * 3;
  const bool dies = world_.random.chance(1, 3);
  // Often for a moment that nobody minds, at times for longer than anybody waits.
  const Duration time(world_.random.between(1000, world_.random.chance(1, 2) ? 1000000 : longest.count()));
  world_.queue.after(time, [this, &process, dies] {
    if (process.gone() || !process.stopped() || over_) return;
    if (dies) return kill(process);
    world_.coverage.saw("fault: goes on after a stop");
    process.resume();
  });
}

void FaultDriver::silence(Process& process) {
  world_.coverage.saw("fault: silence on links");
  process.set_silent(true);
  const Duration longest = world_.profile.master.stall * 4;
  world_.queue.after(Duration(world_.random.between(1000, longest.count())), [&process] {
    if (!process.gone()) process.set_silent(false);
  });
}

/// For long enough that it may be called a straggler.
void FaultDriver::slow_down(Process& process) {
  world_.coverage.saw("fault: slow links");
  process.set_link_bytes_per_ms(faults_.slow_bytes_per_ms);
  const Duration longest = (world_.profile.master.straggler + world_.profile.master.stall) * 3;
  world_.queue.after(Duration(world_.random.between(1000, longest.count())), [&process] {
    if (!process.gone()) process.set_link_bytes_per_ms(0);
  });
}

void FaultDriver::block(Process& a, Process& b) {
  world_.links.block(a, b);
  if (world_.random.chance(3, 4)) world_.links.block(b, a);
  const Duration longest = world_.profile.network.user_timeout * 2;
  world_.queue.after(Duration(world_.random.between(1000, longest.count())), [this] {
    world_.coverage.saw("fault: partitions heal");
    world_.links.heal();
  });
}

/// Its connection to the master is dead, and it may not know that yet. If its links break meanwhile, it is taken for
/// dead.
bool FaultDriver::may_be_away(const Process& process) const {
  const auto last = half_open_at_.find(process.number());
  return last != half_open_at_.end() && world_.queue.now() < last->second + 2 * world_.profile.master.recovery;
}

void FaultDriver::cut_control(Process& process) {
  static constexpr CutSeenBy kWho[] = {CutSeenBy::peer, CutSeenBy::master, CutSeenBy::nobody};
  // Whoever loses one dead connection after another within one grace is away for longer than that.
  Instant& last = half_open_at_[process.number()];
  if (faults_.gentle && last != Instant{} && world_.queue.now() < last + 2 * world_.profile.master.recovery) return;
  const auto ends = world_.links.established();
  const bool has_links = std::any_of(ends.begin(), ends.end(), [&](const LinkEnd* end) {
    return end->process == &process || end->other->process == &process;
  });
  if (faults_.gentle && !has_links) return;
  last = world_.queue.now();
  world_.checker.control_disturbed();
  world_.coverage.saw("fault: half-open control");
  world_.control.cut(process, kWho[world_.random.below(std::size(kWho))]);
}

void FaultDriver::restart_master() {
  MasterProcess& master = any_master();
  if (!master.running()) return;
  const MasterConfig& bounds = world_.profile.master;
  const Instant now = world_.queue.now();
  // Where no member may be lost, no master dies in the recovery of the one before.
  if (faults_.gentle && (master.stopped() || now < master_killed_at_ + 3 * bounds.recovery + seconds(5))) return;
  master_killed_at_ = now;
  world_.coverage.saw("fault: master killed");
  Random& random = world_.random;
  const Ending ending = any_ending();
  master.kill(ending);
  world_.checker.control_disturbed();
  // Mostly back soon; at times for longer than the peers look for it.
  Duration away(random.chance(1, 16) && !faults_.gentle ? world_.profile.engine.master_redial.count() * 3 / 2
                                                        : random.between(0, 3000000));
  // Members that are not told find out for themselves, and so all of them look for it when it is back.
  if (faults_.gentle && ending == Ending::vanished) away += bounds.silence;
  world_.queue.after(away, [this, &master] {
    if (master.running()) return;
    world_.coverage.saw("fault: master restarted");
    master.start();
    world_.checker.master_restarted();
    if (faults_.weights.strangers != 0 && world_.random.chance(1, 2)) strangers_.come();
  });
}

void FaultDriver::stop_master() {
  MasterProcess& master = any_master();
  if (!master.running() || master.stopped()) return;
  world_.coverage.saw("fault: master stopped");
  master.stop();
  const Duration longest = world_.profile.master.silence * 2;
  const Duration time(world_.random.between(1000, longest.count()));
  world_.checker.control_disturbed(time);
  world_.queue.after(time, [&master, incarnation = master.incarnation()] {
    if (master.running() && master.incarnation() == incarnation) master.resume();
  });
}

/// Mostly the one that serves the run.
MasterProcess& FaultDriver::any_master() {
  const auto& masters = world_.masters();
  if (masters.size() > 1 && world_.random.chance(3, 4))
    for (MasterProcess* const one : masters)
      if (one->serves()) return *one;
  return *masters[masters.size() == 1 ? 0 : static_cast<std::size_t>(world_.random.below(masters.size()))];
}

/// Masters and members fall apart into two that do not reach each other, and come together again later. Links of
/// members may go on all the same.
void FaultDriver::split() {
  world_.coverage.saw("fault: split");
  Random& random = world_.random;
  const bool refuses = random.chance(1, 2);
  const bool links_too = random.chance(1, 2);
  const auto told = static_cast<CutSeenBy>(random.below(4));
  std::map<const void*, bool> side;
  for (const MasterProcess* const master : world_.masters()) side[master] = random.chance(1, 2);
  const std::vector<Process*> living = world_.living();
  for (const Process* const process : living) side[process] = random.chance(1, 2);
  for (MasterProcess* const master : world_.masters()) {
    for (MasterProcess* const other : world_.masters())
      if (side.at(master) != side.at(other)) world_.control.cut_off(*master, *other);
    for (Process* const process : living)
      if (side.at(master) != side.at(process)) world_.control.cut_off(*process, *master, told, refuses);
  }
  for (Process* const one : living)
    for (Process* const two : living)
      if (links_too && one->number() < two->number() && side.at(one) != side.at(two)) {
        world_.links.refuse_dials(*one, *two);
        world_.links.cut_pair(*one, *two);
      }
  const Duration longest = 4 * (world_.profile.master.recovery + world_.profile.master.silence);
  world_.queue.after(Duration(random.between(100'000, longest.count())), [this] {
    world_.coverage.saw("fault: split heals");
    world_.control.heal();
    world_.links.heal();
  });
}

void FaultDriver::inject_hostile() {
  auto ends = world_.links.established();
  if (ends.empty()) return;
  Random& random = world_.random;
  LinkEnd* receiver = ends[static_cast<std::size_t>(random.below(ends.size()))];
  if (random.chance(1, 2)) receiver = receiver->other;
  if (receiver->reading || receiver->process->data_held()) return;
  world_.coverage.saw("fault: hostile frame");
  FrameHeader like;
  for (const auto& [id, call] : receiver->process->calls())
    if (call.kind == Call::Kind::reduce || call.kind == Call::Kind::sync) {
      Signature signature = call.signature;
      signature.measures = random.below(4);
      like.key = call.key;
      like.signature = fingerprint(signature);
    }
  world_.links.inject(*receiver, hostile_frame(random, like));
}

FrameInFlight hostile_frame(Random& random, const FrameHeader& like) {
  FrameInFlight frame;
  frame.hostile = true;
  FrameHeader& header = frame.header;
  header = like;
  header.kind = static_cast<FrameKind>(1 + random.below(8));
  header.direction = random.chance(1, 2) ? Direction::up : Direction::down;
  header.chunk = random.below(4);
  header.count = random.chance(1, 2) ? random.next() | (1ULL << 40) : random.below(4);
  if (header.kind == FrameKind::chunk)
    header.payload_bytes = static_cast<std::uint32_t>(random.below(5000)) | 1U;
  switch (random.below(8)) {
    case 7: header.key = prefetch_key(random.below(4), random.below(4)); break;
    case 0: header.key.view = {random.next()}; break;
    case 1: header.key.tag = random.next(); break;
    case 2: header.key.sequence += 1000 + random.below(1ULL << 40); break;
    case 3: header.key = {{random.next()}, {random.next()}, random.next(), random.next()}; break;
    case 4: header.signature = random.next(); break;
    case 5: header.chunk = random.next(); break;
    default:
      // Another length than the chunk's: whole elements make 4 bytes each.
      if (header.kind == FrameKind::ready) header.signature = random.next();
      break;
  }
  frame.payload.assign(header.payload_bytes, std::byte{0x5a});
  return frame;
}

/// It goes on, or dies.
void FaultDriver::heal(Process& process) {
  process.set_silent(false);
  process.set_link_bytes_per_ms(0);
  if (!process.stopped()) return;
  if (world_.random.chance(1, 4))
    process.kill(any_ending());
  else
    process.resume();
}

void FaultDriver::end() {
  over_ = true;
  world_.odd_calls = false;
  world_.links.heal();
  for (Process* process : world_.living()) heal(*process);
  for (Process* relay : world_.living_relays()) heal(*relay);
  if (bad_ && !bad_->gone()) kill(*bad_);
  for (const auto& stranger : world_.strangers()) stranger->go();
  world_.control.heal();
  world_.lease.stay();
  for (MasterProcess* const master : world_.masters()) {
    if (!master->running()) {
      master->start();
      world_.checker.master_restarted();
    }
    master->resume();
  }
  if (faults_.parties) end_incomplete_parties();
  while (world_.living().size() < 2) run(start_process(), Duration(world_.random.between(0, 1000000)));
}

/// Those of whom another one is gone never come in again.
void FaultDriver::end_incomplete_parties() {
  if (started_ % 2 != 0) run(start_process(), Duration::zero());
  std::map<PartyId, std::uint32_t> alive;
  for (const Process* process : world_.living()) ++alive[process->party().id];
  for (Process* process : world_.living())
    if (process->party().exists() && alive[process->party().id] < process->party().size) kill(*process);
  if (world_.living().size() < 2)
    for (int i = 0; i < 2; ++i) run(start_process(), Duration::zero());
}

}  // namespace hawser::sim
