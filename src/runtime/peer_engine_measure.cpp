#include <algorithm>

#include "base/limits.hpp"
#include "runtime/measured_network.hpp"
#include "runtime/peer_engine_state.hpp"

/// What this member learns of its links from the traffic on them, and what it plans from.
namespace hawser {
namespace {

constexpr std::size_t kNetworksKept = 16;
/// What is told differs from what was told by at least a quarter: noise is not worth a new plan.
constexpr double kChange = 1.25;

bool changed(std::uint64_t told, std::uint64_t measured) {
  const auto a = static_cast<double>(told);
  const auto b = static_cast<double>(measured);
  return b > a * kChange || b * kChange < a;
}

bool changed(const LinkRow& told, const LinkRow& measured) {
  const auto differs = [](std::uint64_t a, std::uint64_t b) { return changed(a, b); };
  return !std::equal(told.bytes_per_second.begin(), told.bytes_per_second.end(), measured.bytes_per_second.begin(),
                     measured.bytes_per_second.end(), [&](auto a, auto b) { return !differs(a, b); }) ||
         !std::equal(told.delay_ns.begin(), told.delay_ns.end(), measured.delay_ns.begin(), measured.delay_ns.end(),
                     [&](auto a, auto b) { return !differs(a, b); }) ||
         changed(told.uplink_bytes_per_second, measured.uplink_bytes_per_second) ||
         changed(told.downlink_bytes_per_second, measured.downlink_bytes_per_second);
}

std::uint64_t nanoseconds(Duration time) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

}  // namespace

/// Since when some link has had more to send than it takes.
std::optional<Instant> PeerEngine::State::queued_since() const {
  std::optional<Instant> since;
  for (const auto& [peer, link] : links_) since = earlier(since, link.meter.queued_since());
  return since;
}

/// Before the report of a collective, so that the next one can be planned from it.
void PeerEngine::State::tell_measures(PeerActions& out) {
  const View& view = machine_.view();
  if (view.size() > limits::kMeasuredGroupMax) return;
  LinkRow row;
  for (const Member& member : view.members) {
    const Link* const link = find_link(member.id);
    row.bytes_per_second.push_back(link == nullptr ? 0 : link->meter.bytes_per_second());
    row.delay_ns.push_back(link == nullptr ? 0 : nanoseconds(link->meter.round_trip()) / 2);
  }
  const auto known = [](std::uint64_t rate) { return rate > 0; };
  if (std::none_of(row.bytes_per_second.begin(), row.bytes_per_second.end(), known)) return;
  row.uplink_bytes_per_second = uplink_.bytes_per_second();
  row.downlink_bytes_per_second = downlink_.bytes_per_second();
  if (told_in_ == view.id && !changed(told_, row)) return;
  told_in_ = view.id;
  told_ = row;
  machine_.measured(std::move(row), out);
}

std::shared_ptr<const Network> PeerEngine::State::network_of(const PlanBasis& basis, EngineActions& out) {
  if (basis.measures == nullptr) return nullptr;
  if (const auto found = networks_.find(basis.version); found != networks_.end()) return found->second;
  auto made = make_network(matrix_of(*basis.measures));
  if (!made.ok()) {
    // The same words came to all members: all plan as if nothing were known.
    out.emplace_back(LogEvent{LogLevel::warning, "odd-measures", made.error().sentence});
    return nullptr;
  }
  networks_[basis.version] = *made;
  if (networks_.size() > kNetworksKept) networks_.erase(networks_.begin());
  return *made;
}

}  // namespace hawser
