#include "links/link_table.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"

namespace hawser::links {

namespace {

/// A go-between that has held a link for so long is a good one.
constexpr Duration kThroughHolds = seconds(10);

std::string describe(const LinkTarget& target) { return target.name + " at " + to_string(target.address); }

}  // namespace

bool LinkTable::Link::has_connection() const {
  return std::any_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.established != SocketId{}; });
}

LinkTable::LinkTable(const LinkTableConfig& config)
    : config_(config), random_(config.seed), strangers_(config.strangers) {
  HAWSER_ASSERT(config_.connections_per_link <= limits::kConnectionsPerLinkMax);
}

// ------------------------------------------------------------------------------------------- getters

std::optional<Instant> LinkTable::next_deadline() const {
  std::optional<Instant> next = earlier(strangers_.next_deadline(), sample_at_);
  if (!deadlines_.empty()) next = earlier(next, deadlines_.begin()->first);
  return next;
}

std::size_t LinkTable::bytes_wanted(SocketId socket) const {
  // One byte more than a greeting: a dialler sends nothing further until it is answered.
  if (const Stranger* const stranger = strangers_.find(socket)) return stranger->received.size() - stranger->count + 1;
  const auto at = sockets_.find(socket);
  if (at == sockets_.end()) return 0;
  const Slot* const slot = find_slot(at->second);
  if (slot == nullptr || slot->socket != socket || slot->attempt != Slot::Attempt::unanswered) return 0;
  return slot->answer.size() - slot->answered;
}

bool LinkTable::knows(SocketId socket) const {
  return strangers_.find(socket) != nullptr || sockets_.contains(socket) || joined_.contains(socket);
}

std::optional<SocketId> LinkTable::established(ConnectionName name) const {
  const Slot* const slot = find_slot(name);
  if (slot == nullptr || slot->established == SocketId{}) return std::nullopt;
  return slot->established;
}

bool LinkTable::is_established(ConnectionName name, std::uint64_t incarnation) const {
  const Slot* const slot = find_slot(name);
  return slot != nullptr && slot->established != SocketId{} && slot->incarnation == incarnation;
}

std::size_t LinkTable::connections(PeerId peer) const {
  const Link* const link = find(peer);
  return link == nullptr ? 0 : link->slots.size();
}

bool LinkTable::is_through(PeerId peer) const {
  const Link* const link = find(peer);
  return link != nullptr && link->is_through && link->has_connection();
}

LinkSides::Dialler LinkTable::dialler(PeerId peer) const {
  const Link* const link = find(peer);
  return link == nullptr ? LinkSides::Dialler::undecided : link->sides.dialler();
}

LinkTable::Link* LinkTable::find(PeerId peer) {
  const auto at = links_.find(peer);
  return at == links_.end() ? nullptr : &at->second;
}

const LinkTable::Link* LinkTable::find(PeerId peer) const {
  const auto at = links_.find(peer);
  return at == links_.end() ? nullptr : &at->second;
}

LinkTable::Slot* LinkTable::find_slot(ConnectionName name) {
  Link* const link = find(name.peer);
  if (link != nullptr && name.index == kAside) return &link->aside;
  if (link != nullptr && name.index == kPunch) return &link->punch;
  return link != nullptr && name.index < link->slots.size() ? &link->slots[name.index] : nullptr;
}

const LinkTable::Slot* LinkTable::find_slot(ConnectionName name) const {
  const Link* const link = find(name.peer);
  if (link != nullptr && name.index == kAside) return &link->aside;
  if (link != nullptr && name.index == kPunch) return &link->punch;
  return link != nullptr && name.index < link->slots.size() ? &link->slots[name.index] : nullptr;
}

// --------------------------------------------------------------------------------- opening and closing

void LinkTable::set_self(PeerId self) {
  close_all();
  self_ = self;
}

void LinkTable::close_all() {
  links_.clear();
  deadlines_.clear();
  sockets_.clear();
  strangers_.clear();
  joined_.clear();
  sample_at_.reset();
}

void LinkTable::close(PeerId peer, Actions& out) {
  const auto at = links_.find(peer);
  if (at == links_.end()) return;
  close_link(at->second, out);
  links_.erase(at);
  part_all_of(peer, std::nullopt, out);
}

void LinkTable::close_link(Link& link, Actions& out) {
  disarm(link);
  stop_attempt(link.aside, out);
  stop_attempt(link.punch, out);
  for (Slot& slot : link.slots) {
    stop_attempt(slot, out);
    if (slot.established == SocketId{}) continue;
    out.emplace_back(Close{slot.established});
    forget_established(slot);
  }
}

