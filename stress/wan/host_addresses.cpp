#include "wan/host_addresses.hpp"

#include <algorithm>

namespace hawser::wan {
namespace {

/// Of NATs that hosts share.
constexpr std::uint32_t kSharedBegin = 256;

}  // namespace

std::string address_text(std::uint32_t address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string(address >> shift & 0xff);
    if (shift > 0) text += '.';
  }
  return text;
}

HostAddresses::HostAddresses(const Spec& spec) : kinds_(spec.nats) {
  for (HostIndex i = 0; i < spec.host_count(); ++i) {
    const HostSpec& host = spec.hosts[i];
    std::optional<std::uint32_t> box;
    if (host.carrier)
      box = find_or_add_shared({.kind = *host.carrier, .outer = kPublicRange.address, .first = i, .is_shared = true});
    if (host.nat) {
      const std::uint32_t range = (box ? kCarrierRange : kPublicRange).address;
      const Box own{.kind = *host.nat,
                    .outer = range,
                    .carrier = box,
                    .first = i,
                    .is_shared = kinds_[*host.nat].is_lan};
      if (own.is_shared) {
        box = find_or_add_shared(own);
      } else {
        box = add_box(own);
        boxes_.back().outer += 1 + i;
      }
    }
    box_.push_back(box);
    inside_.push_back((host.nat ? kInsideRange : host.carrier ? kCarrierRange : kPublicRange).address + 1 + i);
    host_at_[inside_.back()] = i;
  }
  for (std::uint32_t box = 0; box < boxes_.size(); ++box) box_at_[boxes_[box].outer] = box;
}

std::uint32_t HostAddresses::add_box(Box box) {
  boxes_.push_back(box);
  return static_cast<std::uint32_t>(boxes_.size() - 1);
}

std::uint32_t HostAddresses::find_or_add_shared(const Box& box) {
  const auto known = std::ranges::find_if(boxes_, [&](const Box& one) {
    return one.is_shared && one.kind == box.kind && one.carrier == box.carrier;
  });
  if (known != boxes_.end()) return static_cast<std::uint32_t>(known - boxes_.begin());
  const std::uint32_t made = add_box(box);
  boxes_.back().outer += kSharedBegin + 1 + shared_++;
  return made;
}

std::uint32_t HostAddresses::outside(HostIndex host) const {
  auto box = box_[host];
  if (!box) return inside_[host];
  while (boxes_[*box].carrier) box = boxes_[*box].carrier;
  return boxes_[*box].outer;
}

std::optional<HostIndex> HostAddresses::host_at(std::uint32_t address) const {
  const auto found = host_at_.find(address);
  return found == host_at_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint32_t> HostAddresses::box_at(std::uint32_t address) const {
  const auto found = box_at_.find(address);
  return found == box_at_.end() ? std::nullopt : std::optional(found->second);
}

bool HostAddresses::share_a_lan(HostIndex a, HostIndex b) const {
  return box_[a] && box_[a] == box_[b] && kinds_[boxes_[*box_[a]].kind].is_lan;
}

}  // namespace hawser::wan
