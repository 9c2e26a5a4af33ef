#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "engine/measured_network.hpp"
#include "engine/peer_engine_state.hpp"

/// What this member learns of its links from the traffic on them, and what it plans from.
namespace hawser {
namespace {

constexpr std::size_t kNetworksKept = 16;
/// Acknowledgements wait for company; and short ways hold little, while what comes in bursts has to be somewhere.
constexpr Duration kPaceSlackLeast = milliseconds(20);
constexpr Duration kPaceTimeLeast = milliseconds(60);

std::uint64_t nanoseconds(Duration time) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

std::uint64_t take_peak(topology::SteadyMeasure& steady, const PeakMeter& peak) {
  steady.take(peak.bytes_per_second());
  return steady.held();
}

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

/// Since when some link has had more to send than the network takes.
std::optional<Instant> PeerEngine::State::queued_since() const {
  std::optional<Instant> since;
  for (const auto& [peer, link] : links_)
    if (!link.schedule.is_held_back()) since = earlier(since, link.meter.queued_since());
  return since;
}

/// A measurement counts once, however many collectives end before the next one. True if traffic was seen since: what is
/// no news of the link, since it came near our own bound, passed at one time with the rest all the same.
bool PeerEngine::State::take_measures(Link& link) {
  link.steady_delay.take(nanoseconds(link.meter.round_trip()) / 2);
  const bool seen = std::exchange(link.sampled_at, link.meter.sampled_at()) != link.meter.sampled_at() &&
                    link.meter.source() == RateSource::traffic;
  if (link.meter.measured_at() == link.steady_at) return seen;
  link.steady_at = link.meter.measured_at();
  // Of the pair alone, or beside others: two quantities.
  if (std::exchange(link.steady_source, link.meter.source()) != link.meter.source()) link.steady_rate.begin_anew();
  link.steady_rate.take(link.meter.bytes_per_second());
  return seen;
}

/// Before the report of a collective, so that the next one can be planned from it. What is told is held still as long
/// as it may be noise: it is what all plan from.
void PeerEngine::State::tell_measures(Instant now, PeerActions& out) {
  const View& view = machine_.view();
  if (!config_.links.has_all_links(view.size())) return;
  std::set<PeerId> together;
  for (auto& [peer, link] : links_)
    if (take_measures(link)) together.insert(peer);
  if (!together.empty())
    for (auto& [peer, link] : links_) link.steady_together = together.contains(peer);
  LinkRow row;
  for (std::uint32_t rank = 0; rank < view.nodes(); ++rank) {
    const Link* const link = find_link(view.members[rank].id);
    if (link != nullptr && link->steady_together) row.together.push_back(rank);
    const RateSource source = link == nullptr ? RateSource::traffic : link->steady_source;
    if (source != RateSource::traffic) row.probed.push_back(rank);
    if (source == RateSource::probe_lower_bound) row.lower_bounds.push_back(rank);
    row.bytes_per_second.push_back(link == nullptr ? 0 : link->steady_rate.held());
    row.delay_ns.push_back(link == nullptr ? 0 : link->steady_delay.held());
  }
  add_detours(now, row);
  const auto known = [](std::uint64_t rate) { return rate > 0; };
  const bool says_nothing =
      row.detours.empty() && std::none_of(row.bytes_per_second.begin(), row.bytes_per_second.end(), known);
  if (says_nothing && announced_in_ != view.id) return;
  row.uplink_bytes_per_second = take_peak(steady_uplink_, uplink_);
  row.downlink_bytes_per_second = take_peak(steady_downlink_, downlink_);
  if (announced_in_ == view.id && announced_ == row) return;
  announced_in_ = view.id;
  announced_ = row;
  machine_.measured(std::move(row), out);
}

/// Links that have no way of their own.
void PeerEngine::State::add_detours(Instant now, LinkRow& row) {
  const View& view = machine_.view();
  for (std::uint32_t rank = 0; rank < view.nodes(); ++rank) {
    Link* const link = find_link(view.members[rank].id);
    const PeerId by = link == nullptr ? PeerId{} : link->way.told(now);
    if (by == PeerId{}) continue;
    row.detours.push_back({.to = rank, .by = view.rank_of(by).value_or(LinkDetour::kByAnyone)});
  }
}

void PeerEngine::State::on(Instant, const LinkSampled& event, EngineActions& out) {
  Link* const link = find_link(event.peer);
  if (link == nullptr || !link->metered) return;
  link->meter.round_trip(event.round_trip_least);
  const double before = link->pace_margin.value();
  const bool is_held_back = link->schedule.is_held_back();
  link->pace_margin.sample(event.round_trip, event.round_trip_least, is_held_back);
  const auto rank = machine_.view().rank_of(event.peer);
  if (link->pace_margin.value() == before || !rank) return;
  for (const auto& [key, op] : ops_) set_pace(key, op, *link, *rank);
  if (is_held_back && link->schedule.has_work()) out.emplace_back(WakeLink{event.peer});
}

/// What a collective may send over a link in a second; 0: no plan says.
double PeerEngine::State::paced_rate(const Op& op, const Link& link, std::uint32_t rank) const {
  const double predicted = op.execution->predicted_seconds();
  if (predicted <= 0) return 0;
  // A prediction has a round trip for the sums and the results, in which no bandwidth is used.
  const double moving = std::max(predicted - seconds_of(link.meter.round_trip()), predicted / 10);
  return link.pace_margin.value() * static_cast<double>(op.execution->paced_bytes(rank)) / moving;
}

/// How much of a collective may be under way on a link: what passes in a round trip at the rate that the plan gives
/// the link, times a margin that follows what the round trips say. Without it everybody
/// would send as fast as its own access allows to whoever is ready first, and a queue before that one's access would
/// hold up the data of all (as bounds for receivers in Homa, Montazeri et al. 2018, but from the plan).
void PeerEngine::State::set_pace(const OpKey& key, const Op& op, Link& link, std::uint32_t rank) {
  if (!link.metered) return;
  set_bound(link, rank);
  if (op.execution->predicted_seconds() <= 0) return;
  const double round_trip = seconds_of(link.meter.round_trip());
  const double held = std::max(round_trip + seconds_of(kPaceSlackLeast), seconds_of(kPaceTimeLeast));
  link.schedule.set_pace(key, static_cast<std::size_t>(paced_rate(op, link, rank) * held) + 1);
}

/// Of all collectives under way together; what no plan bounds may take all that there is.
void PeerEngine::State::set_bound(Link& link, std::uint32_t rank) {
  double rate = 0;
  for (const auto& [key, op] : ops_) {
    if (op.execution->predicted_seconds() <= 0) return link.meter.bound(0);
    rate += paced_rate(op, link, rank);
  }
  link.meter.bound(static_cast<std::uint64_t>(rate));
}

/// After a collective has ended: the others' bounds stay.
void PeerEngine::State::set_bounds() {
  if (ops_.empty()) return;
  for (auto& [peer, link] : links_) {
    const auto rank = machine_.view().rank_of(peer);
    if (rank && link.metered) set_bound(link, *rank);
  }
}

void PeerEngine::State::mark_flows(Op& op) const {
  for (const auto& [peer, link] : links_) op.arrived_at_report[peer] = link.schedule.chunk_bytes_arrived();
}

/// Links that delivered less than the plan counts on since the master was last told, though data of the collective
/// waited for them nearly all that time. What they delivered for other collectives counts for them.
std::vector<Flow> PeerEngine::State::slow_flows(Instant now, const OpKey& key, const Op& op) const {
  std::vector<Flow> flows;
  const double predicted = op.execution->predicted_seconds();
  if (predicted <= 0) return flows;
  for (const auto& [peer, link] : links_) {
    const auto rank = machine_.view().rank_of(peer);
    const auto queued = link.meter.queued_since();
    const auto before = op.arrived_at_report.find(peer);
    if (!rank || !link.metered || !queued || *queued > op.reported + (now - op.reported) / 4 ||
        before == op.arrived_at_report.end() || !link.schedule.owes(key))
      continue;
    const double expected = static_cast<double>(op.execution->planned_bytes(*rank)) / predicted *
                            seconds_of(now - std::max(*queued, op.reported));
    const auto delivered = static_cast<double>(link.schedule.chunk_bytes_arrived() - before->second);
    if (delivered < expected)
      flows.push_back({.to = peer, .percent = static_cast<std::uint32_t>(100 * delivered / expected)});
  }
  return flows;
}

std::shared_ptr<const Network> PeerEngine::State::network_of(const PlanBasis& basis, EngineActions& out) {
  if (basis.measures == nullptr) return nullptr;
  if (const auto found = networks_.find(basis.version); found != networks_.end()) return found->second;
  const View& view = machine_.view();
  const bool has_relays = view.relays() > 0;
  topology::Matrix matrix =
      matrix_of(has_relays ? without_relays(*basis.measures, view.size()) : *basis.measures);
  if (planted(PlantedFault::ignored_detour) && machine_.view().rank_of(machine_.self()) == 0U)
    for (topology::PairMeasure& pair : matrix.pairs) pair.through = topology::kStraight;
  topology::Matrix nodes;
  if (has_relays) nodes = matrix_with_relays(matrix, *basis.measures, view);
  auto made = make_network(matrix, has_relays ? &nodes : nullptr);
  if (!made.ok()) {
    // The same messages came to all members: all plan as if nothing were known.
    out.emplace_back(LogEvent{LogLevel::warning, "odd-measures", made.error().sentence});
    return nullptr;
  }
  if (*made != nullptr && (*made)->estimates.avoids_pairs())
    out.emplace_back(LogEvent{LogLevel::debug, "plans-around",
                              "plans do without the pairs that have no ways of their own: " +
                                  std::to_string((*made)->estimates.missing_pairs())});
  networks_[basis.version] = *made;
  if (networks_.size() > kNetworksKept) networks_.erase(networks_.begin());
  return *made;
}

}  // namespace hawser
