#pragma once

#include <cstdint>

namespace hawser::bench {

struct TlsBenchOptions {
  std::uint32_t rounds = 5;
  std::uint64_t bytes = std::uint64_t{1} << 30;  ///< That pass in each round.
  std::uint32_t connections = 200;               ///< For handshakes and memory.
};

/// Prints what a connection over loopback costs in plain and under TLS, one thread at both ends: GB per CPU second,
/// new connections per CPU second, and bytes of memory. The process's exit status: 1 where something broke.
int run_tls_bench(const TlsBenchOptions& options);

}  // namespace hawser::bench
