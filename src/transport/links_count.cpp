/// How many connections a link has: looked at ten times a second while links that this side dials are in use.
#include <algorithm>

#include "transport/links_state.hpp"

namespace hawser::transport {
namespace {

constexpr std::chrono::milliseconds kInterval(100);

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
  const Instant now(std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()));
  bool in_use = false;
  std::vector<std::pair<PeerId, std::uint32_t>> changed;
  for (const auto& [peer, link] : links_) {
    if (!link->count) continue;
    LinkSample sample{.is_full = true, .round_trip = {}, .round_trip_least = {}, .repeated_permille = 0};
    int standing = 0;
    std::uint64_t sent = 0;
    std::uint64_t repeated = 0;
    for (const auto& slot : link->slots) {
      if (!slot->standing) continue;
      sample.is_full = sample.is_full && slot->standing->is_full();
      const TcpState state = slot->standing->tcp_state();
      sample.round_trip += state.round_trip;
      sample.round_trip_least = ++standing == 1 ? state.round_trip_least
                                                : std::min(sample.round_trip_least, state.round_trip_least);
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
    if (standing == 0 || static_cast<std::size_t>(standing) < link->slots.size()) continue;
    sample.round_trip /= standing;
    in_use = in_use || sample.is_full;
    const std::uint32_t before = link->count->wanted();
    const std::uint32_t wanted = link->count->sample(now, sample);
    if (wanted == before) continue;
    log(LogLevel::info, wanted > before ? "connections-added" : "connections-taken",
        "the link to " + link->target.name + " gets " + std::to_string(wanted) + " connections: " +
            std::to_string(before) + (wanted > before ? " do not fill it" : " overflow a queue on the way"));
    changed.emplace_back(peer, wanted);
  }
  for (const auto& [peer, wanted] : changed) resize(peer, wanted);
  if (in_use) arm_count();
}

void Links::resize(PeerId peer, std::uint32_t connections) {
  Link* const kept = find(peer);
  if (kept == nullptr || !kept->target.dial) return;
  dial_up_to(*kept, connections);
  for (Link* link = find(peer); link != nullptr && link->slots.size() > connections; link = find(peer)) {
    const std::shared_ptr<Slot> slot = link->slots.back();
    link->slots.pop_back();
    slot->link = nullptr;
    stop_attempt(*slot);
    if (!slot->standing) continue;
    slot->standing->close();
    slot->standing.reset();
    traffic_.link_down({peer, slot->index}, "one connection less is enough");
  }
}

}  // namespace hawser::transport
