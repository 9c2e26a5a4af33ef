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
  bool lines = false;
  std::string label = "hawser";
  std::string json;
};

struct IdleOptions {
  std::uint32_t peers = 8;
  double seconds = 10;
};

/// A worker's, told on its command line.
struct WorkerOptions {
  std::string role;  ///< "all-reduce" or "idle"
  std::string master;
  std::uint32_t world = 0;
  int parent_pid = 0;
  AllReduceOptions all_reduce;
  IdleOptions idle;
};

}  // namespace hawser::bench
