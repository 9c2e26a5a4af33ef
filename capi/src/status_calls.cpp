#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "access.hpp"
#include "boundary.hpp"
#include "handles.hpp"
#include "hawser_status.h"
#include "runtime/status_query.hpp"
#include "trust/attest.hpp"

namespace capi = hawser::capi;

namespace {

using hawser::Result;

constexpr std::uint32_t kTimeoutDefault_ms = 5000;

static_assert(HAWSER_UNREACHED_REASON_BYTES == hawser::limits::kUnreachedReasonBytesMax + 1);
static_assert(HAWSER_ANSWER_BYTES == hawser::limits::kSentenceBytesMax + 1);
static_assert(hawserAwaitsPermission == static_cast<int>(hawser::kAwaitsMax));
static_assert(hawserAwaitsUpdate == static_cast<int>(hawser::Awaits::update));
static_assert(hawserAwaitsLinks == static_cast<int>(hawser::Awaits::links));
static_assert(hawserAwaitsOthers == static_cast<int>(hawser::Awaits::others_back));

hawserResult_t null_status() { return capi::report(capi::invalid_argument("the status is null")); }

hawserResult_t no_such(const char* what, std::uint32_t index, std::size_t count) {
  return capi::report(capi::invalid_argument("there is no " + std::string(what) + " " +
                                             std::to_string(index) + " among " + std::to_string(count)));
}

/// Writes `ours` over the caller's struct of this or another version.
template <class Struct>
hawserResult_t answer(const Struct& ours, Struct& callers, const char* name) {
  if (const auto read = capi::read_struct(callers, name, capi::Rest::waits_for_answer); !read.ok())
    return capi::report(read.error());
  capi::write_struct(ours, callers);
  return hawserSuccess;
}

std::uint32_t members_listed(const hawser::RunStatus& status) {
  std::size_t members = 0;
  for (const hawser::GroupStatus& group : status.groups) members += group.members.size();
  return static_cast<std::uint32_t>(members);
}

hawserStatusPeer_t shown_peer(const hawser::PeerStatus& from, std::uint32_t group) {
  hawserStatusPeer_t peer = HAWSER_STATUS_PEER_INIT;
  peer.peer_id = from.member.id.value;
  capi::copy_text(from.member.name, peer.name);
  capi::copy_text(to_string(from.member.address), peer.address);
  peer.party = from.party.id.value;
  peer.party_size = from.party.size;
  peer.heard_ms = from.heard_ms;
  peer.group = group;
  peer.in_update = from.in_update ? 1 : 0;
  peer.opens_links = from.opens_links ? 1 : 0;
  peer.away = from.is_away ? 1 : 0;
  peer.relay = from.member.is_relay ? 1 : 0;
  if (from.member.key != hawser::KeyId{}) capi::copy_text(to_string(from.member.key), peer.key);
  return peer;
}

hawserStatusPeer_t peer_at(const hawser::RunStatus& status, std::size_t index) {
  for (const hawser::GroupStatus& group : status.groups) {
    if (index < group.members.size()) {
      hawserStatusPeer_t peer = shown_peer(group.members[index], group.group);
      peer.member = 1;
      peer.rank = static_cast<std::uint32_t>(index);
      return peer;
    }
    index -= group.members.size();
  }
  const hawser::PendingStatus& pending = status.pending.at(index);
  hawserStatusPeer_t peer = shown_peer(pending.peer, pending.group);
  peer.awaits = static_cast<hawserAwaits_t>(pending.awaits);
  peer.waits_ms = pending.waits_ms;
  return peer;
}

hawserStatusInfo_t status_info_of(const hawser::RunStatus& status, std::uint32_t attested) {
  hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
  info.run = status.run.value;
  info.version = status.version.c_str();
  info.protocol_version = status.protocol_version;
  info.in_update = status.in_update;
  info.up_ms = status.up_ms;
  info.update_ms = status.update_ms;
  info.world_size = status.world.size;
  info.group_count = status.world.group_count;
  info.largest_group_size = status.world.largest_group_size;
  info.groups = static_cast<std::uint32_t>(status.groups.size());
  info.peers = members_listed(status) + static_cast<std::uint32_t>(status.pending.size());
  info.collectives = static_cast<std::uint32_t>(status.collectives.size());
  info.peers_left_out = status.peers_left_out;
  info.collectives_left_out = status.collectives_left_out;
  info.has_keys = status.has_keys ? 1 : 0;
  info.attested = attested;
  info.unreached = static_cast<std::uint32_t>(status.unreached.size());
  info.standby = status.serves ? 0 : 1;
  info.waits = status.waits.c_str();
  info.term = status.term;
  return info;
}

hawserStatusTotals_t status_totals_of(const hawser::RunTotals& from) {
  using hawser::Collective;
  const auto of = [](const auto& counts, Collective kind) { return counts[static_cast<std::size_t>(kind)]; };
  hawserStatusTotals_t totals = HAWSER_STATUS_TOTALS_INIT;
  totals.all_reduces = of(from.committed, Collective::all_reduce);
  totals.reduce_scatters = of(from.committed, Collective::reduce_scatter);
  totals.all_gathers = of(from.committed, Collective::all_gather);
  totals.broadcasts = of(from.committed, Collective::broadcast);
  totals.barriers = of(from.committed, Collective::barrier);
  totals.state_transfers = of(from.committed, Collective::transfer);
  totals.optimizations = of(from.committed, Collective::optimize);
  totals.reduced_bytes = of(from.bytes, Collective::all_reduce) + of(from.bytes, Collective::reduce_scatter);
  totals.failed_by_loss = from.failed_by_loss;
  totals.failed_by_mismatch = from.failed_by_mismatch;
  totals.failed_by_timeout = from.failed_by_timeout;
  totals.failed_otherwise = from.failed_otherwise;
  totals.joined = from.joined;
  totals.left = from.left;
  totals.lost = from.lost;
  return totals;
}

/// As the status lists it; else "".
std::string name_in(const hawser::RunStatus& status, hawser::PeerId id) {
  for (const hawser::GroupStatus& group : status.groups)
    for (const hawser::PeerStatus& peer : group.members)
      if (peer.member.id == id) return peer.member.name;
  for (const hawser::PendingStatus& pending : status.pending)
    if (pending.peer.member.id == id) return pending.peer.member.name;
  return {};
}

struct Question {
  std::vector<hawser::Address> masters;
  hawser::milliseconds bound{kTimeoutDefault_ms};
  bool matrix = false;
  std::uint32_t attested = 0;
  hawser::AccessChoice access;
};

Result<Question> question_of(const char* master, const hawserQueryOptions_t* callers) {
  if (master == nullptr) return capi::invalid_argument("the master's address is null");
  const auto addresses = hawser::parse_addresses(master);
  if (!addresses.ok()) return addresses.error();
  const hawserQueryOptions_t defaults = HAWSER_QUERY_OPTIONS_INIT;
  const auto options = capi::read_struct(callers != nullptr ? *callers : defaults, "hawserQueryOptions_t");
  if (!options.ok()) return options.error();
  if (options->matrix > 1 || options->insecure > 1) return capi::invalid_argument("matrix and insecure are 0 or 1");
  Question question{.masters = *addresses,
                    .matrix = options->matrix != 0,
                    .attested = options->attested,
                    .access = capi::access_of(options->secret_file, options->insecure)};
  if (options->timeout_ms != 0) question.bound = hawser::milliseconds(options->timeout_ms);
  return question;
}

hawserResult_t query(const char* master, const hawserQueryOptions_t* options, hawserStatus_t* status) {
  if (status == nullptr) return capi::null_output();
  const auto question = question_of(master, options);
  if (!question.ok()) return capi::report(question.error());
  auto handle = std::make_unique<hawserStatus>();
  auto told = hawser::query_status(question->masters, question->bound,
                                   {.matrix = question->matrix, .attested = question->attested}, question->access);
  if (!told.ok()) return capi::report(told.error());
  handle->status = std::move(told->status);
  handle->matrices = std::move(told->matrices);
  handle->attested = std::move(told->attested);
  for (const hawser::AttestedCollective& one : handle->attested)
    handle->attested_descriptions.push_back(describe(one.signature));
  for (const hawser::CollectiveStatus& collective : handle->status.collectives)
    handle->descriptions.push_back(describe(collective.signature));
  *status = handle.release();
  return hawserSuccess;
}

/// Of a group whose matrix was told, and in which it has as many rows as the group has members; else null.
const hawser::Measures* matrix_of(const hawserStatus& status, const hawser::GroupStatus& group) {
  for (const hawser::Measures& measures : status.matrices)
    if (measures.view == group.view && measures.rows.size() == group.size) return &measures;
  return nullptr;
}

bool has(const std::vector<std::uint32_t>& ranks, std::uint32_t rank) {
  return std::binary_search(ranks.begin(), ranks.end(), rank);
}

}  // namespace

