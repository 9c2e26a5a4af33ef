#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::hostile {

/// A process with a communicator: a member, a newcomer, or one that is refused and tries again.
struct MemberOptions {
  std::string master;
  std::string name;
  std::string address;  ///< Its own; empty: as the master sees it.
  std::string network;  ///< Of its host, to be entered first; empty: that of all.
  std::uint16_t port = 0;
  std::uint64_t elements = 262'144;  ///< Of the all-reduce of each step: 1 MiB of float32.
  std::uint64_t state_bytes = 0;     ///< Of the shared state that each step synchronises; 0: none.
  std::uint32_t steps = 0;           ///< After which it leaves; 0: it goes on until it is ended.
  bool resolver_hangs = false;       ///< No name server answers.
  bool is_idle = false;              ///< It joins, and calls nothing.
  /// It waits until it is told to go, joins with so many others, reduces once, and says when it was in and when done.
  std::uint32_t first_of = 0;
};

struct OperatorOptions {
  std::string master;
  std::string network;
  std::uint32_t period_ms = 1000;
};

struct MasterOptions {
  std::string listen = "127.0.0.1:0";
  std::string network;
};

struct SinkOptions {
  std::string listen = "127.0.0.1:0";
  std::string network;
};

/// What a flood says on its connections.
enum class FloodKind : std::uint8_t {
  opens,          ///< Nothing.
  half_messages,  ///< The first half of the longest message that a stranger may send.
  pings,          ///< It joins a group of its own that prefetches, and pings.
  hellos,         ///< A newcomer of the members' group, where nobody listens.
  long_hellos,    ///< The same, as long as a stranger's message may be.
  resumes,        ///< A member of a run, and of a group, that nobody knows.
  half_views,     ///< The same, and half of the longest view that such a member may present.
  statuses,       ///< "How does the run stand?", with the matrix.
  tar_pits,       ///< A newcomer of the members' group that takes connections and answers none.
  handshakes,     ///< How a TLS handshake begins, and no more.
  names,          ///< A newcomer of the members' group whose address is a name that nobody can look up.
  garbage,        ///< Random bytes, malformed frames or halves of TLS records, in many small messages.
};

struct FlooderOptions {
  std::vector<std::string> targets;   ///< Sources take turns with them.
  FloodKind kind = FloodKind::opens;
  std::vector<std::string> networks;  ///< Paths of the hosts' networks, whose addresses are in `sources`.
  std::vector<std::string> sources;   ///< Addresses that connections come from, in turn.
  double opens_per_second = 100;
  std::uint32_t connections = 100;    ///< At once.
  /// Of pings on each connection; 0: as fast as they are taken.
  double pings_per_second = 1;
  /// Of garbage, on all connections together.
  double messages_per_second = 0;
  double seconds = 10;
  bool keeps = false;  ///< Connections stay open, as long as they are wanted; else the oldest makes room for new ones.
  bool counts = false;   ///< Answers are read and counted.
  bool holds = false;    ///< At the end it waits until its standard input ends.
  bool is_deaf = false;  ///< It reads no answer.
};

/// A member that starts many collectives, waits for all of them, and does so again.
struct TagsOptions {
  std::string master;
  std::string name;
  std::uint32_t members = 3;  ///< That it waits for at first.
  std::uint32_t tags = 4096;
  std::uint32_t rounds = 1;
  bool is_late = false;  ///< By then all collectives of the others are in flight.
};

/// What the commands of this tool were asked to do.
struct FloodBenchOptions {
  std::vector<std::string> only;
  std::uint32_t pairs = 6;
  double slice_s = 10;
  double pause_s = 5;
  std::uint32_t sources = 32;
  double messages_per_second = 100'000;  ///< Of garbage.
  bool keys = false;  ///< The run has a secret, and strangers have none.
  std::string log;
};

struct CostBenchOptions {
  double seconds = 10;
  std::string log;
};

struct MemoryBenchOptions {
  std::uint32_t connections = 4096;
  std::string log;
};

struct SetupBenchOptions {
  std::uint32_t runs = 20;
  double bound_s = 3;
  std::vector<std::string> only;
  std::string log;
};

struct FirstBenchOptions {
  std::uint32_t runs = 10;  ///< In plain, and as many under TLS.
  std::uint32_t peers = 8;
  double round_trip_ms = 90;
  std::string log;
};

struct InterruptionBenchOptions {
  std::uint32_t resets = 100;
  std::vector<double> pauses_s{2, 5, 8, 11, 15};
  std::uint32_t members = 3;
  std::string wan;
  std::string log;
};

struct TagsBenchOptions {
  std::uint32_t members = 3;
  std::uint32_t tags = 4096;
  std::uint32_t rounds = 3;
  std::string log;
};

int run_member(const MemberOptions& options);
int run_tags_member(const TagsOptions& options);
int run_operator(const OperatorOptions& options);
int run_master(const MasterOptions& options);
int run_sink(const SinkOptions& options);
int run_flooder(const FlooderOptions& options);

int run_flood_bench(const FloodBenchOptions& options);
int run_cost_bench(const CostBenchOptions& options);
int run_memory_bench(const MemoryBenchOptions& options);
int run_setup_bench(const SetupBenchOptions& options);
int run_first_bench(const FirstBenchOptions& options);
int run_interruption_bench(const InterruptionBenchOptions& options);
int run_tags_bench(const TagsBenchOptions& options);

}  // namespace hawser::hostile
