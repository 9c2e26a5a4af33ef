#include "status_report.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <string_view>
#include <utility>

#include "json/json_writer.hpp"

namespace {

constexpr std::size_t kNamesInLineMax = 8;

[[gnu::format(printf, 2, 3)]] void print(std::string& to, const char* format, ...) {
  std::array<char, 512> line{};
  va_list values;
  va_start(values, format);
  std::vsnprintf(line.data(), line.size(), format, values);
  va_end(values);
  to += line.data();
}

std::string count_text(std::uint32_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string hex(std::uint64_t number) {
  std::string text;
  print(text, "%016" PRIx64, number);
  return text;
}

const hawserStatusPeer_t* member(const StatusReport& report, std::uint32_t group, std::uint32_t rank) {
  for (const hawserStatusGroup_t& one : report.groups)
    if (one.group == group) return rank < one.peers ? &report.peers[one.first_peer + rank] : nullptr;
  return nullptr;
}

std::string name_of(const StatusReport& report, std::uint32_t group, std::uint32_t rank) {
  const hawserStatusPeer_t* const found = member(report, group, rank);
  const std::string place = "rank " + std::to_string(rank) + " of group " + std::to_string(group);
  return found != nullptr ? std::string(found->name) + " (" + place + ")" : place;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesInLineMax); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamesInLineMax)
    text += " and " + std::to_string(names.size() - kNamesInLineMax) + " more";
  return text;
}

std::string state_of(const hawserStatusPeer_t& peer) {
  std::string state = peer.member == 1 ? (peer.relay == 1 ? "relay" : "") : hawserGetAwaitsName(peer.awaits);
  if (peer.in_update == 1) state += std::string(state.empty() ? "" : ", ") + "in update-topology";
  if (peer.away == 1) state += std::string(state.empty() ? "" : ", ") + "away, may come back";
  return state.empty() ? "member" : state;
}

std::string party_of(const hawserStatusPeer_t& peer) {
  return peer.party_size > 1 ? hex(peer.party) + " of " + std::to_string(peer.party_size) : "-";
}

std::string head(const StatusReport& report) {
  const hawserStatusInfo_t& info = report.info;
  std::string text = "run " + hex(info.run) + ", master " + report.master + " (hawser " + info.version +
                     ", protocol " + std::to_string(info.protocol_version) + "), up " +
                     time_text(info.up_ms) + "\n";
  if (info.standby == 1) text += "this master stands by: " + std::string(info.waits) + "\n";
  if (info.term != 0) text += "term " + std::to_string(info.term) + " of the masters\n";
  if (info.has_keys == 0) text += "no keys: whoever reaches the master can join, read and change everything\n";
  text += count_text(info.world_size, "member") + " in " + count_text(info.group_count, "group") + "\n";
  if (info.in_update == 0) return text;
  std::vector<std::string> missing;
  for (const hawserStatusPeer_t& peer : report.peers)
    if (peer.member == 1 && peer.relay == 0 && peer.in_update == 0) missing.push_back(name_of(report, peer.group, peer.rank));
  text += "update-topology: " + std::to_string(info.in_update) + " of " + std::to_string(info.world_size) +
          " members wait in it, for " + time_text(info.update_ms);
  return text + (missing.empty() ? "" : "; missing: " + listed(missing)) + "\n";
}

std::string group_table(const StatusReport& report, const hawserStatusGroup_t& group) {
  std::string text = "\ngroup " + std::to_string(group.group) + ", epoch " + std::to_string(group.epoch) +
                     ", " + count_text(group.group_size, "member") + "\n";
  if (group.mismatches > 0)
    text += "  last mismatch, " + time_text(group.last_mismatch_age_ms) + " ago, of " +
            std::to_string(group.mismatches) + ": " + group.last_mismatch + "\n";
  std::vector<std::vector<std::string>> rows{{"rank", "heard", "party", "address", "state", "name"}};
  for (std::uint32_t i = 0; i < group.peers; ++i) {
    const hawserStatusPeer_t& peer = report.peers[group.first_peer + i];
    rows.push_back({std::to_string(peer.rank), time_text(peer.heard_ms) + " ago", party_of(peer),
                    peer.address, state_of(peer), peer.name});
  }
  return text + columns(rows);
}

std::string pending_table(const StatusReport& report) {
  std::vector<std::vector<std::string>> rows{
      {"group", "since", "heard", "party", "address", "state", "name"}};
  for (const hawserStatusPeer_t& peer : report.peers)
    if (peer.member == 0) {
      const bool missed = peer.awaits == hawserAwaitsNothing;
      rows.push_back({std::to_string(peer.group), peer.waits_ms > 0 ? time_text(peer.waits_ms) : "-",
                      missed ? "-" : time_text(peer.heard_ms) + " ago", party_of(peer), peer.address,
                      state_of(peer), peer.name});
    }
  return rows.size() == 1 ? std::string() : "\nin no view\n" + columns(rows);
}

