#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/loggable_text.hpp"
#include "membership/peer_machine.hpp"
#include "membership/sponsors.hpp"

/// Which links a peer wants, who dials, and what it tells the master of them.
namespace hawser {
namespace {

/// Of one peer, that are dialled at once.
constexpr std::size_t kAddressesMax = limits::kWaysMax + 2;
/// No way is longer; and in a message it has three bytes.
constexpr std::int64_t kDelayUsMax = (1 << 21) - 1;
/// What happens to several links at one time is told together.
constexpr Duration kLinkReportDelay = milliseconds(2);
/// What is not reached while a link begins is most often reached a moment later.
constexpr Duration kUnreachedReportDelay = milliseconds(500);
/// A newcomer dials the members, and they dial it if nothing came of that. Among equals the one with the smaller id
/// begins.
constexpr Duration kNewcomerDialsFirst = seconds(1);
constexpr Duration kSmallerDialsFirst = milliseconds(300);

void forget_unknown(Linked& linked) {
  if (std::all_of(linked.delays_us.begin(), linked.delays_us.end(), [](std::uint32_t delay) { return delay == 0; }))
    linked.delays_us.clear();
}

bool is_in(const std::vector<Member>& members, PeerId peer) {
  return std::any_of(members.begin(), members.end(), [&](const Member& member) { return member.id == peer; });
}

}  // namespace

/// One on the master's machine that gives a loopback address is where the master is dialled.
Member PeerMachine::reachable(const Member& member) const {
  const bool elsewhere = member.machine != 0 && me_.machine != 0 && member.machine != me_.machine;
  if (!elsewhere || kind_of(member.address.host) != HostKind::loopback) return member;
  Member moved = member;
  moved.address.host = kind_of(bounds_.master_host) == HostKind::loopback ? "" : bounds_.master_host;
  return moved;
}

std::optional<Duration> PeerMachine::dial_after(const Member& member) const {
  if (member.address.host.empty()) return std::nullopt;
  const bool is_smaller = me_.id < member.id;
  const bool it_visits = is_in(visitors_, member.id) && !view_.find(member.id);
  // Sponsors dial.
  if (phase_ == Phase::member && it_visits) return has_all_links() ? kNewcomerDialsFirst : Duration::zero();
  if (phase_ == Phase::joining && !has_all_links()) return std::nullopt;
  if (phase_ == Phase::joining && !it_visits) return Duration::zero();
  return is_smaller ? Duration::zero() : kSmallerDialsFirst;
}

/// How many members this peer's group has.
std::uint32_t PeerMachine::links_among() const {
  return phase_ == Phase::joining ? static_cast<std::uint32_t>(group_members_.size()) : view_.size();
}

/// Others, members first, some of them twice perhaps.
std::vector<Member> PeerMachine::links_to_have() const {
  std::vector<Member> peers;
  const auto add = [&](const std::vector<Member>& more) { peers.insert(peers.end(), more.begin(), more.end()); };
  const bool of_all = has_all_links();
  if (phase_ == Phase::joining) add(of_all ? group_members_ : sponsors_of(bounds_.links, group_members_, me_.id));
  if (phase_ == Phase::member) {
    const std::uint32_t rank = *view_.rank_of(me_.id);
    for (std::uint32_t other = 0; other < view_.nodes(); ++other)
      if (bounds_.links.has_link(rank, other, view_.size()) || needed_.contains(view_.members[other].id))
        peers.push_back(view_.members[other]);
  }
  if (of_all && (phase_ == Phase::member || group_secret_ != 0)) add(visitors_);
  if (!of_all && phase_ == Phase::member)
    for (const Member& visitor : visitors_)
      if (!view_.find(visitor.id) && is_sponsor(bounds_.links, view_.members, me_.id, visitor.id))
        peers.push_back(visitor);
  return peers;
}

void PeerMachine::want_links(Instant now, PeerActions& out) {
  WantLinks wanted;
  std::set<PeerId> ids;
  for (const Member& member : links_to_have()) {
    if (member.id == me_.id || !ids.insert(member.id).second) continue;
    const Member peer = reachable(member);
    const bool may_ask = phase_ == Phase::joining || view_.find(member.id) != nullptr;
    wanted.peers.push_back({.peer = peer, .dial_after = dial_after(peer), .may_ask = may_ask});
  }
  if (phase_ == Phase::joining) wanted.secret = group_secret_;
  if (phase_ == Phase::member) wanted.secret = view_.link_secret;
  const bool secret_changed = secret_ != wanted.secret;
  secret_ = wanted.secret;
  const auto is_gone = [&](PeerId peer) { return secret_changed || !ids.contains(peer); };
  std::vector<PeerId> dropped;
  for (const PeerId peer : links_up_)
    if (is_gone(peer)) dropped.push_back(peer);
  std::erase_if(links_up_, is_gone);
  std::erase_if(detours_, [&](const auto& entry) { return is_gone(entry.first); });
  std::erase_if(delays_us_, [&](const auto& entry) { return is_gone(entry.first); });
  std::erase_if(refused_, is_gone);
  std::erase_if(fresh_, is_gone);
  std::erase_if(link_news_, [&](const auto& entry) { return is_gone(entry.first); });
  if (std::erase_if(unreached_, [&](const auto& entry) { return is_gone(entry.first); }) > 0) note_unreached(now);
  const bool of_all = has_all_links();
  // Where links come and go with views, one that has not stood yet says nothing of its other end.
  if (!of_all || !had_all_links_)
    for (const PeerId peer : ids)
      if ((secret_changed || !wanted_.contains(peer)) && !links_up_.contains(peer)) fresh_.insert(peer);
  // Those that a newcomer is proven by are not the same all the time.
  if (!of_all && !secret_changed)
    for (const PeerId peer : dropped)
      if (phase_ == Phase::joining || !view_.find(peer)) note_link(now, peer, LinkChange::down);
  had_all_links_ = of_all;
  wanted_ = std::move(ids);
  out.emplace_back(std::move(wanted));
}

void PeerMachine::need_links(Instant now, const std::set<PeerId>& members, PeerActions& out) {
  if (phase_ != Phase::member || needed_ == members) return;
  needed_ = members;
  want_links(now, out);
}

void PeerMachine::link_changed(Instant now, PeerId peer, LinkChange change, PeerId by, Duration round_trip) {
  if (change == LinkChange::refused && (links_up_.contains(peer) || !refused_.insert(peer).second)) return;
  detours_.erase(peer);
  delays_us_.erase(peer);
  if (change == LinkChange::up && round_trip > Duration{})
    delays_us_[peer] = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(round_trip).count() / 2, 1, kDelayUsMax));
  if (by != PeerId{}) detours_[peer] = by;
  if (change == LinkChange::up) {
    links_up_.insert(peer);
    refused_.erase(peer);
    fresh_.erase(peer);
    // By a go-between it is still not reached itself.
    if (by != PeerId{})
      unreached_[peer].to = peer;
    else
      unreached_.erase(peer);
  } else {
    links_up_.erase(peer);
  }
  note_link(now, peer, change);
  note_unreached(now);
}

