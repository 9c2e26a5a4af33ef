/// The accepting side of links: strangers, until they have said which link they are of.
#include <algorithm>
#include <asio/buffer.hpp>

#include "transport/links_state.hpp"
#include "wire/magic.hpp"

namespace hawser::transport {

void Links::accepted(Tcp::socket socket, const std::string& remote_host) {
  const std::string source = source_of(socket);
  if (!may_open(source)) return;
  make_room(source);
  auto stranger = std::make_shared<Stranger>(std::move(socket), remote_host);
  stranger->source = source;
  stranger->deadline = Clock::now() + config_.greeting_bound;
  strangers_.push_back(stranger);
  arm_sweep();
  read_greeting(stranger);
}

/// One address may open so many in a time. What comes beyond is closed unread.
bool Links::may_open(const std::string& source) {
  constexpr std::size_t kSourcesKept = 1024;
  const Instant now = instant_now();
  if (opens_.size() >= kSourcesKept) std::erase_if(opens_, [&](const auto& entry) { return entry.second.is_full(now); });
  return opens_.try_emplace(source, config_.opens_per_source).first->second.take(now);
}

void Links::read_greeting(const std::shared_ptr<Stranger>& stranger) {
  stranger->socket.async_wait(Tcp::socket::wait_read, [this, stranger](const std::error_code& failure) {
    if (stranger->over || failure == asio::error::operation_aborted) return;
    // One byte more than a greeting: a dialler says nothing further until it is answered.
    std::array<std::byte, kGreetingBytes + 1> bytes;
    std::error_code error;
    const std::size_t missing = stranger->received.size() - stranger->count;
    const std::size_t count = stranger->socket.read_some(asio::buffer(bytes.data(), missing + 1), error);
    if (error && !is_wait(error)) {
      turn_away(stranger, reason_of(error));
    } else if (count > missing) {
      turn_away(stranger, "it went on talking without an answer");
    } else {
      std::copy_n(bytes.begin(), count,
                  stranger->received.begin() + static_cast<std::ptrdiff_t>(stranger->count));
      stranger->count += count;
      const auto start = check_greeting_start(std::span(stranger->received).first(stranger->count));
      if (!start.ok()) {
        // Whoever takes this for a master's port learns by the answer that it is none.
        const bool asks_a_master = check_magic(std::span(stranger->received).first(stranger->count), kControlMagic).ok();
        if (asks_a_master)
          refuse(stranger, GreetingAnswer::refused_unknown, start.error().sentence);
        else
          turn_away(stranger, start.error().sentence);
      } else {
        // A held one is watched too: it may go again.
        read_greeting(stranger);
        if (!stranger->greeting && stranger->count == stranger->received.size()) {
          const auto greeting = decode_greeting(stranger->received);
          if (greeting.ok()) {
            stranger->greeting = *greeting;
            stranger->deadline = Clock::now() + config_.held_bound;
            arm_sweep();
            judge(stranger);
          } else {
            turn_away(stranger, greeting.error().sentence);
          }
        }
      }
    }
    traffic_.settle();
  });
}

void Links::judge(const std::shared_ptr<Stranger>& stranger) {
  const LinkGreeting& greeting = *stranger->greeting;
  if (greeting.to != self_)
    return refuse(stranger, GreetingAnswer::refused_unknown, "it looks for a peer that is not here");
  Link* link = find(greeting.from);
  // Else the two sides are not in the same view yet: hold it until this one has caught up.
  if (link == nullptr || link->target.secret != greeting.link_secret) return;
  if (link->sides.judge(instant_now()) == LinkSides::Verdict::accept)
    admit(stranger, *link);
  else
    arm_sides(*link);
}

/// Greetings of this peer that were held.
void Links::judge_waiting(PeerId peer) {
  StrangerList waiting;
  for (const auto& stranger : strangers_)
    if (stranger->greeting && stranger->greeting->from == peer) waiting.push_back(stranger);
  for (const auto& stranger : waiting)
    if (!stranger->over) judge(stranger);
}

void Links::admit(const std::shared_ptr<Stranger>& stranger, Link& link) {
  const Digest128 proof = machine_proof(stranger->socket, false);
  const auto answer = encode_greeting_answer(GreetingAnswer::accepted, proof);
  std::error_code error;
  if (stranger->socket.write_some(asio::buffer(answer), error) != answer.size())
    return turn_away(stranger, "it cannot be answered");
  if (link.sides.dialler() != LinkSides::Dialler::theirs) leave_dialling(link);
  for (const auto& slot : link.slots) stop_attempt(*slot);
  link.sides.theirs_stands(instant_now());
  while (link.slots.size() < stranger->greeting->connections_total)
    link.slots.push_back(std::make_shared<Slot>(io_, link, static_cast<std::uint32_t>(link.slots.size())));
  const std::shared_ptr<Slot> slot = link.slots[stranger->greeting->connection_index];
  forget(stranger);
  stranger->socket.cancel(error);
  stand(slot, std::move(stranger->socket), proves_same_machine(proof, stranger->greeting->machine_proof));
}

void Links::refuse(const std::shared_ptr<Stranger>& stranger, GreetingAnswer answer, const std::string& why) {
  const auto bytes = encode_greeting_answer(answer);
  std::error_code ignored;
  stranger->socket.write_some(asio::buffer(bytes), ignored);
  turn_away(stranger, why);
}

void Links::turn_away(const std::shared_ptr<Stranger>& stranger, const std::string& why) {
  log(LogLevel::info, "stranger-closed", "a connection from " + stranger->remote_host + " is closed: " + why);
  forget(stranger);
  std::error_code ignored;
  stranger->socket.close(ignored);
}

void Links::forget(const std::shared_ptr<Stranger>& stranger) {
  stranger->over = true;
  strangers_.remove(stranger);
}

/// The oldest goes, of the address that the new one comes from if that has its share already: first one that has not said
/// who it is.
void Links::make_room(const std::string& source) {
  const auto is_of_source = [&](const auto& stranger) { return stranger->source == source; };
  const auto of_source =
      static_cast<std::size_t>(std::count_if(strangers_.begin(), strangers_.end(), is_of_source));
  const bool too_many_of_it = of_source >= config_.strangers_per_source_max;
  if (!too_many_of_it && strangers_.size() < config_.strangers_max) return;
  const auto may_go = [&](const auto& stranger) { return !too_many_of_it || is_of_source(stranger); };
  auto oldest = std::find_if(strangers_.begin(), strangers_.end(), [&](const auto& stranger) {
    return may_go(stranger) && !stranger->greeting.has_value();
  });
  if (oldest != strangers_.end())
    return turn_away(std::shared_ptr<Stranger>(*oldest),
                     "too many connections have not said who they are, and it is the oldest");
  oldest = std::find_if(strangers_.begin(), strangers_.end(), may_go);
  refuse(std::shared_ptr<Stranger>(*oldest), GreetingAnswer::refused_busy,
         "too many connections wait for their link, and it is the oldest");
}

void Links::arm_sweep() {
  if (strangers_.empty()) return;
  auto first = Clock::time_point::max();
  for (const auto& stranger : strangers_) first = std::min(first, stranger->deadline);
  if (sweeping_ && sweep_.expiry() <= first) return;
  sweeping_ = true;
  sweep_.expires_at(first);
  sweep_.async_wait([this](const std::error_code& error) {
    if (error) return;
    sweeping_ = false;
    sweep();
    traffic_.settle();
  });
}

void Links::sweep() {
  const auto now = Clock::now();
  StrangerList late;
  for (const auto& stranger : strangers_)
    if (stranger->deadline <= now) late.push_back(stranger);
  for (const auto& stranger : late) {
    if (stranger->greeting)
      refuse(stranger, GreetingAnswer::refused_unknown, "no link to it was opened here in time");
    else
      turn_away(stranger, "it did not say who it is in time");
  }
  arm_sweep();
}

}  // namespace hawser::transport
