/// The accepting side of links: strangers, until they have said which link they are of.
#include <algorithm>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "links/link_table.hpp"
#include "wire/magic.hpp"

namespace hawser::links {
namespace {

std::vector<std::byte> bytes_of(GreetingAnswer answer, const Digest128& machine_proof = {}) {
  const auto bytes = encode_greeting_answer(answer, machine_proof);
  return {bytes.begin(), bytes.end()};
}

/// Both ends have found the same proof.
bool proves_same_machine(const Digest128& mine, const Digest128& theirs) {
  return mine != Digest128{} && mine == theirs;
}

}  // namespace

std::optional<SocketId> LinkTable::accepted(Instant now, Newcomer newcomer, Actions& out) {
  if (!strangers_.may_open(now, newcomer.source)) return std::nullopt;
  make_room(newcomer.source, out);
  return strangers_
      .add(now, {.socket = new_socket(),
                 .source = std::move(newcomer.source),
                 .remote_host = std::move(newcomer.remote_host),
                 .machine_proof = newcomer.machine_proof,
                 .is_through = newcomer.is_through,
                 .is_punched = newcomer.is_punched,
                 .by = newcomer.by})
      .socket;
}

void LinkTable::make_room(const std::string& source, Actions& out) {
  const Stranger* const oldest = strangers_.in_the_way_of(source);
  if (oldest == nullptr) return;
  if (oldest->greeting)
    refuse(oldest->socket, GreetingAnswer::refused_busy,
           "too many connections wait for their link, and it is the oldest", out);
  else
    turn_away(oldest->socket, "too many connections have not said who they are, and it is the oldest", out);
}

void LinkTable::received(Instant now, const Received& received, Actions& out) {
  if (Stranger* const stranger = strangers_.find(received.socket))
    return received_of_stranger(now, *stranger, received, out);
  const auto at = sockets_.find(received.socket);
  if (at != sockets_.end()) received_answer(now, at->second, received, out);
}

void LinkTable::received_of_stranger(Instant now, Stranger& stranger, const Received& received, Actions& out) {
  const std::span<const std::byte> bytes = received.bytes;
  stranger.key = received.key;
  const std::size_t missing = stranger.received.size() - stranger.count;
  const auto kept = bytes.first(std::min(bytes.size(), missing));
  std::copy(kept.begin(), kept.end(), stranger.received.begin() + static_cast<std::ptrdiff_t>(stranger.count));
  stranger.count += kept.size();
  const auto so_far = std::span(stranger.received).first(stranger.count);
  if (const auto start = check_greeting_start(so_far); !start.ok()) {
    // Whoever takes this for a master's port learns by the answer that it is none.
    if (check_magic(so_far, kControlMagic).ok())
      return refuse(stranger.socket, GreetingAnswer::refused_unknown, start.error().sentence, out);
    return turn_away(stranger.socket, start.error().sentence, out);
  }
  if (bytes.size() > missing) return turn_away(stranger.socket, "it went on talking without an answer", out);
  if (stranger.count < stranger.received.size()) return;
  const auto greeting = decode_greeting(stranger.received);
  if (!greeting.ok()) return turn_away(stranger.socket, greeting.error().sentence, out);
  stranger.greeting = *greeting;
  stranger.deadline = now + strangers_.bounds().held;
  judge(now, stranger.socket, out);
}

void LinkTable::judge(Instant now, SocketId socket, Actions& out) {
  Stranger* const stranger = strangers_.find(socket);
  if (stranger == nullptr || !stranger->greeting || stranger->is_answered) return;
  const LinkGreeting& greeting = *stranger->greeting;
  const bool is_meeting = greeting.kind != GreetingKind::link;
  if ((greeting.to == self_) == is_meeting)
    return refuse(socket, GreetingAnswer::refused_unknown, "it looks for a peer that is not here", out);
  Link* const link = find(greeting.from);
  // Else the two sides are not in the same view yet: hold it until this one has caught up.
  if (link == nullptr) return;
  if (link->target.secret != greeting.link_secret && !planted(PlantedFault::open_door)) return;
  if (link->target.key && link->target.key != stranger->key && !planted(PlantedFault::any_link_key))
    return refuse(socket, GreetingAnswer::refused_unknown,
                  "it poses as " + link->target.name + ", and has another key than that peer", out);
  if (is_meeting) return judge_meeting(now, *stranger, *link, out);
  // It takes connections, and nothing on them.
  if (link->is_through && link->has_connection() && !stranger->is_through && link->straight_not_before &&
      now < *link->straight_not_before)
    return refuse(socket, GreetingAnswer::refused_busy, "the straight way is left alone for a while", out);
  if (comes_too_late(now, *stranger, *link))
    return refuse(socket, GreetingAnswer::refused_busy, "the link has just come to be another way", out);
  if (link->sides.judge(now) != LinkSides::Verdict::accept) return arm(now, *link);
  stranger->is_answered = true;
  out.emplace_back(Send{socket, bytes_of(GreetingAnswer::accepted, stranger->machine_proof)});
}

/// Greetings of this peer that are held.
void LinkTable::judge_held(Instant now, PeerId peer, Actions& out) {
  for (const SocketId socket : strangers_.held_of(peer)) judge(now, socket, out);
}

/// The accepting answer is written.
void LinkTable::accept_stranger(Instant now, SocketId socket, const TcpState& state, Actions& out) {
  const Stranger stranger = *strangers_.find(socket);
  const LinkGreeting& greeting = *stranger.greeting;
  Link* const link = find(greeting.from);
  if (link == nullptr) return turn_away(socket, "its link was closed meanwhile", out);
  strangers_.remove(socket);
  if (link->sides.dialler() != LinkSides::Dialler::theirs) leave_dialling(*link, out);
  for (Slot& slot : link->slots) stop_attempt(slot, out);
  link->sides.theirs_established(now);
  // The other side knows that the straight way is dead, or that it is not.
  const bool changes_way = stranger.is_through || stranger.is_punched || link->is_single();
  if (changes_way) take_place_of_all(*link, out);
  if (changes_way && greeting.connection_index != 0 && !link->slots.empty())
    close_slot(*link, 0, "the link takes another way", out);
  if (link->slots.size() < greeting.connections_total) link->slots.resize(greeting.connections_total);
  HAWSER_ASSERT(greeting.connection_index < link->slots.size());
  establish(now, {greeting.from, greeting.connection_index},
            {.socket = socket,
             .same_machine = proves_same_machine(stranger.machine_proof, greeting.machine_proof),
             .is_through = stranger.is_through,
             .is_punched = stranger.is_punched,
             .address = {.host = stranger.remote_host},
             .by = stranger.by,
             .round_trip = stranger.is_through ? 2 * state.round_trip : state.round_trip,
             .fills_alone = state.fills_alone},
            out);
}

void LinkTable::refuse(SocketId socket, GreetingAnswer answer, const std::string& why, Actions& out) {
  out.emplace_back(Send{socket, bytes_of(answer)});
  turn_away(socket, why, out);
}

void LinkTable::turn_away(SocketId socket, const std::string& why, Actions& out) {
  const Stranger* const stranger = strangers_.find(socket);
  out.emplace_back(LogEvent{LogLevel::info, "stranger-closed",
                            "a connection from " + stranger->remote_host + " is closed: " + why});
  strangers_.remove(socket);
  out.emplace_back(Close{socket});
}

void LinkTable::sweep(Instant now, Actions& out) {
  for (const SocketId socket : strangers_.late(now)) {
    if (strangers_.find(socket)->waits_to_meet)
      refuse(socket, GreetingAnswer::refused_unknown, "whom it wants to reach has not come", out);
    else if (strangers_.find(socket)->greeting)
      refuse(socket, GreetingAnswer::refused_unknown, "no link to it was opened here in time", out);
    else
      turn_away(socket, "it did not say who it is in time", out);
  }
}

}  // namespace hawser::links
