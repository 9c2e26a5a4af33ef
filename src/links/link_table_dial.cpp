/// The dialling side of links: when to dial, dial, greet, and again when it broke.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "links/link_table.hpp"
#include "wire/magic.hpp"

namespace hawser::links {
namespace {

constexpr Duration kRedialMax = seconds(1);
/// A connection that was established for so long was a good one: its redial starts with the shortest delay again.
constexpr Duration kWasGood = seconds(1);
/// Longer than the other side holds a greeting.
constexpr Duration kAnswerBound = seconds(8);

}  // namespace

/// Begins to dial if it is time, and the other side has not just come through.
void LinkTable::look_at_sides(Instant now, Link& link, Actions& out) {
  const auto due = link.sides.dial_at();
  if (due && *due <= now && !strangers_.is_answering(link.target.peer)) {
    // What the other side had dialled is gone.
    for (Slot& slot : link.slots) stop_attempt(slot, out);
    link.slots.resize(1);
    link.sides.dialling();
    link.slots.front().delay = kRedialFirst;
    dial(link, 0, out);
  }
  arm(now, link);
}

/// One connection is to take the place of all: those that stand bring nothing any more, or are not straight.
void LinkTable::take_place_of_all(Link& link, Actions& out) {
  for (std::uint32_t index = 1; index < link.slots.size(); ++index)
    close_slot(link, index, "the link takes another way", out);
  link.slots.resize(1);
  stop_attempt(link.slots.front(), out);
}

/// The other side got through first, or has lost what this side had dialled.
void LinkTable::leave_dialling(Link& link, Actions& out) {
  for (std::uint32_t index = 0; index < link.slots.size(); ++index)
    close_slot(link, index, "the other side dials this link from now on", out);
  link.slots.clear();
  link.count.reset();
}

void LinkTable::dial(Link& link, std::uint32_t index, Actions& out) {
  Slot& slot = link.slots[index];
  HAWSER_ASSERT(slot.established == SocketId{});
  stop_attempt(slot, out);
  slot.attempt = Slot::Attempt::dialling;
  slot.socket = new_socket();
  slot.to = link.dial_to.value_or(link.target.address);
  sockets_[slot.socket] = {link.target.peer, index};
  out.emplace_back(Dial{.socket = slot.socket, .peer = link.target.peer, .to = slot.to, .key = link.target.key});
}

void LinkTable::dial_up_to(Link& link, std::size_t connections, Actions& out) {
  while (link.slots.size() < connections) {
    link.slots.emplace_back();
    dial(link, static_cast<std::uint32_t>(link.slots.size() - 1), out);
  }
}

void LinkTable::dialled(Instant now, SocketId socket, const Digest128& machine_proof, Actions& out) {
  const auto at = sockets_.find(socket);
  Slot* const slot = at == sockets_.end() ? nullptr : find_slot(at->second);
  if (slot == nullptr || slot->socket != socket || slot->attempt != Slot::Attempt::dialling)
    return out.emplace_back(Close{socket}), void();
  const Link& link = *find(at->second.peer);
  slot->attempt = Slot::Attempt::greeting;
  slot->proof = machine_proof;
  const bool is_first = at->second.index == kAside || at->second.index == kPunch;
  const auto greeting = encode_greeting(
      {.link_secret = link.target.secret,
       .from = self_,
       .to = link.target.peer,
       .connection_index = is_first ? 0 : at->second.index,
       .connections_total = is_first ? 1 : static_cast<std::uint32_t>(link.slots.size()),
       .machine_proof = slot->proof});
  out.emplace_back(Send{socket, {greeting.begin(), greeting.end()}});
  arm(now, *find(at->second.peer));
}

void LinkTable::sent(Instant now, SocketId socket, const TcpState& state, Actions& out) {
  if (const Stranger* const stranger = strangers_.find(socket)) {
    if (stranger->is_answered) accept_stranger(now, socket, state, out);
    return;
  }
  const auto at = sockets_.find(socket);
  Slot* const slot = at == sockets_.end() ? nullptr : find_slot(at->second);
  if (slot == nullptr || slot->socket != socket || slot->attempt != Slot::Attempt::greeting) return;
  Link& link = *find(at->second.peer);
  slot->attempt = Slot::Attempt::unanswered;
  slot->answered = 0;
  slot->greeted_at = now;
  slot->due = now + kAnswerBound;
  if (!link.has_connection()) link.sides.greeted(now);
  arm(now, link);
}

void LinkTable::received_answer(Instant now, ConnectionName name, const Received& received, Actions& out) {
  Slot* const slot = find_slot(name);
  if (slot == nullptr || slot->socket != received.socket || slot->attempt != Slot::Attempt::unanswered) return;
  HAWSER_ASSERT(received.bytes.size() <= slot->answer.size() - slot->answered);
  std::copy(received.bytes.begin(), received.bytes.end(),
            slot->answer.begin() + static_cast<std::ptrdiff_t>(slot->answered));
  slot->answered += received.bytes.size();
  // Whoever speaks otherwise may never say as much as an answer has.
  if (const auto start = check_magic(std::span(slot->answer).first(slot->answered), kAnswerMagic); !start.ok())
    return attempt_failed(now, name, {.why = start.error().sentence}, out);
  if (slot->answered < slot->answer.size()) return;
  const auto answer = decode_greeting_answer(slot->answer);
  if (!answer.ok()) return attempt_failed(now, name, {.why = answer.error().sentence}, out);
  if (answer->answer != GreetingAnswer::accepted) {
    const bool is_busy = answer->answer == GreetingAnswer::refused_busy;
    return attempt_failed(now, name, {.why = is_busy ? "it is busy" : "it does not expect this link yet"}, out);
  }
  // The socket goes on as a connection.
  slot->attempt = Slot::Attempt::none;
  slot->socket = {};
  slot->due.reset();
  Link& link = *find(name.peer);
  const Digest128 proof = slot->proof;
  const bool is_through = name.index == kAside && link.aside_is_through;
  const bool is_punch = name.index == kPunch;
  const bool is_punched = is_punch && slot->is_crossed;
  const Address address = slot->to;
  link.sides.ours_established(now, is_through || is_punched);
  if (is_punch && !is_punched) link.dial_to = address;
  // What the system tells of the way to a go-between is not the whole of it.
  const Duration round_trip = is_through ? now - slot->greeted_at : received.state.round_trip;
  const bool is_first = name.index == kAside || is_punch;
  if (is_first) take_place_of_all(link, out);
  establish(now, {name.peer, is_first ? 0 : name.index},
            {.socket = received.socket,
             .same_machine = !is_through && proof != Digest128{} && proof == answer->machine_proof,
             .is_through = is_through,
             .is_punched = is_punched,
             .address = address,
             .by = link.by,
             .round_trip = round_trip,
             .fills_alone = received.state.fills_alone},
            out);
}

void LinkTable::stop_attempt(Slot& slot, Actions& out) {
  slot.attempt = Slot::Attempt::none;
  slot.due.reset();
  const SocketId socket = std::exchange(slot.socket, {});
  if (socket == SocketId{}) return;
  sockets_.erase(socket);
  out.emplace_back(Close{socket});
}

void LinkTable::dial_failed(Instant now, SocketId socket, const DialFailure& failure, Actions& out) {
  const auto at = sockets_.find(socket);
  if (at == sockets_.end()) return;
  const ConnectionName name = at->second;
  const Slot* const slot = find_slot(name);
  if (slot != nullptr && slot->socket == socket) attempt_failed(now, name, failure, out);
}

void LinkTable::attempt_failed(Instant now, ConnectionName name, const DialFailure& failure, Actions& out) {
  Link& link = *find(name.peer);
  if (name.index == kAside) return aside_failed(now, link, failure.why, out);
  if (name.index == kPunch) return punch_failed(now, link, failure, out);
  note_failure(now, link, link.slots[name.index].to, failure.why);
  if (!link.has_connection()) link.dial_to.reset();
  out.emplace_back(LogEvent{LogLevel::debug, "dial-failed",
                            "connection " + std::to_string(name.index) + " to " + link.target.name +
                                " was not established: " + failure.why});
  redial_later(now, link, link.slots[name.index], out);
  tell_straight_failed(link, out);
  if (failure.was_refused && link.sides.has_got_through() && !link.has_connection())
    out.emplace_back(Refused{name.peer});
  link.sides.attempt_ended();
  judge_held(now, name.peer, out);
  arm(now, link);
}

void LinkTable::redial_later(Instant now, Link& link, Slot& slot, Actions& out) {
  stop_attempt(slot, out);
  if (slot.established_at && now - *slot.established_at > kWasGood) slot.delay = kRedialFirst;
  slot.established_at.reset();
  // Between three quarters and five quarters, so that the redials of a broken machine do not march in step.
  slot.attempt = Slot::Attempt::waiting;
  slot.due = now + slot.delay * random_.between(750, 1250) / 1000;
  if (link.straight_not_before && has_go_between(link.target.peer))
    slot.due = std::max(*slot.due, *link.straight_not_before);
  slot.delay = std::clamp(slot.delay * 2, kRedialFirst, kRedialMax);
}

}  // namespace hawser::links