std::string collective_lines(const StatusReport& report, const StatusReport::Collective& one) {
  const hawserStatusCollective_t& call = one.call;
  std::string text = "  " + std::string(call.what) + " (group " + std::to_string(call.group) + ", tag " +
                     std::to_string(call.tag) + "), for " + time_text(call.since_ms) + ": " +
                     std::to_string(call.called) + " of " + std::to_string(call.group_size) +
                     " have called it, " + std::to_string(call.reported) + " have the result\n";
  if (call.alike == 0) text += "    members have called different things; this is one of them\n";
  const auto add_names = [&](std::uint32_t part, const char* what) {
    std::vector<std::string> names;
    for (std::uint32_t rank = 0; rank < one.parts.size(); ++rank)
      if ((one.parts[rank] & part) != 0) names.push_back(name_of(report, call.group, rank));
    if (!names.empty()) text += what + listed(names) + "\n";
  };
  add_names(HAWSER_STATUS_WAITED_FOR, "    waits for ");
  add_names(HAWSER_STATUS_STRAGGLES, "    reported as holding it up: ");
  return text;
}

/// For programs; the names of hawserAwaits_t.
const char* awaits_word(hawserAwaits_t awaits) {
  constexpr std::array kWords{"first-view", "update-topology", "prefetch", "party",
                              "links",      "recovery",        "others",   "nothing", "turn", "permission"};
  const auto number = static_cast<std::size_t>(awaits);
  return number < kWords.size() ? kWords[number] : "unknown";
}

void add_peer(hawser::JsonWriter& json, const hawserStatusPeer_t& peer) {
  json.add("id", std::string_view(hex(peer.peer_id)))
      .add("name", std::string_view(peer.name))
      .add("address", std::string_view(peer.address));
  if (peer.key[0] != '\0') json.add("key", std::string_view(peer.key));
  if (peer.awaits != hawserAwaitsNothing) json.add("heard_ms", peer.heard_ms);
  if (peer.party_size > 1)
    json.add("party", std::string_view(hex(peer.party))).add("party_size", std::uint64_t{peer.party_size});
  json.add("in_update", peer.in_update == 1).add("opens_links", peer.opens_links == 1).add("away", peer.away == 1)
      .add("relay", peer.relay == 1);
}

/// What either of two peers says of the other.
struct UnreachedPair {
  const hawserStatusUnreached_t* there = nullptr;
  const hawserStatusUnreached_t* back = nullptr;
};

/// By the ids of both, the smaller one first.
std::map<std::pair<std::uint64_t, std::uint64_t>, UnreachedPair> unreached_pairs(const StatusReport& report) {
  std::map<std::pair<std::uint64_t, std::uint64_t>, UnreachedPair> pairs;
  for (const hawserStatusUnreached_t& one : report.unreached) {
    UnreachedPair& pair = pairs[std::minmax(one.from_id, one.to_id)];
    (one.from_id < one.to_id ? pair.there : pair.back) = &one;
  }
  return pairs;
}

void add_unreached(hawser::JsonWriter& json, const hawserStatusUnreached_t& one) {
  json.open()
      .add("from", std::string_view(one.from_name))
      .add("to", std::string_view(one.to_name));
  if (one.by_id != 0) json.add("by", std::string_view(one.by_name));
  json.add("why", std::string_view(one.why)).close();
}

void add_ranks(hawser::JsonWriter& json, const char* key, const StatusReport::Collective& one,
               std::uint32_t part) {
  json.open_list(key);
  for (std::uint32_t rank = 0; rank < one.parts.size(); ++rank)
    if ((one.parts[rank] & part) != 0) json.add({}, std::uint64_t{rank});
  json.close_list();
}

void add_collective(hawser::JsonWriter& json, const StatusReport::Collective& one) {
  json.open()
      .add("what", std::string_view(one.call.what))
      .add("group", std::uint64_t{one.call.group})
      .add("group_size", std::uint64_t{one.call.group_size})
      .add("tag", one.call.tag)
      .add("sequence", one.call.sequence)
      .add("since_ms", one.call.since_ms)
      .add("alike", one.call.alike == 1);
  add_ranks(json, "called", one, HAWSER_STATUS_CALLED);
  add_ranks(json, "reported", one, HAWSER_STATUS_REPORTED);
  add_ranks(json, "waits_for", one, HAWSER_STATUS_WAITED_FOR);
  add_ranks(json, "stragglers", one, HAWSER_STATUS_STRAGGLES);
  json.close();
}

}  // namespace

