#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/collective_kind.hpp"

namespace hawser::bench {

struct AllReduceOptions {
  std::vector<std::uint32_t> worlds{2, 4};
  std::vector<std::uint64_t> sizes{4, 64 << 10, 1 << 20, 16 << 20, 64 << 20, 256 << 20};
  std::uint32_t rounds = 5;
  double seconds = 0;  ///< Not 0: rounds for so long, at least three, instead of a number of them.
  std::uint32_t connections = 0;
  CollectiveNames names;
  bool in_place = false;
  bool check_same_host = false;
  bool tls_same_host = false;
  bool attest = false;
  std::uint32_t io_threads = 0;
  bool per_thread = false;  ///< CPU time of each thread, too.
  bool lines = false;
  std::string label = "hawser";
  std::string json;
};

/// A member that somebody starts by hand, one on each machine.
struct LoneMemberOptions {
  std::string master;
  std::uint32_t world = 2;
  std::string listen;  ///< Empty: all addresses.
  std::uint16_t port = 0;  ///< 0: any.
  std::string advertise;   ///< Empty: as the master sees it.
  std::string name;        ///< Empty: as the library names it.
  bool verbose = false;
  std::uint64_t beside_bytes = 0;  ///< Other all-reduces of that size are under way all the while; 0: none.
  bool updates = false;   ///< Calls update-topology before each call, and measures both.
  bool optimize = false;  ///< Probes the links before all else.
  /// After the rounds the last member kills itself when so much of one more call is over; 0: it does not.
  std::uint32_t kill_at_percent = 0;
  AllReduceOptions all_reduce{.sizes = {64 << 20}, .rounds = 5};
};

struct IdleOptions {
  std::uint32_t peers = 8;
  double seconds = 10;
};

/// Members that reduce while newcomers, one after the other, prefetch their state, join and leave again.
struct PrefetchGroup {
  std::uint32_t members = 3;
  std::uint64_t bytes = 512 << 20;  ///< Of the state.
  std::uint64_t reduce_bytes = 64 << 20;
  std::uint32_t share_percent = 25;
  std::uint32_t pause_ms = 0;  ///< In each step, as if a device computed.
  std::uint32_t steps = 20;    ///< Before each newcomer and after the last one.
  std::uint32_t newcomers = 5;
};

struct PrefetchOptions {
  PrefetchGroup group;
  std::vector<std::uint32_t> shares_percent{25};
};

struct SharedStateOptions {
  std::uint64_t bytes = 256 << 20;
  std::vector<std::uint32_t> receivers{1, 3};
  std::uint32_t rounds = 5;
  std::uint64_t unchanged_bytes = 1 << 30;  ///< 0: not measured.
  bool kill = false;
  bool compress = false;
  bool with_prefetch = false;  ///< That instead of all the others.
  PrefetchOptions prefetch;
  std::string json;
};

/// One group's part of it. Members of lower rank hold the content, the others receive it.
struct SharedStateGroup {
  std::string kind =
      "transfer";  ///< or "unchanged" (all hold it) or "kill" (of the last holder, in the last round)
  std::uint64_t bytes = 0;
  std::uint32_t holders = 1;
  std::uint32_t receivers = 0;
  std::uint32_t rounds = 0;  ///< After the first one, which has number 0.
  bool compress = false;
};

/// A worker's, told on its command line.
struct WorkerOptions {
  std::string role;  ///< "all-reduce", "idle", "shared-state", "prefetch-member" or "prefetch-newcomer"
  std::string master;
  std::uint32_t world = 0;
  int parent_pid = 0;
  AllReduceOptions all_reduce;
  IdleOptions idle;
  SharedStateGroup shared_state;
  PrefetchGroup prefetch;
};

}  // namespace hawser::bench
