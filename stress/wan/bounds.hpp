#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wan/spec.hpp"

namespace hawser::wan {

/// The part of a full segment that is payload: IPv4 and TCP with timestamps take 52 bytes.
double payload_share(const Spec& spec);

/// What one pair can reach at most, in payload bits per second, and what holds it back.
struct PairBound {
  double bits_per_s = 0;
  std::string by;  ///< "up of host 0", "cable atlantic", ...
};
/// All links, with nobody else on them.
PairBound pair_bound(const Spec& spec, HostIndex from, HostIndex to);

double round_trip_ms(const Spec& spec, HostIndex from, HostIndex to);

/// What one flow of CUBIC reaches with the pair's random loss, from its response function (RFC 9438, section
/// 5.1, the larger of its two regions); infinite without loss. In payload bits per second.
double cubic_loss_bound(const Spec& spec, HostIndex from, HostIndex to);

/// Everybody sends to everybody, the same amount per ordered pair.
struct ExchangeBound {
  double s_per_byte = 0;  ///< Seconds per payload byte of each ordered pair, at least.
  std::string by;         ///< The busiest link.
};
ExchangeBound exchange_bound(const Spec& spec);

/// Pairs whose paths and hosts look alike, and one of them to stand for all.
struct PairKind {
  HostIndex from = 0;
  HostIndex to = 0;
  std::uint32_t pairs = 0;
};
std::vector<PairKind> pair_kinds(const Spec& spec);

/// Tables for people: hosts, cables, kinds of pairs with their bounds, events.
std::string describe(const Spec& spec);

}  // namespace hawser::wan
