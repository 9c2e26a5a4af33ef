#pragma once

#include <cstddef>
#include <cstdint>

#include "base/instant.hpp"
#include "base/random.hpp"
#include "membership/master_machine.hpp"
#include "engine/peer_engine.hpp"
#include "sim/lane.hpp"

namespace hawser::sim {

struct DelayRange {
  Duration least{};
  Duration most{};
  Duration draw(Random& random) const { return Duration(random.between(least.count(), most.count())); }
};

/// How the simulated network behaves. The defaults are fixed delays without any loss: scenarios use them.
struct NetworkProfile {
  DelayRange control_delay{milliseconds(1), milliseconds(1)};
  DelayRange control_dial{milliseconds(1), milliseconds(1)};
  /// Until a side learns that a connection broke.
  DelayRange told{milliseconds(1), milliseconds(1)};
  DelayRange link_delay{milliseconds(1), milliseconds(1)};
  DelayRange link_dial{milliseconds(1), milliseconds(1)};
  DelayRange timer_latency{};
  /// Of connections that belong to no link yet, a data port keeps so many, and of one address.
  std::size_t strangers_most = 64;
  std::size_t strangers_of_source_most = 48;
  /// After so long without an acknowledgement by the other host a connection is given up.
  Duration user_timeout = seconds(15);
  std::int64_t bytes_per_ms = 1000000;
  std::size_t window_bytes = 256 << 10;  ///< Written by one side and not yet read by the other.
  std::size_t piece_bytes_max = 64 << 10;
  std::uint32_t connections_per_link = 2;  ///< 0: as many as the samples ask for.
  bool restless = false;  ///< Samples are such that this number changes all the time.
  std::uint64_t split_per_256 = 0;  ///< Frames whose header arrives before the rest.
  std::uint64_t flip_per_million = 0;
  Keep cut_keeps = Keep::none;  ///< Of what was on its way when a connection broke.
  bool wire_codecs = false;     ///< Each message and frame header goes through its bytes.
  bool keys = false;            ///< Whoever connects proves which key it holds, or is not heard.
};

/// What the applications do.
struct ApplicationProfile {
  std::uint64_t rule_seed = 0;  ///< All members derive their next calls from it, so that they call alike.
  std::uint64_t update_per_256 = 80;
  std::uint64_t big_per_256 = 0;
  std::uint64_t big_elements = 200000;
  std::uint64_t deviation_per_1024 = 0;  ///< A call that differs from the others' on purpose.
  std::uint64_t stale_look_per_256 = 0;  ///< Decide, wait, call: the view may have changed.
  std::uint64_t slow_per_1024 = 0;
  std::uint64_t misuse_per_1024 = 0;  ///< Calls that must be refused at once.
  Duration slow_most = seconds(3);
  Duration think_most = milliseconds(20);
  std::uint32_t tags_most = 3;
  bool crossed_calls = true;  ///< Reduces of a round in another order at each member.
  std::uint64_t element_limit = 4000;
  bool late_endings = false;  ///< Works that put the memory of ended calls in order are done later, always.
  std::uint64_t late_works_per_256 = 0;  ///< Works that are not done at once.
  bool devices = false;  ///< Buffers lie on devices now and then, whose works are done late, always.
  bool shared_state = false;  ///< Each view begins with a synchronisation, and more come later.
  bool large_state = false;   ///< Of more than one slice.
  std::uint64_t scribble_per_1024 = 0;  ///< Writes to a state that is on offer, which one must not.
  bool messages = false;      ///< Members send each other messages beside all that.
  bool gives_up = false;      ///< Calls have bounds, or are cancelled.
  bool updates_first = false; ///< Who has come in calls update-topology before anything else.
};

/// What goes wrong. A weight of 0 turns a kind off.
struct FaultProfile {
  std::uint64_t events_between = 300;  ///< On average.
  std::uint64_t trigger_per_1024 = 0;  ///< At messages that change something.
  bool nat = false;     ///< One process of each group may be where nobody can dial it.
  bool crossed_nats = false;  ///< Any may be where only dials come through that cross one of its own.
  /// Nothing that may cost anybody a call, save those that a restart of the master or the loss of a bad member undoes:
  /// connections break, payloads flip, strangers come.
  bool gentle = false;
  bool machines = false;    ///< Some processes share a machine.
  bool parties = false;     ///< Every two processes are of no use without each other.
  bool bad_member = false;  ///< One more process, which lies to the master.
  bool bad_calls = false;   ///< Of its calls, too.
  struct Weights {
    std::uint32_t kill = 0, start = 0, leave = 0, stop = 0, silence = 0, cut_link = 0, cut_pair = 0, partition = 0,
                  blackhole = 0, cut_control = 0, half_open_control = 0, master = 0, hostile = 0, spurious_tick = 0,
                  master_stop = 0, split = 0, slow = 0, strangers = 0, lie = 0, knock = 0, device = 0, relay_kill = 0,
                  relay_start = 0, relay_stop = 0, relay_cut = 0;
  } weights;
  std::int64_t slow_bytes_per_ms = 100;  ///< What the links of a slow process carry.
};

struct Profile {
  std::uint32_t peers = 3;
  std::uint32_t groups = 1;
  std::uint32_t relays = 0;  ///< At the start, in all groups together.
  std::uint64_t fault_events = 3000;  ///< Length of the phase with faults, in events.
  MasterConfig master;
  EngineConfig engine;
  NetworkProfile network;
  ApplicationProfile application;
  FaultProfile faults;
  /// Within this, after the last fault, all open calls end and a collective of all the living commits.
  Duration settle = seconds(60);
};

/// What a run has beyond what its seed says.
struct Modes {
  bool rows = false;      ///< Groups have links along rows and columns only.
  bool masters = false;   ///< There are several.
  bool lease = false;     ///< So there are, and a lease decides which of them serves.
  bool relays = false;    ///< There are some.
  bool messages = false;  ///< Members send each other messages.
  bool gives_up = false;  ///< Calls have bounds, or are cancelled.
};

/// Everything about a run, from its seed. `peers` and `steps` replace what the seed says where not 0.
Profile draw_profile(std::uint64_t seed, std::uint32_t peers, std::uint64_t steps, const Modes& modes = {});

}  // namespace hawser::sim
