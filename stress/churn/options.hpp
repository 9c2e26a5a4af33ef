#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::churn {

/// What a worker does after an error that allows a retry.
enum class RetryPolicy : std::uint8_t {
  /// Make the same call again. All survivors stay at the same place of the round, so nobody ever mismatches.
  call,
  /// Begin a new round. Survivors that had not called yet meet those that have in a mismatch, and all begin
  /// anew.
  round,
};

/// Bounds handed to the library; zero is the library's default.
struct LibraryBounds {
  std::uint32_t silence_ms = 0;
  std::uint32_t stall_ms = 0;
};

/// As arguments of a child.
inline void add_bounds(std::vector<std::string>& arguments, const LibraryBounds& bounds) {
  arguments.insert(arguments.end(), {"--silence-ms", std::to_string(bounds.silence_ms), "--stall-ms",
                                     std::to_string(bounds.stall_ms)});
}

/// What workers do with their shared state.
struct StateOptions {
  std::uint64_t ballast_bytes = 4u << 20;  ///< Beside the weights and what the optimiser keeps.
  std::uint32_t sync_every = 3;            ///< Steps, if the view stays as it is.
  std::uint32_t checkpoint_every = 8;      ///< Synchronisations. 0: never.
  bool prefetch = true;                    ///< Members offer, and half of the joiners prefetch.
};

/// What `hawser-churn` was asked to do.
struct ChurnOptions {
  double seconds = 30;
  std::uint32_t peers = 4;
  std::uint64_t seed = 1;
  std::uint32_t kill_every_ms = 2000;
  std::uint32_t stop_every_ms = 0;
  std::uint32_t device_fault_every_ms = 0;
  bool plain = false;  ///< Without keys. Else the run has a secret of its own.
  bool joins = false;
  std::uint32_t swing_every_ms = 3000;
  std::uint32_t master_restarts = 0;
  std::uint32_t wipe_outs = 0;
  std::uint32_t reset_every_ms = 0;
  std::uint32_t master_pauses = 0;
  std::uint32_t standby = 0;       ///< Masters beside the one that serves.
  std::string lease;               ///< Of an etcd, which says who that is; empty: enough of the members do.
  std::uint32_t master_kills = 0;  ///< Of the one that serves, with others that stand by; so is the next.
  std::uint32_t master_stops = 0;
  std::uint32_t master_gap_ms = 2000;
  std::uint32_t relays = 0;  ///< That add for the workers.
  std::uint32_t relay_fault_every_ms = 3000;
  std::vector<std::string> text;
  std::string report;
  std::string log;
  double hang_bound_s = 30;
  std::uint64_t elements = 200'000;
  RetryPolicy retry = RetryPolicy::call;
  bool mixed = true;
  std::uint32_t tags = 8;
  std::uint32_t io_threads = 0;  ///< Of each worker; 0: one and three in turn.
  StateOptions state;
  std::string scratch;  ///< Folder for checkpoints; empty: one below the system's for temporary files.
  std::string wan;      ///< Spec of the emulated network to run in; empty: the loopback.
  LibraryBounds bounds;
};

/// What `hawser-churn recovery` was asked to do.
struct RecoveryOptions {
  std::uint32_t peers = 4;
  std::uint64_t elements = 16u << 20;  // 64 MiB of float32
  std::uint32_t undisturbed = 5;
  std::uint32_t kills = 7;
  std::uint32_t stops = 2;
  std::uint64_t seed = 1;
  double hang_bound_s = 60;
  std::string report;
  std::string log;
  LibraryBounds bounds;
};

/// What the orchestrator tells a worker process on its command line.
struct WorkerOptions {
  std::string master;
  std::string name;
  std::uint64_t seed = 1;
  std::uint64_t elements = 0;
  RetryPolicy retry = RetryPolicy::call;
  bool mixed = false;      ///< With the mixed phase in every round.
  std::uint32_t tags = 8;  ///< All-reduces in flight at once in it.
  std::uint32_t io_threads = 0;
  bool recovery = false;
  StateOptions state;
  std::string scratch;     ///< Folder of its checkpoints, which exists.
  bool from_disk = false;  ///< Begins with the newest of them.
  std::vector<std::string> text;
  std::string address = "127.0.0.1";    ///< Its own.
  std::string advertise = "127.0.0.1";  ///< By which the others dial it.
  std::string network;                ///< Of its host, to be entered first; empty: that of all.
  LibraryBounds bounds;
};

/// What the orchestrator tells the master process on its command line.
struct MasterOptions {
  std::string listen = "127.0.0.1:0";
  std::string masters;  ///< All of the run, if it is one of several.
  bool standby = false;
  std::string lease;
  std::string network;  ///< As of a worker.
  LibraryBounds bounds;
};

/// What the orchestrator tells a relay process on its command line.
struct RelayOptions {
  std::string master;
  std::string name;
  std::string address = "127.0.0.1";
  std::string network;  ///< As of a worker.
  LibraryBounds bounds;
};

/// Contributor lists and round headers have room for so many members.
inline constexpr std::uint32_t kMembersMax = 64;

/// All-reduces in flight at once, at most.
inline constexpr std::uint32_t kTagsMax = 32;

class EmulatedHosts;

/// `hosts`: where the processes run; null: all on the loopback.
int run_churn(const ChurnOptions& options, EmulatedHosts* hosts);
int run_recovery(const RecoveryOptions& options);
int run_worker(const WorkerOptions& options);
int run_recovery_worker(const WorkerOptions& options);
int run_master(const MasterOptions& options);
int run_relay(const RelayOptions& options);

}  // namespace hawser::churn