void LinkTable::open(Instant now, const LinkTarget& target, Actions& out) {
  const auto [at, is_new] = links_.try_emplace(target.peer);
  Link& link = at->second;
  const bool same = !is_new && link.target.secret == target.secret && link.target.address == target.address &&
                    link.target.dial_after == target.dial_after && link.target.key == target.key;
  link.target = target;
  if (same) return arm_those_that_are_down(now);
  for (Slot& slot : link.slots) stop_attempt(slot, out);
  stop_attempt(link.aside, out);
  stop_attempt(link.punch, out);
  link.asides = link.punches = 0;
  link.punch_at.reset();
  link.dial_to.reset();
  link.straight_not_before.reset();
  if (!link.has_connection()) {
    link.sides = {};
    link.sides.begin(now, self_ < target.peer, target.dial_after);
    link.down_since = now;
  } else if (link.dials()) {
    for (std::uint32_t index = 0; index < link.slots.size(); ++index) {
      link.slots[index].delay = kRedialFirst;
      if (link.slots[index].established == SocketId{}) dial(link, index, out);
    }
  }
  // Greetings that came before this side was told of their link.
  judge_held(now, target.peer, out);
  look_at_sides(now, link, out);
}

void LinkTable::drop(Instant now, ConnectionName name, Actions& out) {
  Slot* const slot = find_slot(name);
  if (slot == nullptr || slot->established == SocketId{}) return;
  Link& link = *find(name.peer);
  out.emplace_back(Close{slot->established});
  forget_established(*slot);
  if (!link.has_connection()) all_down(now, link);
  if (link.dials()) redial_later(now, link, *slot, out);
  arm(now, link);
}

void LinkTable::all_down(Instant now, Link& link) {
  link.sides.all_down(now);
  // A go-between that does not hold is asked last the next time.
  if (link.is_through && now - link.established_at < kThroughHolds) link.unlucky_by = link.by;
  link.down_since = now;
  link.asides = link.punches = 0;
  link.aside_at.reset();
  link.punch_at.reset();
}

void LinkTable::forget_established(Slot& slot) {
  sockets_.erase(slot.established);
  slot.established = {};
}

void LinkTable::close_slot(Link& link, std::uint32_t index, const char* reason, Actions& out) {
  Slot& slot = link.slots[index];
  stop_attempt(slot, out);
  if (slot.established == SocketId{}) return;
  out.emplace_back(Close{slot.established});
  forget_established(slot);
  out.emplace_back(Down{{link.target.peer, index}, slot.incarnation, reason});
}

// ------------------------------------------------------------------------------------------ both sides

void LinkTable::establish(Instant now, ConnectionName name, const Handshake& handshake, Actions& out) {
  Link& link = *find(name.peer);
  const bool was_down = !link.has_connection();
  stop_attempt(link.aside, out);
  if (!handshake.is_through) stop_attempt(link.punch, out);
  link.asides = link.punches = 0;
  link.aside_at.reset();
  link.is_through = handshake.is_through;
  if (link.is_through) link.by = handshake.by;
  link.is_punched = handshake.is_punched;
  link.reach.origin = link.is_through  ? Origin::through
                      : link.is_punched ? Origin::punched
                      : link.dials()    ? Origin::dialled
                                        : Origin::accepted;
  link.reach.address = handshake.address;
  link.reach.by = link.is_through ? link.by : PeerId{};
  link.reach.since = now;
  link.established_at = now;
  if (!link.is_through) link.straight_not_before.reset();
  if (!link.is_through) link.straight_why.clear();
  link.round_trip = handshake.round_trip;
  {
    Slot& slot = link.slots[name.index];
    if (slot.established != SocketId{}) {
      // The dialler saw it break before this side did.
      const SocketId replaced = slot.established;
      out.emplace_back(Close{replaced});
      forget_established(slot);
      if (planted(PlantedFault::torn_successor)) sockets_[replaced] = name;
      out.emplace_back(Down{name, slot.incarnation, "replaced by a new connection"});
    }
    slot.established = handshake.socket;
    slot.established_at = now;
    slot.progress = {};
    slot.incarnation = ++incarnations_;
    sockets_[handshake.socket] = name;
  }
  if (was_down)
    out.emplace_back(LogEvent{LogLevel::info, "linked", "the link to " + link.target.name + ": " + describe_way(link)});
  out.emplace_back(Establish{handshake.socket, name, handshake.same_machine});
  if (handshake.same_machine)
    link.sides.is_near();
  else
    link.between_machines = true;
  if (link.uses_bbr) out.emplace_back(UseBbr{handshake.socket});
  const std::uint64_t incarnation = incarnations_;
  const bool is_straight = !handshake.is_through;
  if (link.dials() && !link.is_single() && config_.connections_per_link > 1)
    dial_up_to(link, config_.connections_per_link, out);
  if (link.dials() && config_.connections_per_link == 0 && handshake.same_machine && !link.is_single())
    dial_up_to(link, config_.connections_same_machine, out);
  if (config_.connections_per_link == 0 && !handshake.same_machine && !link.is_single()) {
    if (!link.count)
      link.count = handshake.fills_alone ? ConnectionCount::of_few_that_fill()
                                         : ConnectionCount(connections_at_first(handshake.round_trip, links_.size()));
    if (link.dials()) dial_up_to(link, link.count->wanted(), out);
  }
  out.emplace_back(Up{.name = name,
                      .incarnation = incarnation,
                      .round_trip = handshake.round_trip,
                      .same_machine = handshake.same_machine,
                      .by = link.is_through ? link.by : PeerId{}});
  arm(now, link);
  if (was_down && is_straight) arm_those_that_are_down(now);
}

