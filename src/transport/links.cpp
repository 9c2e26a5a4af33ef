#include "transport/links.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "transport/links_state.hpp"

namespace hawser::transport {

namespace {

std::string describe(const LinkTarget& target) { return target.name + " at " + to_string(target.address); }

}  // namespace

Links::Links(asio::io_context& io, NameLookup& names, LinksConfig config, FrameTraffic& traffic)
    : io_(io), names_(names), config_(std::move(config)), traffic_(traffic), random_(config_.seed), sweep_(io), counting_(io) {
  HAWSER_ASSERT(config_.connections_per_link <= limits::kConnectionsPerLinkMax);
}

Links::~Links() { close_all(); }

void Links::log(LogLevel level, const char* what, std::string text) {
  traffic_.log({level, what, std::move(text)});
}

Links::Link* Links::find(PeerId peer) const {
  const auto at = links_.find(peer);
  return at == links_.end() ? nullptr : at->second.get();
}

Links::Slot* Links::find_slot(ConnectionName connection) const {
  const Link* const link = find(connection.peer);
  return link != nullptr && connection.index < link->slots.size() ? link->slots[connection.index].get()
                                                                  : nullptr;
}

void Links::set_self(PeerId self) {
  close_all();
  self_ = self;
}

void Links::close_all() {
  for (auto& [peer, link] : links_) close_link(*link);
  links_.clear();
  std::error_code ignored;
  for (const auto& stranger : strangers_) {
    stranger->over = true;
    stranger->socket.close(ignored);
  }
  strangers_.clear();
  sweep_.cancel();
  sweeping_ = false;
  counting_.cancel();
  is_counting_ = false;
}

void Links::close(PeerId peer) {
  const auto at = links_.find(peer);
  if (at == links_.end()) return;
  close_link(*at->second);
  links_.erase(at);
}

void Links::close_link(Link& link) {
  link.look.cancel();
  for (const auto& slot : link.slots) {
    slot->link = nullptr;
    stop_attempt(*slot);
    if (slot->standing) slot->standing->close();
    slot->standing.reset();
  }
}

void Links::open(const LinkTarget& target) {
  const bool is_new = !links_.contains(target.peer);
  if (is_new) links_.emplace(target.peer, std::make_unique<Link>(io_));
  Link& link = *find(target.peer);
  const bool same = !is_new && link.target.secret == target.secret && link.target.address == target.address &&
                    link.target.dial_after == target.dial_after;
  link.target = target;
  if (same) return;
  for (const auto& slot : link.slots) stop_attempt(*slot);
  if (!link.has_connection()) {
    link.sides = {};
    link.sides.begin(instant_now(), self_ < target.peer, target.dial_after);
  } else if (link.dials()) {
    for (const auto& slot : link.slots) {
      slot->delay = kRedialFirst;
      if (!slot->standing) dial(link, slot->index);
    }
  }
  // Those that came before we were told of their link.
  judge_waiting(target.peer);
  if (Link* const still = find(target.peer)) look_at_sides(*still);
}

void Links::wake(PeerId peer) {
  Link* link = find(peer);
  if (link == nullptr || link->slots.empty()) return;
  if (link->between_hosts) arm_count();
  const std::size_t first = link->turn++ % link->slots.size();
  for (std::size_t i = 0; i < link->slots.size(); ++i) {
    const std::shared_ptr<DataConnection> connection =
        link->slots[(first + i) % link->slots.size()]->standing;
    if (!connection) continue;
    connection->pump();
    // What the frames lead to may close the link.
    link = find(peer);
    if (link == nullptr || link->slots.empty()) return;
  }
}

void Links::release_send(ConnectionName connection) {
  if (Slot* slot = find_slot(connection); slot != nullptr && slot->standing) slot->standing->release_send();
}

void Links::release_receive(ConnectionName connection) {
  if (Slot* slot = find_slot(connection); slot != nullptr && slot->standing)
    slot->standing->release_receive();
}

void Links::drop(ConnectionName connection) {
  Link* link = find(connection.peer);
  if (link == nullptr || connection.index >= link->slots.size()) return;
  const std::shared_ptr<Slot> slot = link->slots[connection.index];
  if (!slot->standing) return;
  slot->standing->close();
  slot->standing.reset();
  if (!link->has_connection()) link->sides.all_down(instant_now());
  if (link->dials()) redial_later(slot);
  arm_sides(*link);
}

bool Links::stands(ConnectionName connection, std::uint64_t incarnation) const {
  const Slot* const slot = find_slot(connection);
  return slot != nullptr && slot->standing && slot->incarnation == incarnation;
}

void Links::shut_down_connections() {
  for (const auto& [peer, link] : links_)
    for (const auto& slot : link->slots)
      if (slot->standing) slot->standing->shut_down();
}

// ------------------------------------------------------------------------------------- both sides

void Links::stand(const std::shared_ptr<Slot>& slot, Tcp::socket socket, bool same_machine) {
  const ConnectionName name{slot->link->target.peer, slot->index};
  if (slot->standing) {
    // The dialler saw it break before we did.
    slot->standing->close();
    slot->standing.reset();
    traffic_.link_down(name, slot->incarnation, "replaced by a new connection");
  }
  slot->standing_since = Clock::now();
  const Duration round_trip = tcp_state_of(socket.native_handle()).round_trip;
  if (!same_machine) apply(config_.tcp, socket);
  slot->standing = DataConnection::start(
      std::move(socket), {.name = name,
                          .traffic = traffic_,
                          .broken = [this, slot](const std::string& reason) { broke(slot, reason); },
                          .asked = [this, slot](std::uint64_t connections) { asked(slot, connections); },
                          .trust = {.same_machine = same_machine, .sends_checked = config_.check_same_host}});
  if (!same_machine) slot->standing->keep_queue_short(kUnsentBytesMax);
  slot->incarnation = ++incarnations_;
  const Standing standing{.round_trip = round_trip, .same_host = same_machine, .incarnation = slot->incarnation};
  Link& link = *slot->link;
  link.between_hosts = link.between_hosts || !same_machine;
  if (same_machine) link.sides.is_near();
  if (link.dials() && config_.connections_per_link > 1) dial_up_to(link, config_.connections_per_link);
  if (config_.connections_per_link == 0 && !same_machine) {
    if (!link.count) link.count.emplace(connections_at_first(round_trip, links_.size()));
    if (link.dials()) dial_up_to(link, link.count->wanted());
  }
  traffic_.link_up(name, standing);
  arm_sides(link);
}

void Links::broke(const std::shared_ptr<Slot>& slot, const std::string& reason) {
  if (slot->link == nullptr) return;
  Link& link = *slot->link;
  slot->standing.reset();
  log(LogLevel::info, "connection-broke",
      "connection " + std::to_string(slot->index) + " to " + describe(link.target) + " broke: " + reason);
  traffic_.link_down({link.target.peer, slot->index}, slot->incarnation, reason);
  if (!link.has_connection()) link.sides.all_down(instant_now());
  if (link.dials()) redial_later(slot);
  // Greetings that were held may be what is left.
  judge_waiting(link.target.peer);
  if (slot->link != nullptr) arm_sides(*slot->link);
}

}  // namespace hawser::transport
