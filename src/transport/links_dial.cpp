/// The dialling side of links: when to dial, dial, greet, and again when it broke.
#include <algorithm>
#include <utility>
#include <asio/buffer.hpp>

#include "transport/links_state.hpp"

namespace hawser::transport {
namespace {

constexpr Clock::duration kRedialMax = std::chrono::milliseconds(1000);
/// A connection that stood for so long was a good one: its redial starts with the shortest delay again.
constexpr Clock::duration kStoodWell = std::chrono::seconds(1);
/// Longer than the other side holds a greeting.
constexpr Clock::duration kAnswerBound = std::chrono::seconds(8);

}  // namespace

void Links::arm_sides(Link& link) {
  auto next = link.sides.dial_at();
  const bool holds = std::any_of(strangers_.begin(), strangers_.end(), [&](const auto& stranger) {
    return stranger->greeting && stranger->greeting->from == link.target.peer;
  });
  if (holds) next = earlier(next, link.sides.next_look(instant_now()));
  link.look.cancel();
  if (!next) return;
  link.look.expires_at(Clock::time_point(std::chrono::duration_cast<Clock::duration>(next->time_since_epoch())));
  link.look.async_wait([this, peer = link.target.peer](const std::error_code& error) {
    if (error) return;
    judge_waiting(peer);
    if (Link* const kept = find(peer)) look_at_sides(*kept);
    traffic_.settle();
  });
}

/// Begins to dial if it is time.
void Links::look_at_sides(Link& link) {
  const auto due = link.sides.dial_at();
  if (due && *due <= instant_now()) {
    // What the other side had dialled is gone.
    while (link.slots.size() > 1) {
      link.slots.back()->link = nullptr;
      link.slots.pop_back();
    }
    link.sides.dialling();
    if (link.slots.empty()) link.slots.push_back(std::make_shared<Slot>(io_, link, 0));
    link.slots.front()->delay = kRedialFirst;
    dial(link, 0);
  }
  arm_sides(link);
}

/// The other side got through first, or has lost what this side had dialled.
void Links::leave_dialling(Link& link) {
  for (const auto& slot : std::exchange(link.slots, {})) {
    slot->link = nullptr;
    stop_attempt(*slot);
    if (!slot->standing) continue;
    slot->standing->close();
    slot->standing.reset();
    traffic_.link_down({link.target.peer, slot->index}, slot->incarnation, "the other side dials this link from now on");
  }
  link.count.reset();
}

void Links::dial(Link& link, std::uint32_t index) {
  const std::shared_ptr<Slot> slot = link.slots[index];
  const std::uint64_t attempt = ++slot->attempt;
  slot->dialling = Dial::start(
      io_, names_, link.target.address,
      [this, slot, attempt](Result<Tcp::socket> result) {
        if (attempt != slot->attempt) return;
        const bool was_refused = slot->dialling && slot->dialling->was_refused();
        slot->dialling.reset();
        if (result.ok())
          greet(slot, std::move(result.value()));
        else
          attempt_failed(slot, result.error().sentence, was_refused);
        traffic_.settle();
      },
      link.target.peer.value);
}

void Links::dial_up_to(Link& link, std::size_t connections) {
  while (link.slots.size() < connections) {
    const auto index = static_cast<std::uint32_t>(link.slots.size());
    link.slots.push_back(std::make_shared<Slot>(io_, link, index));
    link.slots.back()->delay = kRedialFirst;
    dial(link, index);
  }
}

void Links::greet(const std::shared_ptr<Slot>& slot, Tcp::socket socket) {
  const LinkTarget& target = slot->link->target;
  slot->proof = machine_proof(socket, true);
  const auto greeting =
      encode_greeting({.link_secret = target.secret,
                       .from = self_,
                       .to = target.peer,
                       .connection_index = slot->index,
                       .connections_total = static_cast<std::uint32_t>(slot->link->slots.size()),
                       .machine_proof = slot->proof});
  std::error_code error;
  if (socket.write_some(asio::buffer(greeting), error) != greeting.size())
    return attempt_failed(slot, error ? reason_of(error) : "the greeting cannot be sent");
  slot->greeting = std::make_shared<Tcp::socket>(std::move(socket));
  if (!slot->link->has_connection()) slot->link->sides.greeted(instant_now());
  slot->answered = 0;
  slot->timer.expires_after(kAnswerBound);
  slot->timer.async_wait([this, slot, attempt = slot->attempt](const std::error_code& late) {
    if (late || attempt != slot->attempt) return;
    attempt_failed(slot, "the greeting is not answered");
    traffic_.settle();
  });
  read_answer(slot);
}

void Links::read_answer(const std::shared_ptr<Slot>& slot) {
  slot->greeting->async_wait(Tcp::socket::wait_read, [this, slot, attempt = slot->attempt](
                                                         const std::error_code& failure) {
    if (attempt != slot->attempt || failure == asio::error::operation_aborted) return;
    std::error_code error;
    slot->answered += slot->greeting->read_some(
        asio::buffer(slot->answer.data() + slot->answered, slot->answer.size() - slot->answered), error);
    if (error && !is_wait(error)) {
      attempt_failed(slot, reason_of(error));
    } else if (slot->answered < slot->answer.size()) {
      read_answer(slot);
    } else {
      const auto answer = decode_greeting_answer(slot->answer);
      if (!answer.ok()) {
        attempt_failed(slot, answer.error().sentence);
      } else if (answer->answer == GreetingAnswer::accepted) {
        Tcp::socket socket = std::move(*slot->greeting);
        stop_attempt(*slot);
        slot->link->sides.ours_stands(instant_now());
        stand(slot, std::move(socket), proves_same_machine(slot->proof, answer->machine_proof));
      } else {
        attempt_failed(slot, answer->answer == GreetingAnswer::refused_busy ? "it is busy"
                                                                            : "it does not expect this link yet");
      }
    }
    traffic_.settle();
  });
}

void Links::stop_attempt(Slot& slot) {
  ++slot.attempt;
  if (slot.dialling) slot.dialling->close();
  slot.dialling.reset();
  std::error_code ignored;
  if (slot.greeting) slot.greeting->close(ignored);
  slot.greeting.reset();
  slot.timer.cancel();
}

void Links::attempt_failed(const std::shared_ptr<Slot>& slot, const std::string& why, bool was_refused) {
  Link& link = *slot->link;
  const PeerId peer = link.target.peer;
  log(LogLevel::debug, "dial-failed",
      "connection " + std::to_string(slot->index) + " to " + slot->link->target.name +
          " did not come to stand: " + why);
  redial_later(slot);
  if (was_refused && link.sides.has_got_through() && !link.has_connection()) traffic_.link_refused(peer);
  link.sides.attempt_ended();
  judge_waiting(peer);
  if (Link* const kept = find(peer)) arm_sides(*kept);
}

void Links::redial_later(const std::shared_ptr<Slot>& slot) {
  stop_attempt(*slot);
  if (slot->standing_since != Clock::time_point{} && Clock::now() - slot->standing_since > kStoodWell)
    slot->delay = kRedialFirst;
  slot->standing_since = {};
  // Between three quarters and five quarters, so that the redials of a broken machine do not march in step.
  const auto quarters = static_cast<std::int64_t>(random_.between(750, 1250));
  slot->timer.expires_after(slot->delay * quarters / 1000);
  slot->delay = std::clamp(slot->delay * 2, kRedialFirst, kRedialMax);
  slot->timer.async_wait([this, slot, attempt = slot->attempt](const std::error_code& error) {
    if (error || attempt != slot->attempt || slot->link == nullptr) return;
    dial(*slot->link, slot->index);
  });
}

}  // namespace hawser::transport