void PeerMachine::link_unreached(PeerId peer, const std::string& why, PeerActions& out) {
  if (welcomed_ && wanted_.contains(peer)) tell_master(BothDial{.to = peer, .why = why}, out);
}

void PeerMachine::said(Instant, const DialEachOther& message, PeerActions& out) {
  if (wanted_.contains(message.peer))
    out.emplace_back(DialPeer{.peer = message.peer, .to = addresses_of(message)});
}

/// Behind one NAT, or in one private network, peers reach each other by what they have inside. Elsewhere an address of
/// a private network is somebody else's. The port that the master sees comes before the one that the peer listens on: a
/// NAT may have changed it.
std::vector<Address> PeerMachine::addresses_of(const DialEachOther& other) const {
  std::vector<Address> to;
  const auto add = [&](const Address& one) {
    const HostKind kind = one.host.empty() ? HostKind::any : kind_of(one.host);
    if (kind == HostKind::any || kind == HostKind::loopback || one.port == 0 || to.size() >= kAddressesMax) return;
    if (std::find(to.begin(), to.end(), one) == to.end()) to.push_back(one);
  };
  const bool are_near = other.seen.host == seen_host_ || (kind_of(other.seen.host) == HostKind::local &&
                                                          kind_of(seen_host_) == HostKind::local);
  const auto add_inside = [&] {
    for (const std::string& host : other.ways.hosts)
      if (are_near || kind_of(host) == HostKind::global) add({host, other.ways.port});
  };
  if (other.seen.host == seen_host_) add_inside();
  // Whoever is seen on the master's own machine is found where the master is dialled.
  const bool is_masters = kind_of(other.seen.host) == HostKind::loopback;
  const std::string& host = is_masters ? bounds_.master_host : other.seen.host;
  if (!is_masters) add(other.seen);
  add({host, other.ways.port});
  for (const Member& member : links_to_have())
    if (member.id == other.peer) add(reachable(member).address);
  add_inside();
  return to;
}