extern "C" {

const char* hawserGetAwaitsName(hawserAwaits_t awaits) {
  constexpr std::array kNames{"waits for the first view",
                              "waits for update-topology",
                              "prefetches",
                              "waits for the rest of its party",
                              "waits for links to the members",
                              "waits for former members to come back",
                              "is back, waits for the other members",
                              "is not back yet",
                              "waits for its turn",
                              "waits for an operator (hawser admit)"};
  static_assert(kNames.size() == hawser::kAwaitsMax + 1);
  const int number = capi::number_in(awaits);
  return number >= 0 && number < static_cast<int>(kNames.size()) ? kNames[static_cast<std::size_t>(number)]
                                                                 : "waits";
}

hawserResult_t hawserStatusQuery(const char* master, uint32_t timeout_ms, hawserStatus_t* status) {
  hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  return capi::guarded([&] { return query(master, &options, status); });
}

hawserResult_t hawserStatusQueryWith(const char* master, const hawserQueryOptions_t* options,
                                     hawserStatus_t* status) {
  return capi::guarded([&] { return query(master, options, status); });
}

hawserResult_t hawserOperate(const char* master, const hawserQueryOptions_t* options, hawserOperatorVerb_t verb,
                             const char* argument, char* answer, size_t answer_bytes) {
  const int verb_number = capi::number_in(verb);
  return capi::guarded([&] {
    const auto question = question_of(master, options);
    if (!question.ok()) return capi::report(question.error());
    const auto ours = capi::enumerator(verb_number, hawser::OperatorVerb::end_drain, "an operator's command");
    if (!ours.ok()) return capi::report(ours.error());
    const bool needs_argument = *ours != hawser::OperatorVerb::drain && *ours != hawser::OperatorVerb::end_drain;
    if (needs_argument && (argument == nullptr || argument[0] == '\0'))
      return capi::report(capi::invalid_argument("the command needs a name or a key"));
    const std::string text = needs_argument ? argument : "";
    if (text.size() > hawser::limits::kOperatorArgumentBytesMax)
      return capi::report(capi::invalid_argument("names and keys have at most 64 bytes"));
    const auto done = hawser::operate(question->masters, question->bound, {.verb = *ours, .argument = text},
                                      question->access);
    if (!done.ok()) return capi::report(done.error());
    if (answer != nullptr && answer_bytes > 0) {
      const std::size_t count = std::min(done->size(), answer_bytes - 1);
      std::memcpy(answer, done->data(), count);
      answer[count] = '\0';
    }
    return hawserSuccess;
  });
}

hawserResult_t hawserStatusQueryWithMatrix(const char* master, uint32_t timeout_ms, hawserStatus_t* status) {
  hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  options.matrix = 1;
  return capi::guarded([&] { return query(master, &options, status); });
}

hawserResult_t hawserStatusDestroy(hawserStatus_t status) {
  return capi::guarded([&] {
    delete status;
    return hawserSuccess;
  });
}

hawserResult_t hawserStatusGetInfo(hawserStatus_t status, hawserStatusInfo_t* info) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (info == nullptr) return capi::null_output();
    return answer(status_info_of(status->status, static_cast<std::uint32_t>(status->attested.size())), *info,
                  "hawserStatusInfo_t");
  });
}

