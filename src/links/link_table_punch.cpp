/// Links that come of both sides dialling at once (TCP simultaneous open; RFC 5382, section 4.3; Ford et al. 2005):
/// when the master is asked for it, and what comes of it.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "links/link_table.hpp"

namespace hawser::links {
namespace {

/// A link that nobody's dial has established by then needs both. The greater id asks later: the master tells both.
constexpr Duration kPunchAfter = milliseconds(500);
constexpr Duration kGreaterAsksLater = milliseconds(400);
constexpr Duration kPunchAgainFirst = seconds(1);
constexpr Duration kPunchAgainMax = seconds(60);
/// Of one attempt: both sides hear of it within the time that a message takes to the master and back.
constexpr Duration kPunchBound = seconds(4);
/// Two ways to one link that come to be at one time are of one mind.
constexpr Duration kCrossedWays = seconds(2);

}  // namespace

/// When the master is to be asked.
void LinkTable::plan_punch(Instant now, Link& link) {
  if (!config_.asks_both || link.has_connection() || link.punch.attempt != Slot::Attempt::none || !link.target.may_ask ||
      !link.target.dial_after)
    return link.punch_at.reset();
  if (link.punch_at) return;
  const Duration turn = self_ < link.target.peer ? Duration::zero() : kGreaterAsksLater;
  if (link.punches > 0) {
    const Duration pause =
        std::min<Duration>(kPunchAgainFirst * (1 << std::min<std::size_t>(link.punches - 1, 10)), kPunchAgainMax);
    link.punch_at = now + turn + pause * random_.between(750, 1250) / 1000;
  } else if (link.is_punched) {
    link.punch_at = now + turn;
  } else {
    link.punch_at = std::max(now, link.down_since + kPunchAfter + turn);
  }
  if (link.straight_not_before) link.punch_at = std::max(*link.punch_at, *link.straight_not_before);
}

void LinkTable::ask_both(Link& link, Actions& out) {
  link.punch_at.reset();
  ++link.punches;
  const auto& failed = link.reach.failed;
  const auto own = std::find_if(failed.begin(), failed.end(),
                                [&](const FailedWay& one) { return one.to == link.target.address && !one.is_through; });
  out.emplace_back(LogEvent{LogLevel::info, "asks-both",
                            link.target.name + " is not reached; the master is asked to have both dial at once"});
  out.emplace_back(AskBothDial{.peer = link.target.peer, .why = own == failed.end() ? std::string() : own->why});
}

void LinkTable::dial_at_once(Instant now, PeerId peer, const std::vector<Address>& to, Actions& out) {
  Link* const link = find(peer);
  if (link == nullptr || to.empty() || (link->has_connection() && !link->is_through)) return;
  if (link->punch.attempt != Slot::Attempt::none || (link->straight_not_before && now < *link->straight_not_before))
    return;
  if (!link->punchings.take(now)) return;
  link->punches = std::max<std::size_t>(link->punches, 1);
  link->punch.attempt = Slot::Attempt::dialling;
  link->punch.socket = new_socket();
  link->punch.due = now + kPunchBound;
  link->punch_to = to;
  sockets_[link->punch.socket] = {peer, kPunch};
  out.emplace_back(Punch{.socket = link->punch.socket,
                         .peer = peer,
                         .to = to,
                         .key = link->target.key,
                         .greets_if_crossed = self_ < peer});
  arm(now, *link);
}

void LinkTable::punched(Instant now, const Punched& how, Actions& out) {
  const auto at = sockets_.find(how.socket);
  Slot* const slot = at == sockets_.end() ? nullptr : find_slot(at->second);
  if (slot == nullptr || slot->socket != how.socket || at->second.index != kPunch ||
      slot->attempt != Slot::Attempt::dialling)
    return out.emplace_back(Close{how.socket}), void();
  slot->to = how.to;
  slot->is_crossed = how.is_crossed;
  dialled(now, how.socket, how.machine_proof, out);
}

std::optional<SocketId> LinkTable::yielded(Instant now, SocketId socket, Newcomer newcomer, Actions& out) {
  const auto at = sockets_.find(socket);
  Slot* const slot = at == sockets_.end() ? nullptr : find_slot(at->second);
  if (slot == nullptr || slot->socket != socket || at->second.index != kPunch) return std::nullopt;
  const PeerId peer = at->second.peer;
  sockets_.erase(at);
  slot->socket = {};
  slot->attempt = Slot::Attempt::none;
  slot->due.reset();
  newcomer.is_punched = true;
  const auto stranger = accepted(now, std::move(newcomer), out);
  arm_if_kept(now, peer);
  return stranger;
}

void LinkTable::punch_failed(Instant now, Link& link, const DialFailure& failure, Actions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "punch-failed",
                            link.target.name + " was not reached while both dialled: " + failure.why});
  for (const Address& to : link.punch_to) {
    const auto known = std::find_if(failure.each.begin(), failure.each.end(),
                                    [&](const auto& one) { return one.first == to; });
    note_failure(now, link, to, known == failure.each.end() ? "no answer while both dialled" : known->second);
  }
  tell_straight_failed(link, out);
  const bool was_greeting = link.punch.attempt == Slot::Attempt::unanswered;
  stop_attempt(link.punch, out);
  if (was_greeting && !has_greeted(link)) link.sides.attempt_ended();
  judge_held(now, link.target.peer, out);
  arm(now, link);
}

