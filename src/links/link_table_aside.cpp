/// Links by a go-between: when a link needs one, who it is, what it does; and ways that have died.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/planted_fault.hpp"
#include "links/link_table.hpp"

namespace hawser::links {
namespace {

/// A link that has no connection for so long needs a go-between.
constexpr Duration kAskAfter = seconds(2);
/// After an attempt that failed.
constexpr Duration kAskAgainFirst = milliseconds(200);
constexpr Duration kAskAgainMax = seconds(5);
/// Of one attempt. The go-between waits less long for whom it has invited.
constexpr Duration kAttemptBound = seconds(5);
constexpr Duration kMeetingHeld = seconds(3);
/// How often the straight way is tried while a link goes by a go-between.
constexpr Duration kStraightAgainFirst = seconds(10);
constexpr Duration kStraightAgainMax = seconds(300);
/// A way on which nothing is delivered for so long, and for so many round trips, is dead. The first that is sent
/// after a pause may wait longer in the queue of a slow access.
constexpr Duration kStuckAfter = milliseconds(600);
constexpr Duration kStuckFromStart = milliseconds(1200);
/// Who has not looked for so long knows nothing of the time between: the machine may have stood still.
constexpr Duration kLooksInTime = milliseconds(500);
/// Of one peer that waits to be brought together with others.
constexpr std::size_t kWaitingOfOneMax = 8;
constexpr int kStuckRoundTrips = 4;
/// A straight way that stood for so long was a good one.
constexpr Duration kStraightWasGood = seconds(60);

std::string nothing_since(Duration time) {
  return "nothing that was sent has arrived for " + std::to_string(whole_milliseconds(time)) + " ms";
}

Duration doubled(Duration once, std::size_t times, Duration most) {
  return std::min<Duration>(once * (1 << std::min<std::size_t>(times, 10)), most);
}

std::vector<std::byte> greeting_bytes(const LinkGreeting& greeting) {
  const auto bytes = encode_greeting(greeting);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

// ------------------------------------------------------------------------------------ who needs one

bool LinkTable::is_go_between(const Link& link, PeerId to) {
  return link.target.peer != to && link.target.may_ask && link.target.dial_after && !link.is_single() &&
         link.has_connection();
}

bool LinkTable::has_go_between(PeerId to) const {
  return std::any_of(links_.begin(), links_.end(), [&](const auto& one) { return is_go_between(one.second, to); });
}

/// Peers with a straight link, the best first: those that this side has dialled at the address that all know, then at
/// another one, by round trip. The other side may not know that one. A peer that did not hold comes last.
std::vector<const LinkTable::Link*> LinkTable::go_betweens(PeerId to) const {
  std::vector<const Link*> found;
  for (const auto& [peer, link] : links_)
    if (is_go_between(link, to)) found.push_back(&link);
  const Link* const link = find(to);
  const PeerId unlucky = link == nullptr ? PeerId{} : link->unlucky_by;
  const auto badness = [&](const Link* one) {
    return std::tuple(one->target.peer == unlucky, !one->dials(), one->dial_to.has_value(), one->round_trip);
  };
  std::stable_sort(found.begin(), found.end(),
                   [&](const Link* a, const Link* b) { return badness(a) < badness(b); });
  return found;
}

/// Another link stands: it may help those that have none.
void LinkTable::arm_those_that_are_down(Instant now) {
  for (auto& [peer, link] : links_)
    if (!link.has_connection()) arm(now, link);
}

/// When the next attempt is to be made that is none of the slots'.
void LinkTable::plan_aside(Instant now, Link& link) {
  const bool stands = link.has_connection();
  if (link.aside.attempt != Slot::Attempt::none || (stands && !link.is_through) ||
      (stands ? !link.target.dial_after : !link.target.may_ask || !has_go_between(link.target.peer))) {
    link.aside_at.reset();
    if (!stands) free_straight(now, link);
    return;
  }
  if (link.aside_at) return;
  // Not at one time with the other side.
  const auto about = [&](Duration time) { return time * random_.between(750, 1250) / 1000; };
  if (stands)
    link.aside_at =
        now + about(doubled(std::max(kStraightAgainFirst, link.straight_pause), link.asides, kStraightAgainMax));
  else if (link.asides > 0)
    link.aside_at = now + about(doubled(kAskAgainFirst, link.asides - 1, kAskAgainMax));
  else
    link.aside_at = link.is_through || link.straight_not_before ? now : std::max(now, link.down_since + kAskAfter);
}

/// Nobody is there to help: the straight way is all that there is.
void LinkTable::free_straight(Instant now, Link& link) {
  if (!link.straight_not_before || link.aside.attempt != Slot::Attempt::none) return;
  if (has_go_between(link.target.peer)) return;
  link.straight_not_before.reset();
  for (Slot& slot : link.slots)
    if (slot.attempt == Slot::Attempt::waiting) slot.due = std::min(*slot.due, now + kRedialFirst);
}

void LinkTable::begin_aside(Instant now, Link& link, Actions& out) {
  link.aside_at.reset();
  link.aside_is_through = !link.has_connection();
  Dial dial{.peer = link.target.peer, .to = link.target.address, .key = link.target.key};
  if (link.aside_is_through) {
    const auto known = go_betweens(link.target.peer);
    if (known.empty()) return;
    const Link& third = *known[link.asides % known.size()];
    const LinkTarget& by = third.target;
    link.by = by.peer;
    dial.peer = by.peer;
    dial.to = third.dial_to.value_or(by.address);
    dial.key = by.key;
    dial.through = Through{.greeting = greeting_bytes({.link_secret = by.secret,
                                                 .from = self_,
                                                 .to = link.target.peer,
                                                 .kind = GreetingKind::asks_through}),
                           .key = link.target.key};
    out.emplace_back(LogEvent{LogLevel::info, "asks-go-between",
                              link.target.name + " is not reached; " + by.name + " is asked to join both"});
  }
  // Or by both at once, which the straight way of before may have been.
  if (config_.asks_both && !link.aside_is_through && link.punch.attempt == Slot::Attempt::none) ask_both(link, out);
  link.aside.attempt = Slot::Attempt::dialling;
  link.aside.to = dial.to;
  link.aside.socket = dial.socket = new_socket();
  link.aside.due = now + kAttemptBound;
  sockets_[link.aside.socket] = {link.target.peer, kAside};
  out.emplace_back(std::move(dial));
}

void LinkTable::aside_failed(Instant now, Link& link, const std::string& why, Actions& out) {
  out.emplace_back(LogEvent{LogLevel::debug, "go-between-failed",
                            std::string(link.aside_is_through ? "by a go-between " : "straight ") +
                                link.target.name + " was not reached: " + why});
  note_failure(now, link, link.aside.to, why, link.aside_is_through);
  const bool was_greeting = link.aside.attempt == Slot::Attempt::unanswered;
  tell_straight_failed(link, out);
  stop_attempt(link.aside, out);
  ++link.asides;
  if (was_greeting && !has_greeted(link)) link.sides.attempt_ended();
  judge_held(now, link.target.peer, out);
  arm(now, link);
}

/// On some attempt that lasts.
bool LinkTable::has_greeted(const Link& link) {
  const auto is_unanswered = [](const Slot& slot) { return slot.attempt == Slot::Attempt::unanswered; };
  return is_unanswered(link.aside) || is_unanswered(link.punch) ||
         std::any_of(link.slots.begin(), link.slots.end(), is_unanswered);
}

void LinkTable::invited(Instant now, SocketId socket, PeerId who, Actions& out) {
  const auto at = sockets_.find(socket);
  if (at == sockets_.end() || established(at->second) != socket) return;
  Link* const link = find(who);
  Link& from = *find(at->second.peer);
  const LinkTarget& by = from.target;
  // Somebody whom this side does not know of yet: it asks again.
  if (link == nullptr || who == by.peer || !by.dial_after) return;
  if (!from.invitations.take(now) || !link->comings.take(now)) return;
  link->by = by.peer;
  out.emplace_back(Come{.peer = by.peer,
                        .to = from.dial_to.value_or(by.address),
                        .key = by.key,
                        .through = {.greeting = greeting_bytes({.link_secret = by.secret,
                                                          .from = self_,
                                                          .to = who,
                                                          .kind = GreetingKind::comes_through}),
                                    .key = link->target.key}});
}

// -------------------------------------------------------------------------------- what a go-between does

/// Whoever waits is known here, and has proven its key.
void LinkTable::judge_meeting(Instant now, Stranger& stranger, const Link& from, Actions& out) {
  const LinkGreeting& greeting = *stranger.greeting;
  const Link* const to = find(greeting.to);
  // Not over a connection that others have joined: that would lead round and round.
  if (to == nullptr || to->is_through || !to->has_connection() || stranger.is_through)
    return refuse(stranger.socket, GreetingAnswer::refused_unknown,
                  from.target.name + " looks for a peer that is not reached from here either", out);
  if (greeting.kind == GreetingKind::asks_through) {
    if (joined() + strangers_.waiting_to_meet() >= limits::kJoinedPairsMax ||
        strangers_.waiting_to_meet(greeting.from) >= kWaitingOfOneMax ||
        strangers_.waiting_to_meet(greeting.from, greeting.to) != nullptr)
      return refuse(stranger.socket, GreetingAnswer::refused_busy, "too many links go by this peer", out);
    stranger.waits_to_meet = true;
    stranger.deadline = now + kMeetingHeld;
    const auto stands = std::find_if(to->slots.begin(), to->slots.end(),
                                     [](const Slot& slot) { return slot.established != SocketId{}; });
    return out.emplace_back(Invite{.socket = stands->established, .who = greeting.from}), void();
  }
  const Stranger* const other = strangers_.waiting_to_meet(greeting.to, greeting.from);
  if (other == nullptr)
    return refuse(stranger.socket, GreetingAnswer::refused_unknown, "nobody waits for it here", out);
  // What was joined of these two before is of no use any more.
  for (const auto& [socket, joined] : joined_)
    if (joined.who == greeting.from && joined_.at(joined.to).who == greeting.to) {
      part(socket, out);
      break;
    }
  const auto answer = encode_greeting_answer(GreetingAnswer::accepted);
  const SocketId first = other->socket;
  const SocketId second = stranger.socket;
  joined_[first] = {.to = second, .who = greeting.to};
  joined_[second] = {.to = first, .who = greeting.from};
  out.emplace_back(LogEvent{LogLevel::info, "joined-others",
                            "the link between " + from.target.name + " and " + to->target.name + " goes by this peer"});
  out.emplace_back(Join{.first = first, .second = second, .answer = {answer.begin(), answer.end()}});
  strangers_.remove(first);
  strangers_.remove(second);
}

/// One of two joined connections is gone: so is the other.
void LinkTable::part(SocketId socket, Actions& out) {
  const auto at = joined_.find(socket);
  const SocketId other = at->second.to;
  joined_.erase(at);
  joined_.erase(other);
  out.emplace_back(Close{socket});
  out.emplace_back(Close{other});
}

void LinkTable::part_all_of(PeerId peer, std::optional<Instant> unmoved_since, Actions& out) {
  std::vector<SocketId> sockets;
  for (const auto& [socket, joined] : joined_)
    if (joined.who == peer && (!unmoved_since || joined.progress.moved_at <= *unmoved_since)) sockets.push_back(socket);
  for (const SocketId socket : sockets) part(socket, out);
}

// ----------------------------------------------------------------------------------- ways that have died

bool LinkTable::Progress::look(Instant now, const TcpState& state) {
  const bool is_under_way = state.segments_unacknowledged != 0;
  const bool moves = state.segments_delivered != delivered;
  const bool was_watched = now - looked_at <= kLooksInTime;
  looked_at = now;
  delivered = state.segments_delivered;
  if (moves) moved_at = now;
  if (!is_under_way) {
    stuck_since.reset();
    has_moved = false;
    return false;
  }
  has_moved = stuck_since && (has_moved || moves);
  if (moves || !stuck_since || !was_watched) stuck_since = now;
  return is_under_way;
}

bool LinkTable::Progress::is_stuck(Instant now, Duration round_trip) const {
  const Duration least = has_moved ? kStuckAfter : kStuckFromStart;
  return stuck_since && now - *stuck_since >= std::max(least, kStuckRoundTrips * round_trip) &&
         !planted(PlantedFault::trusted_way);
}

/// Of an established connection, or of one that is joined to another; else null.
LinkTable::Progress* LinkTable::progress_of(SocketId socket) {
  if (const auto at = joined_.find(socket); at != joined_.end()) return &at->second.progress;
  const auto at = sockets_.find(socket);
  if (at == sockets_.end() || established(at->second) != socket) return nullptr;
  return &find_slot(at->second)->progress;
}

/// What is on it goes over its sisters, or another way.
void LinkTable::give_up_stuck(Instant now, SocketId socket, Actions& out) {
  if (joined_.contains(socket)) return part(socket, out);
  const auto at = sockets_.find(socket);
  if (at == sockets_.end() || established(at->second) != socket) return;
  const ConnectionName name = at->second;
  Link& link = *find(name.peer);
  const Slot& slot = *find_slot(name);
  const Instant since = *slot.progress.stuck_since;
  const bool is_alone = std::none_of(link.slots.begin(), link.slots.end(), [&](const Slot& one) {
    return one.established != SocketId{} && one.progress.moved_at > since;
  });
  if (is_alone) return give_up_way(now, link, since, out);
  out.emplace_back(Close{socket});
  connection_broke(now, name, nothing_since(now - since), out);
}

/// Nothing arrives on any of its connections: those that have nothing under way are dead, too.
void LinkTable::give_up_way(Instant now, Link& link, Instant dead_since, Actions& out) {
  const auto& first = link.slots.front().established_at;
  const bool was_good = first && now - *first > kStraightWasGood;
  const bool was_straight = !link.is_through;
  for (std::uint32_t index = 0; index < link.slots.size(); ++index) {
    const SocketId socket = link.slots[index].established;
    if (socket == SocketId{}) continue;
    out.emplace_back(Close{socket});
    connection_broke(now, {link.target.peer, index}, nothing_since(now - dead_since), out);
    // A greeting that was held has taken its place.
    if (link.slots.size() <= index) break;
  }
  // What others send this way does not arrive either.
  part_all_of(link.target.peer, dead_since, out);
  if (was_straight && !link.has_connection()) give_up_straight(now, link, dead_since, was_good);
}

/// A way may take connections, and nothing that is long. It is left alone for longer and longer.
void LinkTable::give_up_straight(Instant now, Link& link, Instant dead_since, bool was_good) {
  const Duration longer = std::clamp<Duration>(2 * link.straight_pause, kStraightAgainFirst, kStraightAgainMax);
  link.straight_pause = was_good ? kStraightAgainFirst : longer;
  // If nothing moves elsewhere either, it may be this side's access that is gone, and all ways come back together.
  const auto known = go_betweens(link.target.peer);
  const bool others_move = std::any_of(known.begin(), known.end(), [&](const Link* one) {
    return std::any_of(one->slots.begin(), one->slots.end(),
                       [&](const Slot& slot) { return slot.progress.moved_at > dead_since; });
  });
  if (!others_move) return;
  link.straight_not_before = now + link.straight_pause;
  for (Slot& slot : link.slots)
    if (slot.attempt == Slot::Attempt::waiting) slot.due = std::max(*slot.due, *link.straight_not_before);
  link.aside_at.reset();
  arm(now, link);
}

}  // namespace hawser::links
