/// How many connections a link has, and how much may wait in them: looked at ten times a second while links between
/// machines are in use.
#include <algorithm>

#include "base/limits.hpp"
#include "links/link_table.hpp"

namespace hawser::links {
namespace {

constexpr Duration kInterval = milliseconds(100);
constexpr std::size_t kUnsentBytesMin = 16 << 10;

}  // namespace

/// What the samples of one link's connections come to.
struct LinkTable::LinkSum {
  LinkSample sample{.is_full = true, .round_trip = {}, .round_trip_least = {}};
  std::uint32_t connections = 0;
  std::uint64_t sent = 0;
  std::uint64_t repeated = 0;
  std::uint64_t delivered = 0;
  std::uint32_t fill_alone = 0;  ///< So many of them.
};

void LinkTable::used(Instant now) {
  if (!sample_at_) sample_at_ = now + kInterval;
}

void LinkTable::take_samples(Actions& out) {
  sample_at_.reset();
  TakeSamples wanted;
  for (const auto& [peer, link] : links_) {
    if (!link.between_machines) continue;
    for (const Slot& slot : link.slots)
      if (slot.established != SocketId{}) wanted.sockets.push_back(slot.established);
  }
  for (const auto& [socket, joined] : joined_) wanted.sockets.push_back(socket);
  if (!wanted.sockets.empty()) out.emplace_back(std::move(wanted));
}

void LinkTable::add_sample(std::map<PeerId, LinkSum>& sums, const ConnectionSample& one, Actions& out) {
  const auto at = sockets_.find(one.socket);
  if (at == sockets_.end() || established(at->second) != one.socket) return;
  LinkSum& sum = sums[at->second.peer];
  const TcpState& state = one.state;
  // What waits in a slow connection's queue is stuck there, while its sisters could carry it: a quarter of what is
  // under way keeps it busy.
  if (state.window_bytes != 0)
    out.emplace_back(LimitQueue{one.socket, std::clamp(static_cast<std::size_t>(state.window_bytes / 4),
                                                       kUnsentBytesMin, kUnsentBytesMax)});
  sum.sample.is_full = sum.sample.is_full && one.is_full;
  sum.sample.round_trip += state.round_trip;
  sum.sample.round_trip_least = ++sum.connections == 1
                                    ? state.round_trip_least
                                    : std::min(sum.sample.round_trip_least, state.round_trip_least);
  sum.sample.window_bytes += state.window_bytes;
  sum.sent += state.segments_sent;
  sum.repeated += state.segments_repeated;
  sum.delivered += state.segments_delivered;
  sum.fill_alone += state.fills_alone ? 1 : 0;
}

/// As long as some link is full; used() begins anew.
void LinkTable::sampled(Instant now, std::span<const ConnectionSample> samples, Actions& out) {
  std::map<PeerId, LinkSum> sums;
  bool in_use = false;
  std::vector<SocketId> stuck;
  for (const ConnectionSample& one : samples) {
    if (Progress* const progress = progress_of(one.socket)) {
      in_use = progress->look(now, one.state) || in_use;
      if (progress->is_stuck(now, one.state.round_trip)) stuck.push_back(one.socket);
    }
    add_sample(sums, one, out);
  }
  std::vector<std::pair<PeerId, std::uint32_t>> changed;
  for (const auto& [peer, sum] : sums)
    if (const auto wanted = judge_count(now, links_.at(peer), sum, in_use, out)) changed.emplace_back(peer, *wanted);
  for (const auto& [peer, wanted] : changed) {
    if (links_.at(peer).dials())
      resize(now, peer, wanted, out);
    else
      ask(peer, wanted, out);
  }
  for (const SocketId socket : stuck) give_up_stuck(now, socket, out);
  if (in_use) used(now);
}

/// The number of connections that the link shall have, if that is another than before.
std::optional<std::uint32_t> LinkTable::judge_count(Instant now, Link& link, LinkSum sum, bool& in_use, Actions& out) {
  LinkSample& sample = sum.sample;
  // Fewer than before: connections were replaced.
  if (sum.sent > link.segments_sent && sum.repeated >= link.segments_repeated) {
    sample.segments_sent = sum.sent - link.segments_sent;
    sample.segments_repeated = sum.repeated - link.segments_repeated;
  }
  if (sum.delivered > link.segments_delivered) sample.segments_delivered = sum.delivered - link.segments_delivered;
  link.segments_sent = sum.sent;
  link.segments_repeated = sum.repeated;
  link.segments_delivered = sum.delivered;
  // While some are being dialled, those that are established say nothing about the number.
  if (link.dials() && sum.connections < link.slots.size()) return std::nullopt;
  sample.round_trip /= static_cast<Duration::rep>(sum.connections);
  // The system knows the way to a go-between only.
  if (link.is_through) {
    sample.round_trip = std::max(sample.round_trip, link.round_trip);
    sample.round_trip_least = std::max(sample.round_trip_least, link.round_trip);
  }
  if (sample.round_trip_least > Duration{})
    out.emplace_back(RoundTrips{link.target.peer, sample.round_trip, sample.round_trip_least});
  in_use = in_use || sample.is_full;
  // What a probe with many connections overflows is not the way's loss.
  if (!link.is_widened && sum.fill_alone < sum.connections && link.losses.sample(sample)) use_bbr(link, out);
  if (!link.count || link.is_widened || link.is_single()) return std::nullopt;
  // The dialling side decides in the end: what this one asked for may not have come to be.
  if (!link.dials() && !link.count->is_settling(now) && link.count->wanted() != sum.connections)
    link.count->follow(now, sum.connections);
  const std::uint32_t before = link.count->wanted();
  // The accepting side adds none, and takes none away: the other direction may need them, without BBR.
  if (sum.fill_alone == sum.connections) link.count->fill_with_few(link.dials());
  const std::uint32_t wanted = link.count->sample(now, sample);
  if (wanted == before) return std::nullopt;
  const char* const why = wanted > before                     ? " do not fill it"
                          : sum.fill_alone == sum.connections ? " are not needed with BBR"
                                                              : " overflow a queue on the way";
  out.emplace_back(LogEvent{LogLevel::info, wanted > before ? "connections-added" : "connections-taken",
                            "the link to " + link.target.name + " gets " + std::to_string(wanted) + " connections: " +
                                std::to_string(before) + why});
  return wanted;
}

/// In the direction of this side: the other side has its own samples.
void LinkTable::use_bbr(Link& link, Actions& out) {
  if (!config_.may_use_bbr || std::exchange(link.uses_bbr, true)) return;
  out.emplace_back(LogEvent{LogLevel::info, "bbr-chosen",
                            "the link to " + link.target.name + " loses segments though no queue stands on its way: "
                            "BBR sends there from now on"});
  for (const Slot& slot : link.slots)
    if (slot.established != SocketId{}) out.emplace_back(UseBbr{slot.established});
}

void LinkTable::ask(PeerId peer, std::uint32_t connections, Actions& out) {
  const Link* const link = find(peer);
  if (link == nullptr) return;
  for (const Slot& slot : link->slots)
    if (slot.established != SocketId{}) return out.emplace_back(AskConnections{slot.established, connections}), void();
}

/// The accepting side sees its own direction: losses there are no business of this side, but its lack of connections
/// is.
void LinkTable::asked(Instant now, SocketId socket, std::uint64_t connections, Actions& out) {
  const auto at = sockets_.find(socket);
  if (at == sockets_.end() || established(at->second) != socket) return;
  Link& link = *find(at->second.peer);
  if (!link.dials() || config_.connections_per_link != 0 || link.is_widened || link.is_single()) return;
  if (!link.count) link.count.emplace(static_cast<std::uint32_t>(link.slots.size()));
  const auto wanted =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(connections, limits::kConnectionsPerLinkMax));
  const std::uint32_t before = link.count->wanted();
  if (link.count->asked(now, wanted) != before) resize(now, link.target.peer, link.count->wanted(), out);
}

void LinkTable::widen(Instant now, PeerId peer, std::uint32_t connections, Actions& out) {
  Link* const link = find(peer);
  if (link == nullptr || !link->dials() || !link->count || link->is_single() || config_.connections_per_link != 0)
    return;
  link->is_widened = connections != 0;
  if (!link->is_widened) return resize(now, peer, link->count->wanted(), out);
  dial_up_to(*link, std::min(connections, limits::kConnectionsPerLinkMax), out);
  arm(now, *link);
}

void LinkTable::resize(Instant now, PeerId peer, std::uint32_t connections, Actions& out) {
  Link* const link = find(peer);
  if (link == nullptr || !link->dials() || link->is_single()) return;
  connections = std::clamp<std::uint32_t>(connections, 1, limits::kConnectionsPerLinkMax);
  dial_up_to(*link, connections, out);
  while (link->slots.size() > connections) {
    close_slot(*link, static_cast<std::uint32_t>(link->slots.size() - 1), "one connection less is enough", out);
    link->slots.pop_back();
  }
  // What is left may still be dialled.
  if (!link->has_connection()) all_down(now, *link);
  arm(now, *link);
}

}  // namespace hawser::links
