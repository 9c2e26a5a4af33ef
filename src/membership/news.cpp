#include <algorithm>

#include "membership/master_state.hpp"

/// What peers are told without asking: how many there are and how many wait, and who visits. Told together, not more often
/// than in some time, and as differences: what newcomers do costs a member little, however many there are.
namespace hawser {
namespace {

constexpr Duration kNewsApart = milliseconds(100);

}  // namespace

World MasterMachine::State::world() const {
  World world;
  for (const auto& [number, group] : groups_) {
    world.size += group.view.size();
    ++world.group_count;
    world.largest_group_size = std::max(world.largest_group_size, group.view.size());
  }
  return world;
}

void MasterMachine::State::tell_news(Instant now, MasterActions& out) {
  if (!news_changed_) return;
  if (now < news_at_) return arm(Timer::news, 0, news_at_);
  news_changed_ = false;
  news_at_ = now + kNewsApart;
  arm(Timer::news, 0, std::nullopt);
  for (auto& [number, visitors] : visitors_) {
    announce_more(now, number);
    tell_visits(number, visitors, out);
  }
  std::erase_if(visitors_, [](const auto& entry) {
    return entry.second.announced.empty() && entry.second.waiting.empty() && entry.second.told.empty();
  });
  const WorldNews news{.world = world(), .pending = static_cast<std::uint32_t>(admissible(now).size())};
  for (const auto& [number, group] : groups_)
    for (const Member& member : group.view.members) {
      Peer& peer = peers_.at(member.id);
      if (!hears(peer)) continue;
      if (!visitors_.contains(number) && peer.visitors_told != kNoVisitors) {
        if (!peer.visitors_told) tell(peer, Visitors{whole_list({})}, out);
        peer.visitors_told = kNoVisitors;
      }
      if (peer.news_told == news) continue;
      peer.news_told = news;
      tell(peer, news, out);
    }
  // Announcing more has changed something that has been told just now.
  news_changed_ = false;
  // Then those are counted that may not come in before.
  if (now < settled_at_) arm(Timer::news, 0, settled_at_);
}

void MasterMachine::State::tell_visits(std::uint32_t number, VisitorList& list, MasterActions& out) {
  std::vector<Member> now_here;
  for (const PeerId id : list.announced) now_here.push_back(as_member(peers_.at(id)));
  const MemberChange change = change_between(list.told, now_here, list.gone);
  list.gone.clear();
  const std::uint64_t before = list.edition;
  if (!change.empty()) {
    list.told = now_here;
    list.edition = ++editions_;
  }
  const auto tell_one = [&](Peer& peer) {
    if (!hears(peer) || peer.visitors_told == list.edition) return;
    const bool knows_the_last = peer.visitors_told == before;
    peer.visitors_told = list.edition;
    tell(peer, Visitors{knows_the_last ? change : whole_list(now_here)}, out);
  };
  for (const PeerId id : list.announced) {
    tell_hosts(peers_.at(id), out);
    tell_one(peers_.at(id));
  }
  if (const View* const view = view_of(number))
    for (const Member& member : view->members) tell_one(peers_.at(member.id));
}

/// The members of its group, to a visitor.
void MasterMachine::State::tell_hosts(Peer& visitor, MasterActions& out) const {
  if (!hears(visitor)) return;
  const auto found = groups_.find(visitor.who.group);
  const ViewId current = found == groups_.end() ? ViewId{} : found->second.view.id;
  if (visitor.hosts_told && visitor.view_told == current) return;
  Hosts hosts{.members = whole_list({}), .link_secret = link_secret_};
  if (found != groups_.end()) {
    const Group& group = found->second;
    const bool knows_the_last = visitor.hosts_told && visitor.view_told == group.before && group.before != ViewId{};
    hosts.members = knows_the_last ? change_between(group.members_before, group.view.members)
                                   : whole_list(group.view.members);
  }
  visitor.hosts_told = true;
  visitor.view_told = current;
  tell(visitor, std::move(hosts), out);
}

}  // namespace hawser