std::string time_text(std::uint64_t ms) {
  const std::uint64_t seconds = ms / 1000;
  std::string text;
  if (ms < 1000)
    print(text, "%" PRIu64 " ms", ms);
  else if (seconds < 60)
    print(text, "%" PRIu64 ".%" PRIu64 " s", seconds, ms % 1000 / 100);
  else if (seconds < 3600)
    print(text, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
  else
    print(text, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
  return text;
}

std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      text += "  " + row[i] + std::string(widths[i] - row[i].size(), ' ');
    text += "  " + row.back() + "\n";
  }
  return text;
}

StatusReport read_status(const std::string& master, hawserStatus_t status) {
  StatusReport report{
      .master = master, .info = HAWSER_STATUS_INFO_INIT, .totals = HAWSER_STATUS_TOTALS_INIT, .groups = {}, .peers = {},
      .collectives = {}, .unreached = {},
      .matrices = {}};
  // None of these can fail: the handle is good, and the indices are those that it has.
  (void)hawserStatusGetInfo(status, &report.info);
  (void)hawserStatusGetTotals(status, &report.totals);
  report.groups.assign(report.info.groups, HAWSER_STATUS_GROUP_INIT);
  for (std::uint32_t i = 0; i < report.info.groups; ++i)
    (void)hawserStatusGetGroup(status, i, &report.groups[i]);
  report.peers.assign(report.info.peers, HAWSER_STATUS_PEER_INIT);
  for (std::uint32_t i = 0; i < report.info.peers; ++i)
    (void)hawserStatusGetPeer(status, i, &report.peers[i]);
  for (std::uint32_t i = 0; i < report.info.collectives; ++i) {
    StatusReport::Collective& one = report.collectives.emplace_back();
    one.call = HAWSER_STATUS_COLLECTIVE_INIT;
    (void)hawserStatusGetCollective(status, i, &one.call);
    one.parts.resize(one.call.group_size);
    for (std::uint32_t rank = 0; rank < one.call.group_size; ++rank)
      (void)hawserStatusGetPart(status, i, rank, &one.parts[rank]);
  }
  report.unreached.assign(report.info.unreached, HAWSER_STATUS_UNREACHED_INIT);
  for (std::uint32_t i = 0; i < report.info.unreached; ++i)
    (void)hawserStatusGetUnreached(status, i, &report.unreached[i]);
  for (std::uint32_t i = 0; i < report.info.groups; ++i)
    if (report.groups[i].has_matrix == 1)
      report.matrices.push_back(read_matrix(status, i, report.groups[i], report));
  return report;
}

std::string status_table(const StatusReport& report) {
  std::string text = head(report);
  for (const hawserStatusGroup_t& group : report.groups) text += group_table(report, group);
  text += pending_table(report);
  if (report.info.peers_left_out > 0)
    text += "\n" + count_text(report.info.peers_left_out, "peer") + " more than can be listed\n";
  if (const std::size_t pairs = unreached_pairs(report).size(); pairs > 0)
    text += "\n" + std::to_string(pairs) + (pairs == 1 ? " pair has" : " pairs have") +
            " no straight way: `hawser status --reach` says why\n";
  if (!report.collectives.empty()) text += "\nin flight\n";
  for (const StatusReport::Collective& one : report.collectives) text += collective_lines(report, one);
  if (report.info.collectives_left_out > 0)
    text += "  and " + count_text(report.info.collectives_left_out, "later collective") + "\n";
  return text;
}

std::string reach_table(const StatusReport& report) {
  const auto pairs = unreached_pairs(report);
  if (pairs.empty()) return "\nall peers have straight ways to each other, as far as they have told\n";
  std::string text = "\nwithout a straight way\n";
  for (const auto& [ids, pair] : pairs) {
    const hawserStatusUnreached_t& any = pair.there != nullptr ? *pair.there : *pair.back;
    text += std::string("  ") + any.from_name + " and " + any.to_name + ": ";
    if (any.by_id == 0)
      text += "no link\n";
    else
      text += "by way of " + std::string(any.by_name[0] != '\0' ? any.by_name : "a peer that is gone") + "\n";
    for (const hawserStatusUnreached_t* const one : {pair.there, pair.back})
      if (one != nullptr) text += std::string("    ") + one->from_name + ": " + one->why + "\n";
  }
  return text;
}

std::string keys_table(const StatusReport& report) {
  if (report.info.has_keys == 0) return "\nthis run has no keys\n";
  std::vector<std::vector<std::string>> rows{{"name", "key"}};
  for (const hawserStatusPeer_t& peer : report.peers) rows.push_back({peer.name, peer.key});
  return "\n" + columns(rows);
}

