#include "wan/network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/assert.hpp"

namespace hawser::wan {
namespace {

constexpr std::uint64_t kSeedFactor = 0x9e3779b97f4a7c15ULL;

/// In (0, 1], so that its logarithm is finite.
double unit(Random& random) { return (static_cast<double>(random.next() >> 11) + 1) / 9007199254740992.0; }

}  // namespace

Network::Network(const Spec& spec, Instant start) : spec_(spec), addresses_(spec), now_(start) {
  build_routes();
  for (const HostAddresses::Box& box : addresses_.boxes())
    nats_.emplace_back(NatTranslation::Config{.kind = spec_.nats[box.kind].kind,
                                              .outer_address = box.outer,
                                              .forward_to = addresses_.inside(box.first),
                                              .seed = spec_.seed * kSeedFactor + nats_.size()});
  for (std::uint32_t i = 0; i < spec_.events.size(); ++i)
    schedule({.due = start + spec_.events[i].at, .kind = Happening::Kind::event, .index = i});
}

Network::BottleneckIndex Network::add_bottleneck(std::string name, const Bottleneck::Config& config) {
  bottlenecks_.emplace_back(config);
  names_.push_back(std::move(name));
  tail_drops_.push_back(0);
  outages_.push_back(false);
  starting_.push_back(false);
  return static_cast<BottleneckIndex>(bottlenecks_.size() - 1);
}

void Network::build_routes() {
  const HostIndex hosts = spec_.host_count();
  for (HostIndex i = 0; i < hosts; ++i) {
    const HostSpec& host = spec_.hosts[i];
    const std::string name = "host " + std::to_string(i);
    add_bottleneck(name + " up", {.bits_per_s = host.up_bits_per_s, .queue_bytes = host.up_queue_bytes});
    add_bottleneck(name + " down",
                   {.bits_per_s = host.down_bits_per_s, .queue_bytes = host.down_queue_bytes});
  }
  for (const CableSpec& cable : spec_.cables)
    for (const char* direction : {" there", " back"})
      add_bottleneck("cable " + cable.name + direction,
                     {.bits_per_s = cable.bits_per_s, .queue_bytes = cable.queue_bytes});
  for (HostIndex from = 0; from < hosts; ++from)
    for (HostIndex to = 0; to < hosts; ++to) {
      Path path{.spec = spec_.path(from, to), .route = {2 * from}};
      if (path.spec.bits_per_s != 0)
        path.route.push_back(
            add_bottleneck("pair " + std::to_string(from) + " -> " + std::to_string(to),
                           {.bits_per_s = path.spec.bits_per_s, .queue_bytes = path.spec.queue_bytes}));
      if (const auto& use = path.spec.cable)
        path.route.push_back(2 * hosts + 2 * use->cable + (use->direction == Direction::back ? 1 : 0));
      path.route.push_back(2 * to + 1);
      path.random = Random(spec_.seed * kSeedFactor + from * kHostsMax + to);
      draw_next_loss(path);
      paths_.push_back(std::move(path));
    }
}

// How many segments pass before the next is lost is geometrically distributed: one draw per loss and not per
// segment.
void Network::draw_next_loss(Path& path) {
  path.segments_until_loss = std::numeric_limits<std::uint64_t>::max();
  if (path.spec.loss <= 0) return;
  const double passing = std::floor(std::log(unit(path.random)) / std::log1p(-path.spec.loss));
  if (passing < 1e18) path.segments_until_loss = static_cast<std::uint64_t>(passing);
}

bool Network::later(const Happening& a, const Happening& b) {
  return a.due != b.due ? a.due > b.due : a.order > b.order;
}

void Network::schedule(Happening happening) {
  happening.order = ordered_++;
  heap_.push_back(std::move(happening));
  std::ranges::push_heap(heap_, later);
}

std::optional<Instant> Network::next_deadline() const {
  if (!deliveries_.empty()) return std::chrono::floor<Duration>(now_);
  if (heap_.empty()) return std::nullopt;
  return std::chrono::ceil<Duration>(heap_.front().due);
}

void Network::enqueue(Instant now, Packet packet) {
  HAWSER_ASSERT(packet.from < spec_.host_count());
  run_until(now);
  const auto segments = packet.segments();
  tally_.entered += segments;
  switch (leave_home(now, packet)) {
    case Way::open: break;
    case Way::stopped: tally_.dropped_nat += segments; return;
    case Way::nowhere: tally_.dropped_nowhere += segments; return;
  }
  auto shared = std::make_shared<const Packet>(std::move(packet));
  arrive(now_, {.parcel = {.packet = std::move(shared), .first = 0, .count = segments}, .stage = 0});
}

std::vector<Delivery> Network::advance(Instant now) {
  run_until(now);
  return std::exchange(deliveries_, {});
}

// In the order of time, as of the times when things were due: a late caller costs delay and no rate.
void Network::run_until(FineInstant now) {
  while (!heap_.empty() && heap_.front().due <= now) {
    std::ranges::pop_heap(heap_, later);
    Happening happening = std::move(heap_.back());
    heap_.pop_back();
    now_ = std::max(now_, happening.due);
    run(std::move(happening));
  }
  now_ = std::max(now_, now);
}

void Network::run(Happening happening) {
  switch (happening.kind) {
    case Happening::Kind::wire_free:
      starting_[happening.index] = false;
      return start_if_free(now_, happening.index);
    case Happening::Kind::arrival:
      if (happening.waiting.stage == path_of(*happening.waiting.parcel.packet).route.size())
        return deliver(now_, std::move(happening.waiting.parcel));
      return arrive(now_, std::move(happening.waiting));
    case Happening::Kind::event: return apply(now_, spec_.events[happening.index]);
  }
}

bool Network::cut_off(const Packet& packet) const {
  const Path& path = paths_[packet.from * spec_.hosts.size() + packet.to];
  if (path.outage) return true;
  const std::uint32_t largest = packet.header_bytes + std::min(packet.payload_bytes, packet.segment_payload_bytes);
  if (path.passes_bytes != 0 && largest > path.passes_bytes) return true;
  if (!partition_ || packet.from == packet.to) return false;
  const auto& part = partition_->part_of_host;
  return !part[packet.from] || part[packet.from] != part[packet.to];
}

void Network::arrive(FineInstant now, Bottleneck::Waiting waiting) {
  const BottleneckIndex index = path_of(*waiting.parcel.packet).route[waiting.stage];
  const std::uint32_t count = waiting.parcel.count;
  if (outages_[index]) {
    tally_.dropped_outage += count;
    return;
  }
  const std::uint32_t dropped = count - bottlenecks_[index].offer(now, waiting);
  tally_.dropped_queue += dropped;
  tail_drops_[index] += dropped;
  start_if_free(now, index);
}

void Network::start_if_free(FineInstant now, BottleneckIndex index) {
  if (starting_[index]) return;
  while (const auto start = bottlenecks_[index].next_start()) {
    if (*start > now) {
      starting_[index] = true;
      return schedule({.due = *start, .kind = Happening::Kind::wire_free, .index = index});
    }
    leave(bottlenecks_[index].start_next());
  }
}

void Network::leave(const Bottleneck::Sent& sent) {
  const Packet& packet = *sent.waiting.parcel.packet;
  Path& path = path_of(packet);
  if (sent.waiting.stage > 0) return travel(path, sent);
  if (cut_off(packet)) {
    tally_.dropped_outage += sent.waiting.parcel.count;
    return;
  }
  leave_with_losses(path, sent);
}

// Segments that are lost cut the parcel into pieces, each of which goes on by itself.
void Network::leave_with_losses(Path& path, const Bottleneck::Sent& sent) {
  const Parcel& whole = sent.waiting.parcel;
  if (path.segments_until_loss >= whole.count) {
    path.segments_until_loss -= whole.count;
    return travel(path, sent);
  }
  const FineDuration per_segment = (sent.end - sent.begin) / whole.count;
  std::uint32_t begin = 0;
  while (begin < whole.count) {
    const auto passing =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(path.segments_until_loss, whole.count - begin));
    if (passing > 0)
      travel(path, {.waiting = {.parcel = whole.part(begin, passing), .stage = sent.waiting.stage},
                    .begin = sent.begin + begin * per_segment,
                    .end = begin + passing == whole.count ? sent.end
                                                          : sent.begin + (begin + passing) * per_segment});
    path.segments_until_loss -= passing;
    begin += passing;
    if (begin == whole.count) break;
    ++tally_.lost;
    ++begin;
    draw_next_loss(path);
  }
}

