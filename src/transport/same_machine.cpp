#include "transport/same_machine.hpp"

#include <xxhash.h>

#include <string>

namespace hawser::transport {

Digest128 machine_proof(const Tcp::socket& socket, bool is_dialler) {
  const std::uint64_t machine = this_machine();
  std::error_code error;
  const auto local = socket.local_endpoint(error);
  if (error || machine == 0) return {};
  const auto remote = socket.remote_endpoint(error);
  if (error) return {};
  const auto text_of = [](const Tcp::endpoint& end) {
    return plain_host(end.address()) + " " + std::to_string(end.port());
  };
  const std::string text = std::to_string(machine) + " " + text_of(is_dialler ? local : remote) + " " +
                           text_of(is_dialler ? remote : local);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {.low = hash.low64, .high = hash.high64};
}

bool proves_same_machine(const Digest128& mine, const Digest128& theirs) {
  return mine != Digest128{} && mine == theirs;
}

}  // namespace hawser::transport
