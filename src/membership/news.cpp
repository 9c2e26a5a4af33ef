#include <algorithm>

#include "membership/master_state.hpp"

/// What peers are told without asking: how many there are and how many wait, and who visits. Told together, not more
/// often than in some time, and as differences: what newcomers do costs a member little, however many there are.
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
    return entry.second.announced.empty() && entry.second.waiting.empty() && entry.second.sent.empty();
  });
  const WorldNews news{.world = world(), .pending = static_cast<std::uint32_t>(admissible(now).size())};
  std::vector<ConnectionId> without_visitors;
  std::vector<ConnectionId> readers;
  for (const auto& [number, group] : groups_)
    for (const Member& member : group.view.members) {
      Peer& peer = peers_.at(member.id);
      if (!hears(peer)) continue;
      if (!visitors_.contains(number) && peer.visitors_sent != kNoVisitors) {
        if (!peer.visitors_sent) without_visitors.push_back(*peer.connection);
        peer.visitors_sent = kNoVisitors;
      }
      if (peer.news_sent == news) continue;
      peer.news_sent = news;
      readers.push_back(*peer.connection);
    }
  send_to(std::move(without_visitors), Visitors{whole_list({})}, out);
  send_to(std::move(readers), news, out);
  // Announcing more has changed something that has been told just now.
  news_changed_ = false;
  // Then those are counted that may not come in before.
  if (now < settled_at_) arm(Timer::news, 0, settled_at_);
}

void MasterMachine::State::tell_visits(std::uint32_t number, VisitorList& list, MasterActions& out) {
  std::vector<Member> now_here;
  for (const PeerId id : list.announced) now_here.push_back(as_member(peers_.at(id)));
  const MemberChange change = change_between(list.sent, now_here, list.gone);
  list.gone.clear();
  const std::uint64_t before = list.edition;
  if (!change.empty()) {
    list.sent = now_here;
    list.edition = ++editions_;
  }
  std::vector<ConnectionId> with_base;
  std::vector<ConnectionId> others;
  const auto tell_one = [&](Peer& peer) {
    if (!hears(peer) || peer.visitors_sent == list.edition) return;
    (peer.visitors_sent == before ? with_base : others).push_back(*peer.connection);
    peer.visitors_sent = list.edition;
  };
  // Members first.
  if (const View* const view = view_of(number))
    for (const Member& member : view->members) tell_one(peers_.at(member.id));
  for (const PeerId id : list.announced) tell_one(peers_.at(id));
  tell_group_members(number, list, out);
  send_to(std::move(with_base), Visitors{change}, out);
  send_to(std::move(others), Visitors{whole_list(std::move(now_here))}, out);
}

/// The members of its group, to each visitor.
void MasterMachine::State::tell_group_members(std::uint32_t number, const VisitorList& list, MasterActions& out) {
  const auto found = groups_.find(number);
  const Group* const group = found == groups_.end() ? nullptr : &found->second;
  const ViewId current = group == nullptr ? ViewId{} : group->view.id;
  std::vector<ConnectionId> with_base;
  std::vector<ConnectionId> others;
  for (const PeerId id : list.announced) {
    Peer& visitor = peers_.at(id);
    if (!hears(visitor) || (visitor.group_members_sent && visitor.view_sent == current)) continue;
    const bool has_base = visitor.group_members_sent && group != nullptr && knows_the_last(*group, visitor);
    (has_base ? with_base : others).push_back(*visitor.connection);
    visitor.group_members_sent = true;
    visitor.view_sent = current;
  }
  if (!with_base.empty())
    send_to(std::move(with_base),
            GroupMembers{.members = change_between(group->members_before, group->view.members),
                         .link_secret = link_secret_},
            out);
  if (!others.empty())
    send_to(std::move(others),
            GroupMembers{.members = whole_list(group == nullptr ? std::vector<Member>{} : group->view.members),
                  .link_secret = link_secret_},
            out);
}

}  // namespace hawser