const std::vector<TotalRow>& total_rows() {
  static const std::vector<TotalRow> rows{
      {"all_reduces", "collectives", "kind=\"all_reduce\",outcome=\"committed\"", &hawserStatusTotals_t::all_reduces},
      {"reduce_scatters", "collectives", "kind=\"reduce_scatter\",outcome=\"committed\"",
       &hawserStatusTotals_t::reduce_scatters},
      {"all_gathers", "collectives", "kind=\"all_gather\",outcome=\"committed\"", &hawserStatusTotals_t::all_gathers},
      {"broadcasts", "collectives", "kind=\"broadcast\",outcome=\"committed\"", &hawserStatusTotals_t::broadcasts},
      {"barriers", "collectives", "kind=\"barrier\",outcome=\"committed\"", &hawserStatusTotals_t::barriers},
      {"state_transfers", "collectives", "kind=\"state_transfer\",outcome=\"committed\"",
       &hawserStatusTotals_t::state_transfers},
      {"optimizations", "collectives", "kind=\"optimize\",outcome=\"committed\"", &hawserStatusTotals_t::optimizations},
      {"failed_by_loss", "collectives", "kind=\"any\",outcome=\"peer_lost\"", &hawserStatusTotals_t::failed_by_loss},
      {"failed_by_mismatch", "collectives", "kind=\"any\",outcome=\"mismatch\"",
       &hawserStatusTotals_t::failed_by_mismatch},
      {"failed_by_timeout", "collectives", "kind=\"any\",outcome=\"timeout\"",
       &hawserStatusTotals_t::failed_by_timeout},
      {"failed_otherwise", "collectives", "kind=\"any\",outcome=\"other_error\"",
       &hawserStatusTotals_t::failed_otherwise},
      {"reduced_bytes", "reduced_bytes", "", &hawserStatusTotals_t::reduced_bytes},
      {"joined", "members_joined", "", &hawserStatusTotals_t::joined},
      {"left", "members_gone", "reason=\"left\"", &hawserStatusTotals_t::left},
      {"lost", "members_gone", "reason=\"lost\"", &hawserStatusTotals_t::lost}};
  return rows;
}

std::string error_json(const std::string& why) {
  hawser::JsonWriter json;
  json.open().add("error", std::string_view(why)).close();
  return json.text();
}

std::string status_json(const StatusReport& report) {
  const hawserStatusInfo_t& info = report.info;
  hawser::JsonWriter json;
  json.open()
      .add("master", std::string_view(report.master))
      .add("run", std::string_view(hex(info.run)))
      .add("version", std::string_view(info.version))
      .add("protocol_version", std::uint64_t{info.protocol_version})
      .add("up_ms", info.up_ms)
      .add("world_size", std::uint64_t{info.world_size})
      .add("group_count", std::uint64_t{info.group_count})
      .add("in_update", std::uint64_t{info.in_update})
      .add("update_ms", info.update_ms)
      .add("has_keys", std::uint64_t{info.has_keys})
      .add("standby", std::uint64_t{info.standby})
      .add("waits", std::string_view(info.waits))
      .add("term", info.term)
      .open("totals");
  for (const TotalRow& row : total_rows()) json.add(row.name, report.totals.*row.value);
  json.close().open_list("groups");
  for (const hawserStatusGroup_t& group : report.groups) {
    json.open()
        .add("group", std::uint64_t{group.group})
        .add("epoch", group.epoch)
        .add("size", std::uint64_t{group.group_size})
        .add("mismatches", group.mismatches);
    if (group.mismatches > 0)
      json.add("last_mismatch", std::string_view(group.last_mismatch))
          .add("last_mismatch_age_ms", group.last_mismatch_age_ms);
    json.open_list("members");
    for (std::uint32_t i = 0; i < group.peers; ++i) {
      json.open().add("rank", std::uint64_t{i});
      add_peer(json, report.peers[group.first_peer + i]);
      json.close();
    }
    json.close_list().close();
  }
  json.close_list().open_list("pending");
  for (const hawserStatusPeer_t& peer : report.peers) {
    if (peer.member == 1) continue;
    json.open()
        .add("group", std::uint64_t{peer.group})
        .add("awaits", std::string_view(awaits_word(peer.awaits)));
    if (peer.waits_ms > 0) json.add("waits_ms", peer.waits_ms);
    add_peer(json, peer);
    json.close();
  }
  json.close_list().open_list("collectives");
  for (const StatusReport::Collective& one : report.collectives) add_collective(json, one);
  json.close_list().open_list("unreached");
  for (const hawserStatusUnreached_t& one : report.unreached) add_unreached(json, one);
  json.close_list();
  if (!report.matrices.empty()) add_matrices(json, report);
  json
      .add("peers_left_out", std::uint64_t{info.peers_left_out})
      .add("collectives_left_out", std::uint64_t{info.collectives_left_out})
      .close();
  return json.text();
}
