#include "sim/port_strangers.hpp"

#include <iterator>
#include <optional>
#include <utility>

#include "sim/keys.hpp"
#include "sim/world.hpp"
#include "wire/link_greeting.hpp"
#include "wire/magic.hpp"

namespace hawser::sim {

void PortStrangers::come() {
  Random& random = world_.random;
  const auto living = world_.living();
  if (living.empty()) return;
  Process& at = *living[static_cast<std::size_t>(random.below(living.size()))];
  const std::string host = "198.51.100." + std::to_string(random.below(8));
  const bool is_flood = random.chance(1, 8);
  if (is_flood) world_.coverage.saw("port stranger: one of a flood");
  for (std::int64_t i = is_flood ? random.between(40, 120) : random.between(1, 3); i > 0; --i) knock(at, host);
}

void PortStrangers::knock(Process& at, const std::string& host) {
  Random& random = world_.random;
  Knock knock{.host = host, .says = any_words(at)};
  // Whoever has none is not heard at all.
  if (world_.profile.network.keys) knock.key = key_of(random.next());
  if (random.chance(1, 4)) knock.hangs_up_after = Duration(random.between(0, 10000000));
  world_.links.knock(at, std::move(knock));
}

std::vector<std::byte> PortStrangers::any_words(const Process& at) {
  Random& random = world_.random;
  if (world_.profile.network.keys && !at.port.secrets.empty() && random.chance(1, 3)) return stolen_greeting(at);
  switch (random.below(6)) {
    case 0: world_.coverage.saw("port stranger: silent"); return {};
    case 1: {
      world_.coverage.saw("port stranger: any bytes");
      std::vector<std::byte> bytes(1 + static_cast<std::size_t>(random.below(100)));
      for (std::byte& one : bytes) one = static_cast<std::byte>(random.next());
      return bytes;
    }
    case 2:
      world_.coverage.saw("port stranger: looks for a master");
      return {kControlMagic.begin(), kControlMagic.end()};
    case 3: {
      world_.coverage.saw("port stranger: half a greeting");
      std::vector<std::byte> bytes = greeting(at);
      bytes.resize(static_cast<std::size_t>(random.below(bytes.size())));
      return bytes;
    }
    case 4: {
      world_.coverage.saw("port stranger: goes on without an answer");
      std::vector<std::byte> bytes = greeting(at);
      bytes.resize(bytes.size() + 1 + static_cast<std::size_t>(random.below(100)));
      return bytes;
    }
    default: world_.coverage.saw("port stranger: greeting without the secret"); return greeting(at);
  }
}

/// In the name of a peer that is there, mostly; never with a link's secret.
std::vector<std::byte> PortStrangers::greeting(const Process& at) {
  Random& random = world_.random;
  const auto living = world_.living();
  const Process& from = *living[static_cast<std::size_t>(random.below(living.size()))];
  const auto total = static_cast<std::uint32_t>(random.below(80));
  const auto bytes = encode_greeting({.link_secret = random.chance(1, 8) ? 0 : random.next(),
                                      .from = random.chance(7, 8) ? from.id() : PeerId{random.next()},
                                      .to = random.chance(7, 8) ? at.id() : PeerId{random.next()},
                                      .connection_index = static_cast<std::uint32_t>(random.below(total + 1)),
                                      .connections_total = total,
                                      .machine_proof = {.low = at.machine(), .high = random.below(1000)}});
  return {bytes.begin(), bytes.end()};
}

/// With all that is right about a member's greeting. Only the key is another one.
std::vector<std::byte> PortStrangers::stolen_greeting(const Process& at) {
  Random& random = world_.random;
  world_.coverage.saw("port stranger: greeting of a member, with another key");
  const auto stolen = std::next(at.port.secrets.begin(), random.between(0, std::ssize(at.port.secrets) - 1));
  const auto total = static_cast<std::uint32_t>(random.between(1, 4));
  const auto bytes = encode_greeting({.link_secret = stolen->second,
                                      .from = stolen->first,
                                      .to = at.id(),
                                      .connection_index = static_cast<std::uint32_t>(random.below(total)),
                                      .connections_total = total,
                                      .machine_proof = {.low = at.machine(), .high = random.below(1000)}});
  return {bytes.begin(), bytes.end()};
}

}  // namespace hawser::sim