/// It has crossed a connection that was just established another way.
bool LinkTable::comes_too_late(Instant now, const Stranger& stranger, const Link& link) {
  return stranger.is_punched && link.has_connection() && !link.is_through && now < link.established_at + kCrossedWays;
}

// ------------------------------------------------------------------------------------------ for people

void LinkTable::note_failure(Instant now, Link& link, const Address& to, const std::string& why, bool is_through) {
  auto& failed = link.reach.failed;
  const auto at = std::find_if(failed.begin(), failed.end(), [&](const FailedWay& one) {
    return one.to == to && one.is_through == is_through;
  });
  FailedWay way{.to = to, .why = why, .at = now, .times = 1, .is_through = is_through};
  if (at != failed.end()) {
    way.times += at->times;
    failed.erase(at);
  }
  if (failed.size() >= kFailedWaysMax) failed.erase(failed.begin());
  failed.push_back(std::move(way));
}

/// All its addresses, in an order that stays.
void LinkTable::tell_straight_failed(Link& link, Actions& out) {
  if (link.has_connection() && !link.is_through) return;
  std::map<std::string, const std::string*> tried;
  for (const FailedWay& one : link.reach.failed)
    if (!one.is_through) tried[to_string(one.to)] = &one.why;
  std::string text;
  for (const auto& [address, why] : tried) {
    const bool is_named = why->find(address) != std::string::npos;
    text += (text.empty() ? "" : "; ") + (is_named ? *why : address + ": " + *why);
  }
  if (text.empty() || text == link.straight_why) return;
  link.straight_why = text;
  out.emplace_back(StraightFailed{link.target.peer, std::move(text)});
}

std::string LinkTable::describe_way(const Link& link) const {
  const Reach& reach = link.reach;
  switch (reach.origin) {
    case Origin::dialled: return "this side has dialled " + to_string(reach.address);
    case Origin::accepted: return "the other side has dialled from " + reach.address.host;
    case Origin::punched: return "both have dialled at once";
    case Origin::through: {
      const Link* const by = find(reach.by);
      return (by == nullptr ? std::string("a go-between") : by->target.name) + " has joined both";
    }
    case Origin::none: break;
  }
  return "not at all";
}

std::optional<Reach> LinkTable::reach(PeerId peer) const {
  const Link* const link = find(peer);
  if (link == nullptr) return std::nullopt;
  Reach reach = link->reach;
  if (!link->has_connection()) reach.origin = Origin::none;
  return reach;
}

}  // namespace hawser::links