hawserResult_t hawserStatusGetTotals(hawserStatus_t status, hawserStatusTotals_t* totals) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (totals == nullptr) return capi::null_output();
    return answer(status_totals_of(status->status.totals), *totals, "hawserStatusTotals_t");
  });
}

hawserResult_t hawserStatusGetGroup(hawserStatus_t status, uint32_t index, hawserStatusGroup_t* group) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (group == nullptr) return capi::null_output();
    const auto& groups = status->status.groups;
    if (index >= groups.size()) return no_such("group", index, groups.size());
    hawserStatusGroup_t ours = HAWSER_STATUS_GROUP_INIT;
    for (std::uint32_t before = 0; before < index; ++before)
      ours.first_peer += static_cast<std::uint32_t>(groups[before].members.size());
    ours.epoch = groups[index].epoch.value;
    ours.group = groups[index].group;
    ours.group_size = groups[index].size;
    ours.peers = static_cast<std::uint32_t>(groups[index].members.size());
    ours.measures = groups[index].measures;
    ours.measures_age_ms = groups[index].measures_age_ms;
    ours.mismatches = groups[index].mismatches;
    ours.last_mismatch = groups[index].last_mismatch.c_str();
    ours.last_mismatch_age_ms = groups[index].last_mismatch_age_ms;
    ours.has_matrix = matrix_of(*status, groups[index]) != nullptr ? 1 : 0;
    return answer(ours, *group, "hawserStatusGroup_t");
  });
}

