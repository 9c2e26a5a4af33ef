/// How many connections a link has, and how much may wait in them: looked at ten times a second while links between
/// hosts are in use.
#include <algorithm>

#include "transport/links_state.hpp"

namespace hawser::transport {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr std::size_t kUnsentBytesMin = 16 << 10;

/// What waits in a slow connection's queue is stuck there, while its sisters could carry it: a quarter of what is
/// under way keeps it busy.
void fit_queue(DataConnection& connection, const TcpState& state) {
  if (state.window_bytes == 0) return;
  const auto quarter = static_cast<std::size_t>(state.window_bytes / 4);
  connection.keep_queue_short(std::clamp(quarter, kUnsentBytesMin, kUnsentBytesMax));
}

}  // namespace

void Links::arm_count() {
  if (is_counting_) return;
  is_counting_ = true;
  counting_.expires_after(kInterval);
  counting_.async_wait([this](const std::error_code& error) {
    if (error) return;
    is_counting_ = false;
    count();
    traffic_.settle();
  });
}

/// As long as some link is full; wake() begins anew.
void Links::count() {
  const Instant now = instant_now();
  bool in_use = false;
  std::vector<std::pair<PeerId, std::uint32_t>> changed;
  for (const auto& [peer, link] : links_) {
    if (!link->between_hosts) continue;
    LinkSample sample{.is_full = true, .round_trip = {}, .round_trip_least = {}};
    int standing = 0;
    std::uint64_t sent = 0;
    std::uint64_t repeated = 0;
    for (const auto& slot : link->slots) {
      if (!slot->standing) continue;
      sample.is_full = sample.is_full && slot->standing->is_full();
      const TcpState state = slot->standing->tcp_state();
      fit_queue(*slot->standing, state);
      sample.round_trip += state.round_trip;
      sample.round_trip_least = ++standing == 1 ? state.round_trip_least
                                                : std::min(sample.round_trip_least, state.round_trip_least);
      sample.window_bytes += state.window_bytes;
      sent += state.segments_sent;
      repeated += state.segments_repeated;
    }
    // Fewer than before: connections were replaced.
    if (sent > link->segments_sent && repeated >= link->segments_repeated)
      sample.repeated_permille =
          static_cast<std::uint32_t>(1000 * (repeated - link->segments_repeated) / (sent - link->segments_sent));
    link->segments_sent = sent;
    link->segments_repeated = repeated;
    // While some are being dialled, those that stand say nothing about the number.
    if (standing == 0 || (link->dials() && static_cast<std::size_t>(standing) < link->slots.size())) continue;
    sample.round_trip /= standing;
    if (sample.round_trip_least > Duration{}) traffic_.link_sampled(peer, sample.round_trip, sample.round_trip_least);
    in_use = in_use || sample.is_full;
    if (!link->count || link->widened) continue;
    // The dialling side decides in the end: what this one asked for may not have come to be.
    if (!link->dials() && !link->count->is_settling(now) &&
        link->count->wanted() != static_cast<std::uint32_t>(standing))
      link->count->follow(now, static_cast<std::uint32_t>(standing));
    const std::uint32_t before = link->count->wanted();
    const std::uint32_t wanted = link->count->sample(now, sample);
    if (wanted == before) continue;
    log(LogLevel::info, wanted > before ? "connections-added" : "connections-taken",
        "the link to " + link->target.name + " gets " + std::to_string(wanted) + " connections: " +
            std::to_string(before) + (wanted > before ? " do not fill it" : " overflow a queue on the way"));
    changed.emplace_back(peer, wanted);
  }
  for (const auto& [peer, wanted] : changed) {
    const Link* const link = find(peer);
    if (link == nullptr) continue;
    if (link->dials())
      resize(peer, wanted);
    else
      ask(peer, wanted);
  }
  if (in_use) arm_count();
}

void Links::ask(PeerId peer, std::uint32_t connections) {
  const Link* const link = find(peer);
  if (link == nullptr) return;
  for (const auto& slot : link->slots)
    if (const auto connection = slot->standing) return connection->ask_connections(connections);
}

/// The accepting side sees its own direction: losses there are no business of ours, but its lack of connections is.
void Links::asked(const std::shared_ptr<Slot>& slot, std::uint64_t connections) {
  if (slot->link == nullptr || !slot->link->dials() || config_.connections_per_link != 0) return;
  Link& link = *slot->link;
  if (link.widened) return;
  if (!link.count) link.count.emplace(static_cast<std::uint32_t>(link.slots.size()));
  const Instant now = instant_now();
  const auto wanted = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(connections, limits::kConnectionsPerLinkMax));
  const std::uint32_t before = link.count->wanted();
  if (link.count->asked(now, wanted) != before) resize(link.target.peer, link.count->wanted());
}

void Links::widen(PeerId peer, std::uint32_t connections) {
  Link* const link = find(peer);
  if (link == nullptr || !link->dials() || !link->count || config_.connections_per_link != 0) return;
  link->widened = connections != 0;
  if (link->widened)
    dial_up_to(*link, std::min(connections, limits::kConnectionsPerLinkMax));
  else
    resize(peer, link->count->wanted());
}

void Links::resize(PeerId peer, std::uint32_t connections) {
  Link* const kept = find(peer);
  if (kept == nullptr || !kept->dials()) return;
  dial_up_to(*kept, connections);
  for (Link* link = find(peer); link != nullptr && link->slots.size() > connections; link = find(peer)) {
    const std::shared_ptr<Slot> slot = link->slots.back();
    link->slots.pop_back();
    slot->link = nullptr;
    stop_attempt(*slot);
    if (!slot->standing) continue;
    slot->standing->close();
    slot->standing.reset();
    traffic_.link_down({peer, slot->index}, slot->incarnation, "one connection less is enough");
  }
}

}  // namespace hawser::transport
