#include <algorithm>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// What members measure of their links is put together here and told to all, so that all plan alike. A version
/// is named by the message that commits a collective: who has it plans the next collective of the tag from that
/// version, and nobody can begin that one without the message. So a plan changes between two collectives, for all at
/// once.
namespace hawser {
namespace {

/// Twice as long after each publication in a view: plans settle, and there is something to gain early.
constexpr Duration kPauseFirst = milliseconds(100);
constexpr Duration kPauseMax = seconds(2);
constexpr Duration kPauseMaxOfMany = seconds(30);
constexpr std::uint32_t kMany = 17;  ///< Members: what is told grows with the cube of them.
constexpr std::size_t kPublishedKept = 8;
/// Shorter ones are alike to plans.
constexpr std::uint64_t kDelayOfInterestNs = 1'000'000;

}  // namespace

void MasterMachine::State::said(Instant, PeerId peer, const Measured& message, MasterActions& out) {
  Group* const group = group_of(peer);
  if (!group || message.view != group->view.id) return;
  const View& view = group->view;
  const LinkRow& row = message.row;
  HAWSER_ASSERT(!planted(PlantedFault::fatal_message) || row.bytes_per_second.size() == view.nodes());
  if (row.bytes_per_second.size() != view.nodes() || row.delay_ns.size() != view.nodes()) {
    out.emplace_back(LogEvent{LogLevel::warning, "odd-measures", name_of(peer) + " measured links of another view"});
    return;
  }
  Peer& from = peers_.at(peer);
  from.measured.clear();
  for (std::size_t rank = 0; rank < view.nodes(); ++rank)
    from.measured[view.members[rank].id] = {.bytes_per_second = row.bytes_per_second[rank],
                                            .delay_ns = row.delay_ns[rank]};
  for (const std::uint32_t rank : row.probed) from.measured[view.members[rank].id].is_probed = true;
  for (const std::uint32_t rank : row.lower_bounds) from.measured[view.members[rank].id].is_lower_bound = true;
  for (const std::uint32_t rank : row.together) from.measured[view.members[rank].id].is_together = true;
  for (const LinkDetour& detour : row.detours)
    from.measured[view.members[detour.to].id].by = detour.by < view.nodes() ? view.members[detour.by].id : PeerId{};
  from.uplink = row.uplink_bytes_per_second;
  from.downlink = row.downlink_bytes_per_second;
  group->measuring.changed = true;
}

/// A view has begun. What its members have measured before is published with it, and what handshakes have shown of new
/// links: its first call is planned from that. In a large group it is published with the first commit, unless members
/// know of pairs that have no way of their own.
void MasterMachine::State::begin_measuring(Group& group) {
  group.measuring = {};
  group.measuring.pause = kPauseFirst;
  group.measuring.changed = std::any_of(group.view.members.begin(), group.view.members.end(),
                                        [&](const Member& member) { return !peers_.at(member.id).measured.empty(); });
  const auto some_link = [&](const auto& tells) {
    return std::any_of(group.view.members.begin(), group.view.members.end(), [&](const Member& member) {
      const auto& measured = peers_.at(member.id).measured;
      return std::any_of(measured.begin(), measured.end(), [&](const auto& one) {
        return tells(one.second) && group.view.find(one.first) != nullptr;
      });
    });
  };
  const bool has_detours = some_link([](const MeasuredLink& link) { return link.by.has_value(); });
  const bool tells_much = group.view.size() < kMany && some_link([](const MeasuredLink& link) {
                            return link.bytes_per_second > 0 || link.delay_ns >= kDelayOfInterestNs;
                          });
  if (!(has_detours || tells_much) || !config_.links.has_all_links(group.view.size())) return;
  group.measuring.at_start = measures_of(group);
  group.measuring.at_update = group.measuring.version;
  group.measuring.changed = false;
  group.measuring.published.push_back(*group.measuring.at_start);
}

void MasterMachine::State::publish_measures(Instant now, Group& group, MasterActions& out) {
  Measuring& measuring = group.measuring;
  if (!measuring.changed || now < measuring.publish_at || !config_.links.has_all_links(group.view.size())) return;
  Measures measures = measures_of(group);
  tell_all(group.view.members, measures, out);
  out.emplace_back(LogEvent{LogLevel::debug, "measures-published", "version " + std::to_string(measuring.version)});
  measuring.changed = false;
  measuring.published_at = now;
  measuring.publish_at = now + measuring.pause;
  measuring.pause = std::min(2 * measuring.pause, group.view.size() < kMany ? kPauseMax : kPauseMaxOfMany);
  measuring.published.push_back(std::move(measures));
  if (measuring.published.size() > kPublishedKept) measuring.published.pop_front();
}

/// What its members know, under a new version.
Measures MasterMachine::State::measures_of(Group& group) {
  Measuring& measuring = group.measuring;
  Measures measures{.view = group.view.id, .version = ++measuring.version, .rows = {}};
  for (const Member& member : group.view.members) {
    const Peer& from = peers_.at(member.id);
    LinkRow& row = measures.rows.emplace_back();
    if (from.measured.empty()) continue;
    for (std::uint32_t to = 0; to < group.view.nodes(); ++to) {
      const auto found = from.measured.find(group.view.members[to].id);
      const MeasuredLink known = found == from.measured.end() ? MeasuredLink{} : found->second;
      row.bytes_per_second.push_back(known.bytes_per_second);
      row.delay_ns.push_back(known.delay_ns);
      if (known.is_probed) row.probed.push_back(to);
      if (known.is_lower_bound) row.lower_bounds.push_back(to);
      if (known.is_together) row.together.push_back(to);
      if (known.by)
        row.detours.push_back({.to = to, .by = group.view.rank_of(*known.by).value_or(LinkDetour::kByAnyone)});
    }
    row.uplink_bytes_per_second = from.uplink;
    row.downlink_bytes_per_second = from.downlink;
  }
  return measures;
}

}  // namespace hawser