hawserResult_t hawserStatusGetAttested(hawserStatus_t status, uint32_t index, hawserStatusAttested_t* attested) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (attested == nullptr) return capi::null_output();
    if (index >= status->attested.size()) return no_such("attested collective", index, status->attested.size());
    const hawser::AttestedCollective& from = status->attested[index];
    hawserStatusAttested_t ours = HAWSER_STATUS_ATTESTED_INIT;
    ours.what = status->attested_descriptions[index].c_str();
    ours.epoch = from.key.epoch.value;
    ours.tag = from.key.tag;
    ours.sequence = from.key.sequence;
    ours.age_ms = from.age_ms;
    ours.group = from.group;
    ours.members = static_cast<std::uint32_t>(from.members.size());
    return answer(ours, *attested, "hawserStatusAttested_t");
  });
}

hawserResult_t hawserStatusGetContribution(hawserStatus_t status, uint32_t index, uint32_t rank,
                                           hawserContribution_t* contribution) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (contribution == nullptr) return capi::null_output();
    if (index >= status->attested.size()) return no_such("attested collective", index, status->attested.size());
    const hawser::AttestedCollective& collective = status->attested[index];
    if (rank >= collective.members.size()) return no_such("rank", rank, collective.members.size());
    const hawser::AttestedCollective::Entry& from = collective.members[rank];
    hawserContribution_t ours = HAWSER_CONTRIBUTION_INIT;
    capi::copy_text(from.member.name, ours.name);
    if (from.member.key != hawser::KeyId{}) capi::copy_text(to_string(from.member.key), ours.key);
    if (from.attestation) {
      const hawser::Contribution& given = from.attestation->given;
      capi::copy_text(to_string(hawser::KeyId{given.sha256}), ours.sha256);
      ours.bytes = given.bytes;
      ours.not_finite = given.not_finite;
      ours.largest = given.largest;
      ours.norm = given.norm;
      const bool genuine = hawser::trust::is_genuine(*from.attestation, from.member.key, collective.key,
                                                     collective.signature);
      ours.is_signed = genuine ? hawserSignedBy : hawserSignedWrong;
      ours.late = from.is_late ? 1 : 0;
    }
    return answer(ours, *contribution, "hawserContribution_t");
  });
}

hawserResult_t hawserStatusGetPeer(hawserStatus_t status, uint32_t index, hawserStatusPeer_t* peer) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (peer == nullptr) return capi::null_output();
    const std::size_t peers = members_listed(status->status) + status->status.pending.size();
    if (index >= peers) return no_such("peer", index, peers);
    return answer(peer_at(status->status, index), *peer, "hawserStatusPeer_t");
  });
}

hawserResult_t hawserStatusGetUnreached(hawserStatus_t status, uint32_t index, hawserStatusUnreached_t* unreached) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (unreached == nullptr) return capi::null_output();
    const auto& all = status->status.unreached;
    if (index >= all.size()) return no_such("unreached peer", index, all.size());
    const hawser::UnreachedStatus& from = all[index];
    hawserStatusUnreached_t ours = HAWSER_STATUS_UNREACHED_INIT;
    ours.from_id = from.from.value;
    ours.to_id = from.to.value;
    ours.by_id = from.by.value;
    capi::copy_text(name_in(status->status, from.from), ours.from_name);
    capi::copy_text(name_in(status->status, from.to), ours.to_name);
    capi::copy_text(name_in(status->status, from.by), ours.by_name);
    capi::copy_text(from.why, ours.why);
    return answer(ours, *unreached, "hawserStatusUnreached_t");
  });
}

