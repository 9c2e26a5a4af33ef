#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// Guests: pending peers that fetch the state from the members of their group before they are admitted, while
/// the members go on. A guest is told whom it may ask, the members are told who may ask them, and nothing of
/// it touches a view. Each is told what it does not know yet whenever something has happened.
namespace hawser {

static_assert(limits::kPendingPeersMax <= limits::kGroupSizeMax,
              "a list of guests is no longer than one of members");

bool MasterMachine::State::is_guest(const Peer& peer) {
  return peer.role == Role::pending && peer.prefetch != Prefetch::none;
}

/// Whether an update-topology would admit it.
bool MasterMachine::State::waits_for_admission(const Peer& peer) {
  return peer.role == Role::pending && peer.prefetch != Prefetch::under_way;
}

void MasterMachine::State::said(Instant now, PeerId peer, const PrefetchOver&, MasterActions& out) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !is_guest(found->second) || waits_for_admission(found->second)) return;
  found->second.prefetch = Prefetch::over;
  found->second.arrival = arrivals_++;
  out.emplace_back(LogEvent{LogLevel::info, "prefetch-over", name_of(peer) + " waits for admission"});
  maybe_bootstrap(now, out);
}

void MasterMachine::State::list_guests() {
  std::map<std::uint32_t, std::vector<PeerId>> guests;
  for (const auto& [id, peer] : peers_)
    if (is_guest(peer)) guests[peer.who.group].push_back(id);
  std::erase_if(guest_lists_, [&](const auto& entry) { return !guests.contains(entry.first); });
  for (auto& [number, ids] : guests) {
    GuestList& list = guest_lists_[number];
    if (list.guests != ids) list = {.guests = std::move(ids), .edition = ++guest_lists_made_};
  }
}

void MasterMachine::State::tell_hosts_and_guests(MasterActions& out) {
  list_guests();
  for (auto& [id, peer] : peers_) {
    if (is_guest(peer)) {
      const auto group = groups_.find(peer.who.group);
      const View* const in_force = group == groups_.end() ? nullptr : &group->second.view;
      const ViewId current = in_force ? in_force->id : ViewId{};
      if (peer.hosts_told == current) continue;
      peer.hosts_told = current;
      tell(
          id,
          Hosts{.members = in_force ? in_force->members : std::vector<Member>{}, .link_secret = link_secret_},
          out);
    } else if (peer.role == Role::member) {
      const auto found = guest_lists_.find(peer.who.group);
      const std::uint64_t edition = found == guest_lists_.end() ? kNoGuests : found->second.edition;
      if (peer.guests_told == edition) continue;
      peer.guests_told = edition;
      tell(id, Guests{found == guest_lists_.end() ? std::vector<Member>{} : as_members(found->second.guests)},
           out);
    }
  }
}

std::vector<Member> MasterMachine::State::as_members(const std::vector<PeerId>& peers) const {
  std::vector<Member> members;
  for (const PeerId peer : peers) members.push_back(as_member(peer));
  return members;
}

}  // namespace hawser