// The next link may begin when the first segment is there, but not so early that it would have to wait for a
// slower link before it in the middle of the packet.
void Network::travel(Path& path, const Bottleneck::Sent& sent) {
  const Parcel& parcel = sent.waiting.parcel;
  const std::uint32_t stage = sent.waiting.stage + 1;
  FineInstant arrival = sent.end;
  if (stage < path.route.size()) {
    const std::uint32_t segment = std::min(parcel.segment_wire_bytes(), parcel.wire_bytes());
    const auto head = (sent.end - sent.begin) * segment / parcel.wire_bytes();
    const auto& next = bottlenecks_[path.route[stage]].config();
    const FineDuration rest = transmission_time(parcel.wire_bytes() - segment, next.bits_per_s);
    arrival = std::max(sent.begin + head, sent.end - rest);
  }
  if (stage + 1 == path.route.size()) {
    arrival += path.spec.delay;
    if (path.spec.jitter > Duration::zero())
      arrival += FineDuration(
          path.random.between(0, std::chrono::duration_cast<FineDuration>(path.spec.jitter).count()));
    if (!path.spec.reorder) arrival = std::max(arrival, path.last_arrival);
    path.last_arrival = std::max(arrival, path.last_arrival);
  }
  schedule({.due = arrival,
            .kind = Happening::Kind::arrival,
            .index = 0,
            .waiting = {.parcel = parcel, .stage = stage}});
}

void Network::deliver(FineInstant now, Parcel parcel) {
  // Rounded up, so that nothing arrives before its delay is over.
  const auto due = std::chrono::ceil<Duration>(now);
  if (addresses_.box_at(parcel.packet->flow.to.address)) {
    auto inside = std::make_shared<Packet>(*parcel.packet);
    if (!enter_home(due, *inside)) {
      tally_.dropped_nat += parcel.count;
      return;
    }
    parcel.packet = std::move(inside);
  }
  tally_.delivered += parcel.count;
  deliveries_.push_back({.parcel = std::move(parcel), .due = due});
}

std::vector<std::pair<std::string, std::uint64_t>> Network::queue_drops() const {
  std::vector<std::pair<std::string, std::uint64_t>> drops;
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (tail_drops_[i] != 0) drops.emplace_back(names_[i], tail_drops_[i]);
  return drops;
}

}  // namespace hawser::wan