hawserResult_t hawserStatusGetCollective(hawserStatus_t status, uint32_t index,
                                         hawserStatusCollective_t* collective) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (collective == nullptr) return capi::null_output();
    const auto& collectives = status->status.collectives;
    if (index >= collectives.size()) return no_such("collective", index, collectives.size());
    const hawser::CollectiveStatus& from = collectives[index];
    hawserStatusCollective_t ours = HAWSER_STATUS_COLLECTIVE_INIT;
    ours.what = status->descriptions[index].c_str();
    ours.tag = from.tag;
    ours.sequence = from.sequence;
    ours.since_ms = from.since_ms;
    ours.group = from.group;
    ours.group_size = from.group_size;
    ours.called = static_cast<std::uint32_t>(from.called.size());
    ours.reported = static_cast<std::uint32_t>(from.reported.size());
    ours.alike = from.alike ? 1 : 0;
    return answer(ours, *collective, "hawserStatusCollective_t");
  });
}

hawserResult_t hawserStatusGetPart(hawserStatus_t status, uint32_t collective, uint32_t rank,
                                   uint32_t* part) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (part == nullptr) return capi::null_output();
    const auto& collectives = status->status.collectives;
    if (collective >= collectives.size()) return no_such("collective", collective, collectives.size());
    const hawser::CollectiveStatus& from = collectives[collective];
    if (rank >= from.group_size) return no_such("rank", rank, from.group_size);
    *part = (has(from.called, rank) ? HAWSER_STATUS_CALLED : 0U) |
            (has(from.reported, rank) ? HAWSER_STATUS_REPORTED : 0U) |
            (has(from.waits_for, rank) ? HAWSER_STATUS_WAITED_FOR : 0U) |
            (has(from.stragglers, rank) ? HAWSER_STATUS_STRAGGLES : 0U);
    return hawserSuccess;
  });
}

hawserResult_t hawserStatusGetMeasuredLink(hawserStatus_t status, uint32_t group, uint32_t from, uint32_t to,
                                           hawserMeasuredLink_t* link) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (link == nullptr) return capi::null_output();
    const auto& groups = status->status.groups;
    if (group >= groups.size()) return no_such("group", group, groups.size());
    if (from >= groups[group].size || to >= groups[group].size)
      return no_such("rank", std::max(from, to), groups[group].size);
    hawserMeasuredLink_t ours = HAWSER_MEASURED_LINK_INIT;
    const hawser::Measures* const measures = matrix_of(*status, groups[group]);
    if (measures != nullptr && to < measures->rows[from].delay_ns.size()) {
      const hawser::LinkRow& row = measures->rows[from];
      ours.bytes_per_second = row.bytes_per_second[to];
      ours.delay_ns = row.delay_ns[to];
      ours.probed = has(row.probed, to) ? 1 : 0;
      ours.lower_bound = has(row.lower_bounds, to) ? 1 : 0;
      for (const hawser::LinkDetour& detour : row.detours)
        if (detour.to == to) {
          ours.detour = 1;
          ours.detour_by = detour.by;
        }
    }
    return answer(ours, *link, "hawserMeasuredLink_t");
  });
}

hawserResult_t hawserStatusGetMeasuredAccess(hawserStatus_t status, uint32_t group, uint32_t rank,
                                             uint64_t* uplink_bytes_per_second, uint64_t* downlink_bytes_per_second) {
  return capi::guarded([&] {
    if (status == nullptr) return null_status();
    if (uplink_bytes_per_second == nullptr || downlink_bytes_per_second == nullptr) return capi::null_output();
    const auto& groups = status->status.groups;
    if (group >= groups.size()) return no_such("group", group, groups.size());
    if (rank >= groups[group].size) return no_such("rank", rank, groups[group].size);
    const hawser::Measures* const measures = matrix_of(*status, groups[group]);
    *uplink_bytes_per_second = measures != nullptr ? measures->rows[rank].uplink_bytes_per_second : 0;
    *downlink_bytes_per_second = measures != nullptr ? measures->rows[rank].downlink_bytes_per_second : 0;
    return hawserSuccess;
  });
}

}  // extern "C"
