#include "sim/stranger.hpp"

#include <optional>
#include <utility>

#include "sim/keys.hpp"
#include "sim/violation.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

namespace {

std::optional<PeerId> id_in(const PeerMessage& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) return hello->who.id;
  if (const auto* resume = std::get_if<Resume>(&message)) return resume->who.id;
  return std::nullopt;
}

}  // namespace

Stranger::Stranger(World& world, std::string name, std::string host)
    : world_(world), name_(std::move(name)), host_(std::move(host)) {
  who = {.id = {world_.random.next()},
         .token = world_.random.next(),
         .name = name_,
         .address = {.host = "", .port = 4000},
         .machine = world_.random.next()};
  world_.names.call(who.id, name_);
  if (world_.profile.network.keys) draw_badge();
}

/// Nobody without a right key gets a word in, whatever it has learnt of the run.
void Stranger::draw_badge() {
  Random& random = world_.random;
  const std::uint64_t kind = random.below(4);
  if (kind == 0) return;
  badge_ = Badge{.key = key_of(random.next()), .name = name_, .role = kind == 1 ? Role::observer : Role::member};
  if (kind != 2) return;
  world_.coverage.saw("stranger: with a banned key");
  badge_->key = kBannedKey;
}

void Stranger::check_what_it_is_told(const MasterMessage& message) const {
  if (!world_.profile.network.keys || std::holds_alternative<Refused>(message)) return;
  const bool is_banned = badge_ && badge_->key == kBannedKey;
  if (badge_ && !is_banned && badge_->role == Role::member) return;
  const bool is_status = std::holds_alternative<RunStatus>(message) || std::holds_alternative<Measures>(message);
  if (badge_ && !is_banned && is_status) return;
  throw Violation(name_ + " has no right to it, and was told: " + world_.names.of(message));
}

void Stranger::in_process(Duration delay, EventQueue::Task task) { world_.queue.after(delay, std::move(task)); }

bool Stranger::is_connected() const { return control.connection != nullptr && control.connection->peer_up; }

void Stranger::dial() {
  if (has_gone_ || control.connection || control.dial != 0) return;
  ++who.connection;
  world_.control.dial(*this);
}

void Stranger::say(PeerMessage message) {
  if (!is_connected()) return;
  // Where strangers may become members, they call nothing, or anything.
  if (const auto id = id_in(message); id && !world_.profile.faults.gentle) world_.checker.called_otherwise(*id);
  if (world_.tracing()) world_.trace(name_ + " -> master: " + world_.names.of(message));
  world_.control.send(*this, std::move(message));
}

void Stranger::hang_up() {
  if (world_.tracing() && control.connection) world_.trace(name_ + " hangs up");
  world_.control.close(*this, "it has said enough");
}

void Stranger::go() {
  has_gone_ = true;
  hang_up();
}

void Stranger::hear(const EngineEvent& event) {
  if (const auto* const said = std::get_if<MasterSaid>(&event)) check_what_it_is_told(said->message);
  if (!world_.tracing()) return;
  if (const auto* said = std::get_if<MasterSaid>(&event))
    world_.trace(name_ + " <- master: " + world_.names.of(said->message));
  if (const auto* down = std::get_if<MasterDown>(&event)) world_.trace(name_ + " <- master is down: " + down->reason);
}

}  // namespace hawser::sim
