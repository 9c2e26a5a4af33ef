#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "membership/messages.hpp"
#include "wire/control_codec.hpp"

/// Control messages with random contents that are within the limits, for tests and fuzz targets.
namespace hawser::testing {

inline std::uint64_t any_number(Random& random) {
  // Small numbers, numbers of every width, and the largest.
  if (random.chance(1, 3)) return random.below(4);
  if (random.chance(1, 10)) return ~std::uint64_t{0};
  return random.next() >> random.below(64);
}

inline std::uint32_t any_number_32(Random& random) { return static_cast<std::uint32_t>(any_number(random)); }

inline std::string any_text(Random& random, std::size_t bytes_max) {
  static constexpr const char* kPieces[] = {
      "a", "Z", "0", " ", "\"", "\\", "%s", "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\xaa\xa2"};
  const std::size_t length = random.below(random.chance(1, 4) ? bytes_max + 1 : 12);
  std::string text;
  while (true) {
    const std::string piece = kPieces[random.below(std::size(kPieces))];
    if (text.size() + piece.size() > length) return text;
    text += piece;
  }
}

inline std::string any_host(Random& random) {
  static constexpr const char* kHosts[] = {"", "127.0.0.1", "::1", "fe80::1%eth0", "example.org"};
  if (random.chance(1, 8)) return std::string(limits::kHostBytesMax, 'h');
  return kHosts[random.below(std::size(kHosts))];
}

inline Ways any_ways(Random& random) {
  Ways ways{.port = static_cast<std::uint16_t>(random.next()), .hosts = {}, .is_from_port = random.chance(1, 2)};
  for (std::uint64_t i = random.below(limits::kWaysMax + 1); i > 0; --i) ways.hosts.push_back(any_host(random));
  return ways;
}

inline Address any_address(Random& random) {
  return {.host = any_host(random), .port = static_cast<std::uint16_t>(random.next())};
}

inline Member any_member(Random& random) {
  Member member{.id = PeerId{random.next()},
                .name = any_text(random, limits::kNameBytesMax),
                .address = any_address(random),
                .machine = any_number(random),
                .is_relay = random.chance(1, 4)};
  if (member.is_relay) member.relay_bytes_per_second = any_number(random);
  return member;
}

inline std::vector<Member> any_members(Random& random) {
  std::vector<Member> members;
  for (auto count = random.below(6); count > 0; --count) members.push_back(any_member(random));
  return members;
}

inline MemberChange any_change(Random& random) {
  MemberChange change{.whole = random.chance(1, 2), .came = any_members(random), .gone = {}};
  for (auto count = random.below(4); count > 0; --count) change.gone.push_back(PeerId{random.next()});
  return change;
}

inline View any_view(Random& random) {
  View view{.epoch = Epoch{any_number(random)},
            .id = ViewId{random.next()},
            .group = any_number_32(random),
            .link_secret = random.next(),
            .members = {}};
  view.members = any_members(random);
  put_relays_last(view.members);
  return view;
}

inline World any_world(Random& random) {
  return {.size = any_number_32(random),
          .group_count = any_number_32(random),
          .largest_group_size = any_number_32(random)};
}

inline Error any_error(Random& random) {
  return {.status = static_cast<Status>(random.between(0, kStatusMax)),
          .sentence = any_text(random, limits::kSentenceBytesMax)};
}

inline Error any_failure(Random& random) {
  Error error = any_error(random);
  if (error.status == Status::success) error.status = Status::refused;
  return error;
}

inline OpKey any_key(Random& random) {
  return {.epoch = Epoch{any_number(random)},
          .view = ViewId{random.next()},
          .tag = any_number(random),
          .sequence = any_number(random)};
}

inline Signature any_signature(Random& random) {
  Signature signature{.collective = static_cast<Collective>(random.below(7)),
                      .type = kDataTypes[random.below(kDataTypes.size())],
                      .op = kReduceOps[random.below(kReduceOps.size())],
                      .plan = static_cast<PlanKind>(random.below(3)),
                      .count = any_number(random),
                      .root = any_number_32(random),
                      .quantization = {}};
  if (is_float(signature.type) && random.chance(1, 2))
    signature.quantization = {.scheme = QuantizationScheme::blockwise,
                              .type = random.chance(1, 2) ? QuantizedType::int8 : QuantizedType::int4,
                              .block = static_cast<std::uint16_t>(64 << random.below(5)),
                              .stochastic = random.chance(1, 2)};
  signature.purpose = static_cast<Purpose>(random.below(2));
  return signature;
}

inline std::vector<PeerId> any_peers(Random& random) {
  std::vector<PeerId> peers;
  for (auto count = random.below(5); count > 0; --count) peers.push_back(PeerId{random.next()});
  return peers;
}

inline std::vector<Flow> any_flows(Random& random) {
  std::vector<Flow> flows;
  for (const PeerId to : any_peers(random)) flows.push_back({.to = to, .percent = any_number_32(random)});
  return flows;
}

inline std::vector<Term> any_terms(Random& random) {
  std::vector<Term> terms;
  for (std::uint64_t i = 0; i < random.below(4); ++i)
    terms.push_back({.name = std::to_string(i) + any_text(random, limits::kTermNameBytesMax - 1),
                     .value = any_text(random, limits::kTermValueBytesMax)});
  return terms;
}

inline Introduction any_introduction(Random& random) {
  Introduction who{.protocol_version = random.chance(3, 4) ? kProtocolVersion : any_number_32(random),
          .id = PeerId{random.next()},
          .token = random.next(),
          .connection = any_number(random),
          .group = any_number_32(random),
          .name = any_text(random, limits::kNameBytesMax),
          .address = any_address(random),
          .party = {.id = PartyId{random.next()},
                    .size = static_cast<std::uint32_t>(random.below(limits::kPartySizeMax + 1))},
          .machine = any_number(random),
          .terms = any_terms(random),
          .min_peers = static_cast<std::uint32_t>(random.below(limits::kGroupSizeMax + 1)),
          .is_relay = random.chance(1, 4)};
  if (who.is_relay) who.relay_bytes_per_second = any_number(random);
  return who;
}

inline std::uint64_t any_term(Random& random) { return std::min(any_number(random), limits::kTermMax); }

/// Of a view of so many members.
inline std::vector<Quorum> any_quorums(Random& random, std::uint32_t size) {
  std::vector<Quorum> quorums(random.below(limits::kQuorumsMax + 1));
  for (Quorum& quorum : quorums) {
    quorum.of = static_cast<std::uint32_t>(random.below(limits::kGroupSizeMax + 1));
    for (std::uint32_t rank = 0; rank < std::min(size, limits::kGroupSizeMax); ++rank)
      if (random.chance(1, 3)) quorum.ranks.push_back(rank);
  }
  return quorums;
}

inline Resume any_resume(Random& random) {
  Resume resume{.who = any_introduction(random),
          .run = RunId{random.next()},
          .view = {.epoch = {std::min(any_number(random), kResumedNumberMax)},
                   .id = ViewId{random.next()},
                   .size = any_number_32(random),
                   .fingerprint = random.next()},
          .in_update = random.chance(1, 2),
          .first = random.chance(1, 2),
          .was_over = random.chance(1, 2),
          .after_error = random.chance(1, 2),
          .update_round = std::min(any_number(random), kResumedNumberMax),
          .updates_made = any_number(random),
          .whole = random.chance(1, 2),
          .term = any_term(random)};
  resume.quorums = any_quorums(random, resume.view.size);
  return resume;
}

inline OutcomesPresented any_outcomes(Random& random) {
  OutcomesPresented outcomes;
  for (auto count = random.below(4); count > 0; --count)
    outcomes.undecided.push_back(
        {.key = any_key(random), .signature = any_signature(random), .reported = random.chance(1, 2)});
  for (auto count = random.below(4); count > 0; --count) outcomes.committed.push_back(any_key(random));
  for (auto count = random.below(4); count > 0; --count) outcomes.views.push_back(ViewId{random.next()});
  return outcomes;
}

inline PeerStatus any_peer_status(Random& random) {
  return {.member = any_member(random),
          .party = {.id = PartyId{random.next()},
                    .size = static_cast<std::uint32_t>(random.below(limits::kPartySizeMax + 1))},
          .heard_ms = any_number(random),
          .in_update = random.chance(1, 2),
          .opens_links = random.chance(1, 2),
          .is_away = random.chance(1, 2)};
}

inline CollectiveStatus any_collective_status(Random& random) {
  CollectiveStatus status{.group = any_number_32(random),
                          .tag = any_number(random),
                          .sequence = any_number(random),
                          .signature = any_signature(random),
                          .alike = random.chance(1, 2),
                          .since_ms = any_number(random),
                          .group_size = static_cast<std::uint32_t>(random.below(limits::kGroupSizeMax + 1)),
                          .called = {},
                          .reported = {},
                          .waits_for = {},
                          .stragglers = {}};
  for (auto* const ranks : {&status.called, &status.reported, &status.waits_for, &status.stragglers})
    for (std::uint32_t rank = 0; rank < status.group_size; ++rank)
      if (random.chance(1, 3)) ranks->push_back(rank);
  return status;
}

inline RunStatus any_run_status(Random& random) {
  RunStatus status{.run = RunId{random.next()},
                   .protocol_version = any_number_32(random),
                   .version = any_text(random, limits::kVersionBytesMax),
                   .up_ms = any_number(random),
                   .world = any_world(random),
                   .in_update = any_number_32(random),
                   .update_ms = any_number(random),
                   .groups = {},
                   .pending = {},
                   .collectives = {},
                   .peers_left_out = any_number_32(random),
                   .collectives_left_out = any_number_32(random)};
  for (std::uint64_t& count : status.totals.committed) count = any_number(random);
  for (std::uint64_t& bytes : status.totals.bytes) bytes = any_number(random);
  status.totals.failed_by_loss = any_number(random);
  status.totals.failed_by_mismatch = any_number(random);
  status.totals.failed_by_timeout = any_number(random);
  status.totals.failed_otherwise = any_number(random);
  status.totals.joined = any_number(random);
  status.totals.left = any_number(random);
  status.totals.lost = any_number(random);
  for (auto count = random.below(3); count > 0; --count)
    status.unreached.push_back({.from = PeerId{random.next()},
                                .to = PeerId{random.next()},
                                .by = PeerId{random.next()},
                                .why = any_text(random, limits::kUnreachedReasonBytesMax)});
  for (auto count = random.below(3); count > 0; --count) {
    status.groups.push_back({.group = any_number_32(random),
                             .epoch = Epoch{any_number(random)},
                             .size = any_number_32(random),
                             .members = {},
                             .view = ViewId{random.next()},
                             .measures = any_number(random),
                             .measures_age_ms = any_number(random),
                             .mismatches = any_number(random),
                             .last_mismatch = any_text(random, limits::kSentenceBytesMax),
                             .last_mismatch_age_ms = any_number(random)});
    for (auto members = random.below(4); members > 0; --members)
      status.groups.back().members.push_back(any_peer_status(random));
  }
  for (auto count = random.below(3); count > 0; --count)
    status.pending.push_back({.group = any_number_32(random),
                              .peer = any_peer_status(random),
                              .awaits = static_cast<Awaits>(random.between(0, kAwaitsMax)),
                              .waits_ms = any_number(random)});
  for (auto count = random.below(3); count > 0; --count)
    status.collectives.push_back(any_collective_status(random));
  return status;
}

inline std::vector<Linked::Detour> any_detours(Random& random) {
  std::vector<Linked::Detour> detours;
  for (auto count = random.below(3); count > 0; --count)
    detours.push_back({.to = PeerId{random.next()}, .by = PeerId{random.next()}});
  return detours;
}

inline LinkRow any_link_row(Random& random, std::size_t members) {
  LinkRow row{.bytes_per_second = {},
              .delay_ns = {},
              .uplink_bytes_per_second = any_number(random),
              .downlink_bytes_per_second = any_number(random)};
  for (std::size_t rank = 0; rank < members; ++rank) {
    row.bytes_per_second.push_back(any_number(random));
    row.delay_ns.push_back(any_number(random));
    if (random.chance(1, 2)) row.probed.push_back(static_cast<std::uint32_t>(rank));
    if (!row.probed.empty() && row.probed.back() == rank && random.chance(1, 2))
      row.lower_bounds.push_back(static_cast<std::uint32_t>(rank));
    if (random.chance(1, 3)) row.together.push_back(static_cast<std::uint32_t>(rank));
    if (random.chance(1, 3))
      row.detours.push_back({.to = static_cast<std::uint32_t>(rank),
                             .by = members < 2 || random.chance(1, 2)
                                       ? LinkDetour::kByAnyone
                                       : static_cast<std::uint32_t>((rank + 1 + random.below(members - 1)) % members)});
  }
  return row;
}

inline Measures any_measures(Random& random) {
  Measures measures{.view = ViewId{random.next()}, .version = any_number(random), .rows = {}};
  const std::size_t members = random.below(5);
  for (std::size_t rank = 0; rank < members; ++rank)
    measures.rows.push_back(any_link_row(random, random.chance(1, 4) ? 0 : members));
  return measures;
}

inline Attestation any_attestation(Random& random) {
  Attestation made{.given = {.bytes = any_number(random),
                             .not_finite = any_number(random),
                             .largest = static_cast<double>(any_number(random)) / 7,
                             .norm = static_cast<double>(any_number(random)) * 3}};
  made.given.sha256[random.below(32)] = made.public_key[random.below(32)] = 0xf0;
  made.signature[random.below(64)] = 1;
  return made;
}

inline AttestedCollective any_attested(Random& random) {
  AttestedCollective made{.key = any_key(random),
                          .signature = any_signature(random),
                          .group = any_number_32(random),
                          .age_ms = any_number(random)};
  for (const Member& member : any_members(random))
    made.members.push_back(
        {.member = member,
         .attestation = random.chance(1, 2) ? std::optional(any_attestation(random)) : std::nullopt,
         .is_late = random.chance(1, 2)});
  return made;
}

inline Unreached any_unreached(Random& random) {
  Unreached made;
  for (auto count = random.below(4); count > 0; --count)
    made.ways.push_back({.to = PeerId{random.next()},
                         .by = PeerId{random.next()},
                         .why = any_text(random, limits::kUnreachedReasonBytesMax)});
  return made;
}

/// Of the kind that `kind` names, as the variant's index.
inline PeerMessage any_peer_message(Random& random, std::size_t kind) {
  switch (kind % std::variant_size_v<PeerMessage>) {
    case 0: return Hello{.who = any_introduction(random), .prefetches = random.chance(1, 2)};
    case 1: return any_resume(random);
    case 2:
      return Begun{.key = any_key(random),
                   .signature = any_signature(random),
                   .attestation = random.chance(1, 2) ? std::optional(any_attestation(random)) : std::nullopt,
                   .needs_relays = random.chance(1, 2)};
    case 3: return Report{.key = any_key(random), .signature = any_signature(random)};
    case 4:
      return Complaint{.key = any_key(random),
                       .stalled_ms = any_number(random),
                       .waiting_for = any_peers(random),
                       .unresponsive = any_peers(random),
                       .period_ms = any_number(random),
                       .flows = any_flows(random)};
    case 5:
      return UpdateCall{.first = random.chance(1, 2),
                        .update_round = any_number(random),
                        .was_over = random.chance(1, 2),
                        .waits = random.chance(1, 2),
                        .after_error = random.chance(1, 2)};
    case 6: {
      Linked linked{.all = random.chance(1, 2), .up = any_peers(random), .down = any_peers(random),
                    .refused = any_peers(random), .detours = any_detours(random)};
      if (random.chance(1, 2))
        for (std::size_t i = 0; i < linked.up.size(); ++i) linked.delays_us.push_back(any_number_32(random));
      return linked;
    }
    case 7: return Leave{};
    case 8: return Ping{};
    case 10: return Measured{.view = ViewId{random.next()}, .row = any_link_row(random, random.below(5))};
    case 11:
      return StatusRequest{.protocol_version = any_number_32(random),
                           .matrix = random.chance(1, 2),
                           .attested = any_number_32(random)};
    case 12: return ViewPresented{any_view(random)};
    case 13: return any_outcomes(random);
    case 15: return any_ways(random);
    case 16: return BothDial{.to = PeerId{random.next()}, .why = any_failure(random).sentence};
    case 17: return any_unreached(random);
    case 18: return ViewTaken{ViewId{random.next()}};
    case 19: return GiveUp{.key = any_key(random), .after_ms = any_number(random), .cancelled = random.chance(1, 2)};
    default: return PrefetchOver{};
  }
}

inline MasterMessage any_master_message(Random& random, std::size_t kind) {
  switch (kind % std::variant_size_v<MasterMessage>) {
    case 0:
      return Welcome{.run = RunId{random.next()},
                     .seen_host = any_host(random),
                     .term = any_term(random),
                     .wants_links = random.chance(1, 2)};
    case 1: return Refused{.error = any_failure(random), .term = any_term(random)};
    case 2: return Present{.view = random.chance(1, 2), .outcomes = random.chance(1, 2)};
    case 3:
      return StartView{.epoch = Epoch{any_number(random)},
                       .id = ViewId{random.next()},
                       .group = any_number_32(random),
                       .link_secret = random.next(),
                       .base = ViewId{random.next()},
                       .members = any_change(random),
                       .world = any_world(random),
                       .cause = any_error(random),
                       .update_round = any_number(random),
                       .fingerprint = random.next(),
                       .measures = any_number(random),
                       .quorums = any_quorums(random, 20),
                       .calls_since = Epoch{any_number(random)}};
    case 4:
      return Committed{.key = any_key(random),
                       .measures = any_number(random),
                       .update_round = any_number(random),
                       .updates_made = any_number(random)};
    case 5:
      return UpdateDone{.error = any_error(random),
                        .update_round = any_number(random),
                        .measures = any_number(random),
                        .was_over = random.chance(1, 2)};
    case 6: return WorldNews{.world = any_world(random), .pending = any_number_32(random)};
    case 7: return Expelled{.error = any_failure(random), .term = any_term(random)};
    case 8: return Pong{};
    case 9: return GroupMembers{.members = any_change(random), .link_secret = random.next()};
    case 11: return any_measures(random);
    case 12: return any_run_status(random);
    case 13:
      return Straggling{.key = any_key(random),
                        .peer = PeerId{random.next()},
                        .percent = any_number_32(random),
                        .sentence = any_failure(random).sentence};
    case 14: return Notice{any_failure(random).sentence};
    case 15: return CommandDone{any_failure(random).sentence};
    case 16: return any_attested(random);
    case 17:
      return DialEachOther{.peer = PeerId{random.next()},
                           .seen = {.host = any_host(random), .port = static_cast<std::uint16_t>(random.next())},
                           .ways = any_ways(random)};
    case 18: return Standby{.sentence = any_failure(random).sentence, .gathers = random.chance(1, 2)};
    case 19: return ViewHeld{ViewId{random.next()}};
    case 20: return RelayCall{.key = any_key(random), .signature = any_signature(random)};
    default: return Visitors{any_change(random)};
  }
}

/// A view of as many members as there may be, each as large as it may be.
inline View largest_view(Random& random) {
  constexpr std::uint64_t kLargest = ~std::uint64_t{0};
  View view{.epoch = Epoch{kLargest},
            .id = ViewId{kLargest},
            .group = 0xffffffffU,
            .link_secret = kLargest,
            .members = {}};
  for (std::uint32_t i = 0; i < limits::kGroupSizeMax; ++i)
    view.members.push_back({.id = PeerId{random.next()},
                            .name = std::string(limits::kNameBytesMax, 'n'),
                            .address = {.host = std::string(limits::kHostBytesMax, 'h'), .port = 0xffff},
                            .machine = kLargest});
  return view;
}

/// As many peers, each a group of its own, and collectives of largest groups as are told.
inline RunStatus largest_run_status(Random& random) {
  constexpr std::uint64_t kLargest = ~std::uint64_t{0};
  constexpr std::uint32_t kLargest32 = 0xffffffffU;
  RunStatus status{.run = RunId{kLargest},
                   .protocol_version = kLargest32,
                   .version = std::string(limits::kVersionBytesMax, 'v'),
                   .up_ms = kLargest,
                   .world = {.size = kLargest32, .group_count = kLargest32, .largest_group_size = kLargest32},
                   .in_update = kLargest32,
                   .update_ms = kLargest,
                   .groups = {},
                   .pending = {},
                   .collectives = {},
                   .peers_left_out = kLargest32,
                   .collectives_left_out = kLargest32};
  status.totals = {.failed_by_loss = kLargest,
                   .failed_by_mismatch = kLargest,
                   .failed_by_timeout = kLargest,
                   .failed_otherwise = kLargest,
                   .joined = kLargest,
                   .left = kLargest,
                   .lost = kLargest};
  status.totals.committed.fill(kLargest);
  status.totals.bytes.fill(kLargest);
  const PeerStatus peer{.member = largest_view(random).members.front(),
                        .party = {.id = PartyId{kLargest}, .size = limits::kPartySizeMax},
                        .heard_ms = kLargest,
                        .in_update = true,
                        .opens_links = true,
                        .is_away = true};
  for (std::size_t i = 0; i < limits::kStatusPeersMax; ++i)
    status.groups.push_back(
        {.group = kLargest32, .epoch = Epoch{kLargest}, .size = kLargest32, .members = {peer}});
  CollectiveStatus collective{.group = kLargest32,
                              .tag = kLargest,
                              .sequence = kLargest,
                              .signature = {.collective = Collective::reduce_scatter,
                                            .type = DataType::float64,
                                            .op = ReduceOp::avg,
                                            .plan = PlanKind::direct,
                                            .count = kLargest,
                                            .root = kLargest32,
                                            .quantization = {.scheme = QuantizationScheme::blockwise,
                                                             .type = QuantizedType::int4,
                                                             .block = 1024,
                                                             .stochastic = true},
                                            .purpose = Purpose::shared_state,
                                            .measures = kLargest},
                              .alike = true,
                              .since_ms = kLargest,
                              .group_size = limits::kGroupSizeMax,
                              .called = {},
                              .reported = {},
                              .waits_for = {},
                          .stragglers = {}};
  for (std::uint32_t rank = 0; rank < limits::kGroupSizeMax; ++rank) collective.called.push_back(rank);
  collective.reported = collective.waits_for = collective.stragglers = collective.called;
  status.collectives.assign(limits::kStatusCollectivesMax, collective);
  return status;
}

inline OutcomesPresented largest_outcomes() {
  constexpr std::uint64_t kLargest = ~std::uint64_t{0};
  const OpKey key{.epoch = Epoch{kLargest}, .view = ViewId{kLargest}, .tag = kLargest, .sequence = kLargest};
  const Signature signature{.op = ReduceOp::avg, .plan = PlanKind::direct, .count = kLargest};
  OutcomesPresented outcomes;
  outcomes.undecided.assign(limits::kOutcomesRememberedMax,
                            {.key = key, .signature = signature, .reported = true});
  outcomes.committed.assign(limits::kOutcomesRememberedMax, key);
  return outcomes;
}

/// The largest first message of a peer that a master takes.
inline Introduction largest_introduction() {
  constexpr std::uint64_t kLargest = ~std::uint64_t{0};
  Introduction who{.id = PeerId{kLargest},
                   .token = kLargest,
                   .connection = kLargest,
                   .group = 0xffffffffU,
                   .name = std::string(limits::kNameBytesMax, 'n'),
                   .address = {.host = std::string(limits::kHostBytesMax, 'h'), .port = 0xffff},
                   .party = {.id = PartyId{kLargest}, .size = limits::kPartySizeMax},
                   .machine = kLargest};
  for (std::size_t i = 0; i < limits::kTermsMax; ++i)
    who.terms.push_back({.name = std::to_string(10 + i) + std::string(limits::kTermNameBytesMax - 2, 't'),
                         .value = std::string(limits::kTermValueBytesMax, 'v')});
  return who;
}

}  // namespace hawser::testing