void LinkTable::broke(Instant now, SocketId socket, const std::string& reason, Actions& out) {
  if (strangers_.find(socket) != nullptr) return turn_away(socket, reason, out);
  if (joined_.contains(socket)) return part(socket, out);
  const auto at = sockets_.find(socket);
  if (at == sockets_.end()) return;
  const ConnectionName name = at->second;
  const Slot* const slot = find_slot(name);
  if (slot != nullptr && slot->socket == socket) return attempt_failed(now, name, {.why = reason}, out);
  connection_broke(now, name, reason, out);
  sockets_.erase(socket);
}

void LinkTable::connection_broke(Instant now, ConnectionName name, const std::string& reason, Actions& out) {
  Slot* const slot = find_slot(name);
  if (slot == nullptr || slot->established == SocketId{}) return;
  Link& link = *find(name.peer);
  forget_established(*slot);
  out.emplace_back(LogEvent{
      LogLevel::info, "connection-broke",
      "connection " + std::to_string(name.index) + " to " + describe(link.target) + " broke: " + reason});
  out.emplace_back(Down{name, slot->incarnation, reason});
  if (!link.has_connection()) all_down(now, link);
  const bool is_left_alone = planted(PlantedFault::nobody_dials) && !link.has_connection();
  if (link.dials() && !is_left_alone) redial_later(now, link, *slot, out);
  // Greetings that were held may be what is left.
  judge_held(now, name.peer, out);
  arm(now, link);
}

// ------------------------------------------------------------------------------------------------ time

void LinkTable::disarm(Link& link) {
  if (const auto armed = std::exchange(link.armed, std::nullopt)) deadlines_.erase({*armed, link.target.peer});
}

/// Its next deadline: of the sides, of a redial, or of an answer.
void LinkTable::arm(Instant now, Link& link) {
  disarm(link);
  link.look_at = link.sides.dial_at();
  if (strangers_.holds(link.target.peer)) link.look_at = earlier(link.look_at, link.sides.next_look(now));
  plan_aside(now, link);
  plan_punch(now, link);
  std::optional<Instant> next = earlier(earlier(link.look_at, link.aside_at), link.aside.due);
  next = earlier(earlier(next, link.punch_at), link.punch.due);
  for (const Slot& slot : link.slots) next = earlier(next, slot.due);
  link.armed = next;
  if (next) deadlines_.insert({*next, link.target.peer});
}

void LinkTable::arm_if_kept(Instant now, PeerId peer) {
  if (Link* const link = find(peer)) arm(now, *link);
}

void LinkTable::tick(Instant now, Actions& out) {
  std::vector<PeerId> due;
  for (auto at = deadlines_.begin(); at != deadlines_.end() && at->first <= now; ++at) due.push_back(at->second);
  for (const PeerId peer : due) tick_link(now, peer, out);
  sweep(now, out);
  if (sample_at_ && *sample_at_ <= now) take_samples(out);
}

void LinkTable::tick_link(Instant now, PeerId peer, Actions& out) {
  Link* const link = find(peer);
  if (link == nullptr) return;
  if (link->look_at && *link->look_at <= now) {
    judge_held(now, peer, out);
    look_at_sides(now, *link, out);
  }
  for (std::uint32_t index = 0; index < link->slots.size(); ++index) {
    Slot& slot = link->slots[index];
    if (!slot.due || *slot.due > now) continue;
    slot.due.reset();
    if (slot.attempt == Slot::Attempt::waiting)
      dial(*link, index, out);
    else
      attempt_failed(now, {peer, index}, {.why = "the greeting is not answered"}, out);
  }
  if (link->punch.due && *link->punch.due <= now) punch_failed(now, *link, {.why = "nobody answers"}, out);
  if (link->punch_at && *link->punch_at <= now) ask_both(*link, out);
  if (link->aside.due && *link->aside.due <= now) aside_failed(now, *link, "nobody answers", out);
  if (link->aside_at && *link->aside_at <= now) begin_aside(now, *link, out);
  arm(now, *link);
}

}  // namespace hawser::links
