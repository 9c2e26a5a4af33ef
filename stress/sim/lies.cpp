#include "sim/lies.hpp"

#include <algorithm>
#include <utility>

#include "sim/world.hpp"

namespace hawser::sim {
namespace {

constexpr std::uint64_t kMany = 1ULL << 62;

template <class Item>
const Item& one_of(Random& random, const std::vector<Item>& items) {
  return items[static_cast<std::size_t>(random.below(items.size()))];
}

}  // namespace

PeerId Lies::any_id() {
  Random& random = world_.random;
  std::vector<PeerId> known;
  // Where no call may fail, nobody takes the id of one whose hello is still on its way.
  for (const Process* process : world_.living())
    if (!world_.profile.faults.gentle || process->info().connected) known.push_back(process->id());
  if (known.empty() || random.chance(1, 4))
    for (const View& view : world_.hearsay.views)
      for (const Member& member : view.members) known.push_back(member.id);
  return known.empty() || random.chance(1, 8) ? PeerId{random.next()} : one_of(random, known);
}

std::vector<PeerId> Lies::any_ids() {
  std::vector<PeerId> ids;
  for (std::uint64_t i = world_.random.below(5); i > 0; --i) ids.push_back(any_id());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

View Lies::true_view() {
  const auto& views = world_.hearsay.views;
  if (views.empty()) return {};
  if (world_.random.chance(1, 2)) return views.back();
  return views[static_cast<std::size_t>(world_.random.below(views.size()))];
}

Epoch Lies::any_epoch() {
  Random& random = world_.random;
  const std::uint64_t newest = world_.hearsay.views.empty() ? 1 : world_.hearsay.views.back().epoch.value;
  switch (random.below(4)) {
    case 0: return {kMany};
    case 1: return {newest + (1 << 21) + random.below(1 << 20)};
    case 2: return {random.below(newest + 1)};
    default: return {newest + 1 + random.below(3)};
  }
}

View Lies::invented_view(const std::vector<Member>& with, std::uint32_t group) {
  Random& random = world_.random;
  View view{.epoch = any_epoch(), .id = {random.next()}, .group = group, .link_secret = random.next(), .members = with};
  if (random.chance(1, 2)) return view;
  for (const Member& member : true_view().members)
    if (random.chance(2, 3) && !view.find(member.id)) view.members.push_back(member);
  if (random.chance(1, 4))
    for (std::uint64_t i = random.below(40); i > 0; --i)
      view.members.push_back({.id = {random.next()}, .name = "nobody", .address = {.host = "10.66.0.1", .port = 1}});
  if (!view.members.empty() && random.chance(1, 2))
    std::rotate(view.members.begin(), view.members.end() - 1, view.members.end());
  return view;
}

OpKey Lies::any_key() {
  Random& random = world_.random;
  std::vector<OpKey> known;
  for (const Process* process : world_.living())
    for (const auto& [id, call] : process->calls())
      if (call.key.view != ViewId{}) known.push_back(call.key);
  const View view = true_view();
  OpKey key = known.empty()
                  ? OpKey{.epoch = view.epoch, .view = view.id, .tag = random.below(4), .sequence = random.below(3)}
                  : one_of(random, known);
  switch (random.below(8)) {
    case 0: key.sequence += 1 + random.below(3); break;
    case 1: key.tag += 100 + random.below(50); break;
    case 2: key.view = {random.next()}; break;
    default: break;
  }
  return key;
}

PeerMessage Lies::linked() {
  Linked linked{.all = world_.random.chance(1, 4), .up = any_ids(), .down = any_ids(), .refused = {}};
  for (const PeerId id : linked.down)
    if (world_.random.chance(2, 3)) linked.refused.push_back(id);
  if (world_.random.chance(1, 3)) linked.up.clear();
  for (const PeerId peer : linked.up) linked.delays_us.push_back(static_cast<std::uint32_t>(peer.value));
  return linked;
}

PeerMessage Lies::complaint() {
  Random& random = world_.random;
  Complaint complaint{.key = any_key(),
                      .stalled_ms = random.chance(1, 4) ? kMany : random.below(60000),
                      .waiting_for = {},
                      .unresponsive = {}};
  if (random.chance(1, 4)) {
    complaint.period_ms = random.below(60000);
    for (const PeerId id : any_ids())
      complaint.flows.push_back({.to = id, .percent = static_cast<std::uint32_t>(random.below(100))});
    return complaint;
  }
  complaint.waiting_for = any_ids();
  complaint.unresponsive = any_ids();
  return complaint;
}

PeerMessage Lies::measured() {
  Random& random = world_.random;
  const View view = true_view();
  const std::size_t size = random.chance(1, 2) ? view.nodes() : static_cast<std::size_t>(random.below(9));
  const auto any = [&] { return random.chance(1, 2) ? random.next() >> random.below(64) : random.below(3); };
  Measured measured{.view = view.id, .row = {}};
  LinkRow& row = measured.row;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    row.bytes_per_second.push_back(any());
    row.delay_ns.push_back(any());
    if (random.chance(1, 4)) row.probed.push_back(rank);
    if (!row.probed.empty() && row.probed.back() == rank && random.chance(1, 2)) row.lower_bounds.push_back(rank);
    if (random.chance(1, 4)) row.together.push_back(rank);
    if (const auto by = static_cast<std::uint32_t>(random.below(size)); random.chance(1, 8) && by != rank)
      row.detours.push_back({.to = rank, .by = random.chance(1, 2) ? by : LinkDetour::kByAnyone});
  }
  row.uplink_bytes_per_second = any();
  row.downlink_bytes_per_second = any();
  return measured;
}

namespace {

Signature any_signature(Random& random) {
  Signature signature{.collective = static_cast<Collective>(random.below(7)), .count = 1 + random.below(100)};
  if (random.chance(1, 4)) signature.measures = random.next();
  return signature;
}

}  // namespace

PeerMessage Lies::begun() { return Begun{.key = any_key(), .signature = any_signature(world_.random)}; }

PeerMessage Lies::report() { return Report{.key = any_key(), .signature = any_signature(world_.random)}; }

OutcomesPresented Lies::outcomes() {
  Random& random = world_.random;
  OutcomesPresented outcomes;
  for (std::uint64_t i = random.below(4); i > 0; --i)
    outcomes.undecided.push_back(
        {.key = any_key(), .signature = any_signature(random), .reported = random.chance(1, 2)});
  for (std::uint64_t i = random.below(4); i > 0; --i) outcomes.committed.push_back(any_key());
  return outcomes;
}

ViewPresented Lies::view_presented(std::uint32_t group) {
  return {world_.random.chance(1, 2) ? true_view() : invented_view({}, group)};
}

Resume Lies::resume(const Introduction& who, RunId run, const View& view) {
  return {.who = who,
          .run = run,
          .view = {.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)}};
}

}  // namespace hawser::sim
