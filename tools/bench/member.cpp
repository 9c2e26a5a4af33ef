#include "bench/member.hpp"

#include <span>
#include <thread>

namespace hawser::bench {

Result<Communicator> join(const JoinOptions& options) {
  auto comm = Communicator::create({.master = options.master,
                                    .name = options.name,
                                    .advertise_address = options.advertise,
                                    .listen_address = options.listen,
                                    .port_first = options.port,
                                    .connections_per_link = options.connections,
                                    .connect_ms = 60'000,
                                    .master_redial_ms = 5'000,
                                    .check_same_host = options.check_same_host,
                                    .io_threads = options.io_threads,
                                    .tls_same_host = options.tls_same_host,
                                    .attest = options.attest});
  if (!comm) return comm;
  if (auto connected = comm->connect(); !connected) return connected.error();
  // Members of one view call as often as each other: all see the full view at the same time.
  while (true) {
    const auto info = comm->info();
    if (!info) return info.error();
    if (info->group_size >= options.world) return comm;
    if (auto updated = comm->update_topology(); !updated) return updated.error();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<float> agree(Communicator& comm, double mine) {
  auto value = static_cast<float>(mine);
  const auto reduced = comm.all_reduce(std::span(&value, 1), {.op = hawserAvg});
  if (!reduced) return reduced.error();
  return value;
}

}  // namespace hawser::bench