void PeerMachine::note_link(Instant now, PeerId peer, LinkChange change) {
  if (!tells_links_) return;
  link_news_[peer] = change;
  if (!tell_links_at_) tell_links_at_ = now + kLinkReportDelay;
}

void PeerMachine::straight_failed(Instant now, PeerId peer, const std::string& why) {
  if (!wanted_.contains(peer)) return;
  Unreached::Way& way = unreached_[peer];
  way.to = peer;
  way.why = make_loggable(why, limits::kUnreachedReasonBytesMax);
  note_unreached(now);
}

void PeerMachine::note_unreached(Instant now) {
  if (unreached_.empty() && unreached_told_.ways.empty()) return;
  if (welcomed_ && !tell_unreached_at_) tell_unreached_at_ = now + kUnreachedReportDelay;
}

void PeerMachine::tell_unreached(PeerActions& out) {
  tell_unreached_at_.reset();
  Unreached message;
  for (const auto& [peer, way] : unreached_)
    if (message.ways.size() < limits::kUnreachedToldMax) {
      message.ways.push_back(way);
      if (const auto at = detours_.find(peer); at != detours_.end()) message.ways.back().by = at->second;
    }
  const bool is_stale = std::exchange(unreached_is_stale_, false);
  if (message == unreached_told_ && (!is_stale || message.ways.empty())) return;
  unreached_told_ = message;
  tell_master(std::move(message), out);
}

/// A master that was restarted learns of peers whose links have stood all the while.
void PeerMachine::note_links_to(Instant now, const std::vector<Member>& came) {
  for (const Member& member : came)
    if (links_up_.contains(member.id)) note_link(now, member.id, LinkChange::up);
}

/// Nothing is planned by delays where not everybody has links to all.
void PeerMachine::add_up(Linked& linked, PeerId peer) const {
  linked.up.push_back(peer);
  if (!has_all_links()) return;
  const auto delay = delays_us_.find(peer);
  linked.delays_us.push_back(delay == delays_us_.end() ? 0 : delay->second);
}

void PeerMachine::tell_links(PeerActions& out) {
  tell_links_at_.reset();
  Linked linked;
  for (const auto& [peer, change] : link_news_) {
    if (change == LinkChange::up)
      add_up(linked, peer);
    else
      linked.down.push_back(peer);
    if (const auto at = detours_.find(peer); at != detours_.end())
      linked.detours.push_back({.to = peer, .by = at->second});
    if (change == LinkChange::refused) linked.refused.push_back(peer);
  }
  link_news_.clear();
  forget_unknown(linked);
  if (!linked.up.empty() || !linked.down.empty()) tell_master(std::move(linked), out);
}

/// To a master that may not have heard of what happened while this peer had no connection to it.
void PeerMachine::tell_all_links(PeerActions& out) {
  link_news_.clear();
  tell_links_at_.reset();
  Linked linked{.all = true, .up = {}, .down = {}, .refused = {}};
  for (const PeerId peer : links_up_) add_up(linked, peer);
  for (const auto& [peer, by] : detours_) linked.detours.push_back({.to = peer, .by = by});
  if (phase_ == Phase::member)
    for (const Member& member : view_.members)
      if (wanted_.contains(member.id) && !links_up_.contains(member.id) && !fresh_.contains(member.id))
        linked.down.push_back(member.id);
  for (const PeerId peer : linked.down)
    if (refused_.contains(peer)) linked.refused.push_back(peer);
  forget_unknown(linked);
  tell_master(std::move(linked), out);
}

}  // namespace hawser
