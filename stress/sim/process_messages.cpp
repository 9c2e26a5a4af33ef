#include <cstring>
#include <utility>

#include "sim/process.hpp"
#include "sim/world.hpp"

/// Messages: who sends one tells the other process, which receives it some time later, as two scripts would that have
/// agreed on it.
namespace hawser::sim {

void Process::send_message(Process& to, std::uint64_t tag, std::size_t bytes) {
  const EngineInfo known = info();
  if (!known.connected || known.view.find(to.id()) == nullptr) return;
  Call& call = start_call(Call::Kind::message);
  const CallId id = call.id;
  auto letter = std::make_unique<Letter>();
  letter->tag = tag;
  letter->other = to.id();
  letter->bytes = bytes;
  letter->memory = std::make_unique<std::byte[]>(bytes);
  letter->number = world_.letters.write(id_, *letter);
  MessageCall event{.call = id, .peer = letter->other, .tag = tag, .data = {letter->memory.get(), bytes}};
  event.bound = milliseconds(world_.random.between(200, 20'000));
  call.letter = std::move(letter);
  if (world_.tracing()) world_.trace(name_ + " sends a message of " + std::to_string(bytes) + " bytes to " + to.name());
  const bool from_anybody = world_.random.chance(1, 8);
  Process* const receiver = &to;
  to.in_process(milliseconds(world_.random.between(0, 500)), [receiver, from = id_, from_anybody, tag, bytes] {
    receiver->receive_message(from_anybody ? std::nullopt : std::optional(from), tag, bytes);
  });
  deliver(event);
}

void Process::receive_message(std::optional<PeerId> from, std::uint64_t tag, std::size_t bytes) {
  if (gone() || !info().connected) return;
  Call& call = start_call(Call::Kind::message);
  const CallId id = call.id;
  call.letter = std::make_unique<Letter>(Letter{.tag = tag,
                                                .other = from.value_or(PeerId{}),
                                                .is_received = true,
                                                .memory = std::make_unique<std::byte[]>(bytes),
                                                .bytes = bytes});
  MessageCall event{.call = id, .receives = true, .any = !from, .peer = from, .tag = tag};
  event.into = {call.letter->memory.get(), bytes};
  event.bound = milliseconds(world_.random.between(200, 20'000));
  if (world_.tracing()) world_.trace(name_ + " receives a message of " + std::to_string(bytes) + " bytes");
  deliver(event);
}

void Process::message_ended(Call call, const CallDone& done) {
  Letter& letter = *call.letter;
  const bool is_success = done.error.status == Status::success;
  if (world_.tracing())
    world_.trace(name_ + ": message " + (letter.is_received ? "received: " : "sent: ") + world_.names.of(done.error));
  world_.queue.remember(static_cast<std::uint64_t>(done.error.status) + call.id.value);
  world_.coverage.saw("call: message " + std::string(letter.is_received ? "received, " : "sent, ") +
                      status_name(done.error.status));
  if (letter.is_received && is_success)
    world_.letters.received(name_, done.info->contributors.at(0), id_, call.id, letter);
  else if (letter.is_received && (letter.other == PeerId{} || met_.contains(letter.other)))
    world_.letters.not_received(name_, id_, letter, call.made, done.error);
  else if (is_success)
    world_.letters.sent(id_, letter, world_.queue.now());
  world_.quarantine.take(std::move(letter.memory), letter.bytes);
}

}  // namespace hawser::sim
