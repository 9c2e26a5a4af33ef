#include "transport/links.hpp"

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <utility>
#include <variant>

#include "base/limits.hpp"
#include "transport/links_handshake.hpp"
#include "transport/same_machine.hpp"
#include "transport/socket_wait.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::transport {

namespace {

using Clock = std::chrono::steady_clock;
using links::SocketId;

Instant now() { return links_now(); }

}  // namespace

Links::Links(asio::io_context& io, NameLookup& names, LinksConfig config, FrameTraffic& traffic)
    : io_(io), names_(names), config_(std::move(config)), traffic_(traffic), table_(config_.table), timer_(io) {}

Links::~Links() { close_all(); }

// -------------------------------------------------------------------------------------- what is asked for

void Links::set_self(PeerId self) {
  close_all();
  table_.set_self(self);
}

void Links::open(const LinkTarget& target) {
  ask_table([&](links::Actions& out) { table_.open(now(), target, out); });
}

void Links::close(PeerId peer) {
  ask_table([&](links::Actions& out) { table_.close(peer, out); });
}

void Links::close_all() {
  // After an exception the table may know less than there is here.
  for (const auto& [id, connection] : connections_)
    if (connection) connection->close();
  for (const auto& [id, dial] : dials_)
    if (dial) dial->close();
  for (const auto& [id, handshake] : handshakes_) handshake->close();
  for (const auto& [id, meeting] : meetings_) meeting->close();
  for (const auto& [id, punch] : punches_)
    if (punch) punch->close();
  for (const auto& meeting : comings_) meeting->close();
  for (const auto& [id, splice] : splices_) splice.first->close();
  {
    const std::lock_guard lock(carriers_mutex_);
    carriers_.clear();
  }
  connections_.clear();
  dials_.clear();
  meetings_.clear();
  punches_.clear();
  comings_.clear();
  splices_.clear();
  handshakes_.clear();
  table_.close_all();
  timer_.cancel();
  armed_.reset();
}

void Links::dial_at_once(PeerId peer, const std::vector<Address>& to) {
  ask_table([&](links::Actions& out) { table_.dial_at_once(now(), peer, to, out); });
}

void Links::drop(ConnectionName connection) {
  ask_table([&](links::Actions& out) { table_.drop(now(), connection, out); });
}

void Links::resize(PeerId peer, std::uint32_t connections) {
  ask_table([&](links::Actions& out) { table_.resize(now(), peer, connections, out); });
}

void Links::ask(PeerId peer, std::uint32_t connections) {
  ask_table([&](links::Actions& out) { table_.ask(peer, connections, out); });
}

void Links::widen(PeerId peer, std::uint32_t connections) {
  ask_table([&](links::Actions& out) { table_.widen(now(), peer, connections, out); });
}

bool Links::is_established(ConnectionName connection, std::uint64_t incarnation) const {
  return table_.is_established(connection, incarnation);
}

void Links::accepted(Stream stream, const std::string& remote_host, PeerId go_between) {
  const bool is_through = go_between != PeerId{};
  ask_table([&](links::Actions& out) {
    const auto number = table_.accepted(
        now(),
        {.source = source_of(stream.socket()),
         .remote_host = remote_host,
         .machine_proof = is_through ? Digest128{} : machine_proof(stream.socket(), false),
         .is_through = is_through,
         .by = go_between},
        out);
    if (!number) return;
    const auto handshake = std::make_shared<Handshake>(*number, std::move(stream));
    if (!is_through) handshake->preface = Handshake::Preface::awaited;
    handshakes_.emplace(*number, handshake);
    wait_readable(handshake);
  });
}

// ---------------------------------------------------------------------------------------------- frames

void Links::begin(ConnectionName connection) {
  if (const auto found = find(connection)) found->begin();
}

/// A link between machines is in use: its connections are sampled from now on. On the thread of Links.
void Links::use() {
  if (!table_.is_sampling()) {
    table_.used(now());
    arm();
  }
}

void Links::wake(PeerId peer) {
  std::array<std::shared_ptr<DataConnection>, limits::kConnectionsPerLinkMax> woken;
  std::size_t count = 0;
  bool between_machines = false;
  {
    const std::lock_guard lock(carriers_mutex_);
    const auto at = carriers_.find(peer);
    if (at == carriers_.end()) return;
    between_machines = at->second.between_machines;
    const auto& all = at->second.connections;
    const std::size_t first = at->second.turn++;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (const auto& connection = all[(first + i) % all.size()]) woken[count++] = connection;
  }
  if (between_machines && !is_sampling_) {
    if (!config_.is_own_thread || config_.is_own_thread(io_))
      use();
    else if (!is_sampling_.exchange(true))
      asio::post(io_, [this] { use(); });
  }
  // What the frames lead to may close the link; a closed connection asks for none.
  for (std::size_t i = 0; i < count; ++i) woken[i]->wake();
}

void Links::wake(ConnectionName connection) {
  if (const auto found = find(connection)) found->wake();
}

std::shared_ptr<DataConnection> Links::find(ConnectionName connection) const {
  const std::lock_guard lock(carriers_mutex_);
  const auto at = carriers_.find(connection.peer);
  if (at == carriers_.end() || connection.index >= at->second.connections.size()) return nullptr;
  return at->second.connections[connection.index];
}

void Links::release_send(ConnectionName connection) {
  if (const auto found = find(connection)) found->release_send();
}

void Links::release_receive(ConnectionName connection) {
  if (const auto found = find(connection)) found->release_receive();
}

void Links::shut_down_connections() {
  for (const auto& [id, connection] : connections_) connection->shut_down();
}

// --------------------------------------------------------------------------------------------- actions

/// No action leads to another call of this object before the last one is done, save at the end, where frames may go
/// out.
void Links::perform(links::Actions& actions) {
  std::vector<SocketId> asked;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    links::Action action = std::move(actions[i]);
    if (const auto* ask = std::get_if<links::AskConnections>(&action)) asked.push_back(ask->socket);
    if (const auto* invite = std::get_if<links::Invite>(&action)) asked.push_back(invite->socket);
    std::visit([&](auto& one) { perform_one(one, actions); }, action);
  }
  arm();
  for (const SocketId socket : asked)
    if (const auto at = connections_.find(socket); at != connections_.end()) {
      const std::shared_ptr<DataConnection> connection = at->second;
      connection->wake();
    }
}

void Links::perform_one(const links::Dial& action, links::Actions&) {
  if (action.through) {
    meetings_[action.socket] = Meeting::start(
        io_, names_,
        {.go_between = action.to,
         .source = action.peer.value,
         .key = action.key,
         .greeting = action.through->greeting,
         .side = trust::TlsSession::Side::dialling,
         .beyond = action.through->key,
         .tls = config_.tls,
         .insecure = config_.insecure},
        [this, socket = action.socket](Result<Stream> result) {
          if (meetings_.erase(socket) == 0) return;
          dialled(socket, std::move(result), false, true);
          traffic_.settle();
        });
    return;
  }
  dials_[action.socket] = Dial::start(
      io_, names_, action.to,
      [this, socket = action.socket](Result<Stream> result) {
        const auto at = dials_.find(socket);
        if (at == dials_.end()) return;
        const bool was_refused = at->second->was_refused();
        dials_.erase(at);
        dialled(socket, std::move(result), was_refused);
        traffic_.settle();
      },
      {.source = action.peer.value, .tls = config_.tls, .insecure = config_.insecure, .expected = action.key});
}

void Links::perform_one(const links::Come& action, links::Actions&) {
  if (comings_.size() >= limits::kJoinedPairsMax) return;
  const auto place = std::make_shared<std::shared_ptr<Meeting>>();
  *place = Meeting::start(io_, names_,
                          {.go_between = action.to,
                           .source = action.peer.value,
                           .key = action.key,
                           .greeting = action.through.greeting,
                           .side = trust::TlsSession::Side::accepting,
                           .tls = config_.tls,
                           .insecure = config_.insecure},
                          [this, place, by = action.peer, host = action.to.host](Result<Stream> result) {
                            if (comings_.erase(*place) == 0) return;
                            place->reset();
                            // Whoever waits there asks again.
                            if (result.ok()) accepted(std::move(*result), "a go-between at " + host, by);
                            traffic_.settle();
                          });
  comings_.insert(*place);
}

void Links::perform_one(const links::Invite& action, links::Actions&) {
  if (const auto at = connections_.find(action.socket); at != connections_.end()) at->second->invite(action.who);
}

void Links::perform_one(const links::Join& action, links::Actions& next) {
  std::array<std::optional<Stream>, 2> streams;
  for (const std::size_t i : {0U, 1U}) {
    const auto at = handshakes_.find(i == 0 ? action.first : action.second);
    if (at == handshakes_.end()) continue;
    const std::shared_ptr<Handshake> handshake = std::move(at->second);
    handshakes_.erase(at);
    handshake->is_over = true;
    std::error_code error;
    handshake->stream.cancel(error);
    apply(config_.tcp, handshake->stream.socket());
    if (handshake->stream.write_some(asio::buffer(action.answer), error) != action.answer.size()) continue;
    handshake->stream.leave_tls();
    streams.at(i) = std::move(handshake->stream);
  }
  if (!streams[0] || !streams[1]) return table_.broke(now(), action.first, "it reads nothing", next);
  const auto splice = Splice::start(std::move(*streams[0]), std::move(*streams[1]),
                                    {.moved = [this] { use(); },
                                     .over =
                                         [this, socket = action.first] {
                                           broke(socket, "one of both has ended");
                                           traffic_.settle();
                                         }});
  splices_[action.first] = {splice, 0};
  splices_[action.second] = {splice, 1};
}

void Links::dialled(SocketId socket, Result<Stream> result, bool was_refused, bool is_through) {
  if (!result.ok())
    return ask_table([&](links::Actions& out) {
      table_.dial_failed(now(), socket, {.why = result.error().sentence, .was_refused = was_refused}, out);
    });
  const auto handshake = std::make_shared<Handshake>(socket, std::move(result.value()));
  handshakes_.emplace(socket, handshake);
  ask_table([&](links::Actions& out) {
    const Digest128 proof = is_through ? Digest128{} : machine_proof(handshake->stream.socket(), true);
    table_.dialled(now(), socket, proof, out);
  });
  if (!handshake->is_over) wait_readable(handshake);
}

/// What its options make of it is applied once it is established.
TcpState Links::connecting_state(Stream& stream) const {
  TcpState state = tcp_state_of(stream.native_handle());
  const std::string& chosen = config_.tcp.congestion_control;
  if (!chosen.empty()) state.fills_alone = chosen.starts_with(kBbr);
  return state;
}

void Links::perform_one(const links::Send& action, links::Actions& next) {
  const auto at = handshakes_.find(action.socket);
  if (at == handshakes_.end()) return;
  Stream& stream = at->second->stream;
  std::error_code error;
  if (stream.write_some(asio::buffer(action.bytes), error) == action.bytes.size())
    table_.sent(now(), action.socket, connecting_state(stream), next);
  else
    table_.broke(now(), action.socket, error ? stream.reason(error) : "the other side reads nothing", next);
}

void Links::perform_one(const links::Close& action, links::Actions&) {
  if (const auto at = dials_.find(action.socket); at != dials_.end()) {
    at->second->close();
    dials_.erase(at);
  }
  if (const auto at = meetings_.find(action.socket); at != meetings_.end()) {
    at->second->close();
    meetings_.erase(at);
  }
  if (const auto at = punches_.find(action.socket); at != punches_.end()) {
    at->second->close();
    punches_.erase(at);
  }
  if (const auto at = splices_.find(action.socket); at != splices_.end()) {
    at->second.first->close();
    splices_.erase(at);
  }
  if (const auto at = handshakes_.find(action.socket); at != handshakes_.end()) {
    at->second->close();
    handshakes_.erase(at);
  }
  if (const auto at = connections_.find(action.socket); at != connections_.end()) {
    const std::shared_ptr<DataConnection> connection = std::move(at->second);
    connections_.erase(at);
    // Whoever does not find it any more may free what it carries.
    connection->close();
    forget(*connection);
  }
}

/// It carries no frames any more.
void Links::forget(const DataConnection& connection) {
  const std::lock_guard lock(carriers_mutex_);
  const auto at = carriers_.find(connection.name().peer);
  if (at == carriers_.end()) return;
  auto& all = at->second.connections;
  if (const std::size_t index = connection.name().index; index < all.size() && all[index].get() == &connection)
    all[index].reset();
  while (!all.empty() && !all.back()) all.pop_back();
  if (all.empty()) carriers_.erase(at);
}

void Links::perform_one(const links::Establish& action, links::Actions&) {
  const auto at = handshakes_.find(action.socket);
  if (at == handshakes_.end()) return;
  const std::shared_ptr<Handshake> handshake = std::move(at->second);
  handshakes_.erase(at);
  handshake->is_over = true;
  Stream& stream = handshake->stream;
  std::error_code ignored;
  stream.cancel(ignored);
  if (!action.same_machine)
    apply(config_.tcp, stream.socket());
  else if (config_.tls_same_host)
    stream.let_other_leave_tls();
  else
    stream.leave_tls();
  const PayloadTrust trust{.same_machine = action.same_machine,
                           .sends_checked = config_.check_same_host,
                           .is_encrypted = stream.is_encrypted()};
  asio::io_context& lane = config_.next_lane ? config_.next_lane() : io_;
  const auto connection = DataConnection::make(
      lane, &lane == &io_ ? std::move(stream) : Stream::moved_to(lane, std::move(stream)),
      {.name = action.name,
       .traffic = traffic_,
       .broken =
           [this, &lane, socket = action.socket](const std::string& reason) {
             if (&lane == &io_) return broke(socket, reason);
             asio::post(io_, [this, socket, reason] {
               broke(socket, reason);
               traffic_.settle();
             });
           },
       .asked =
           [this, &lane, socket = action.socket](std::uint64_t connections) {
             const auto ask = [this, socket, connections] {
               ask_table([&](links::Actions& out) { table_.asked(now(), socket, connections, out); });
             };
             if (&lane == &io_) return ask();
             asio::post(io_, [this, ask] {
               ask();
               traffic_.settle();
             });
           },
       .invited =
           [this, &lane, socket = action.socket](PeerId who) {
             const auto ask = [this, socket, who] {
               ask_table([&](links::Actions& out) { table_.invited(now(), socket, who, out); });
             };
             if (&lane == &io_) return ask();
             asio::post(io_, [this, ask] {
               ask();
               traffic_.settle();
             });
           },
       .trust = trust,
       .is_own_thread = config_.is_own_thread});
  connections_[action.socket] = connection;
  {
    const std::lock_guard lock(carriers_mutex_);
    Carriers& carriers = carriers_[action.name.peer];
    carriers.between_machines = carriers.between_machines || !action.same_machine;
    if (carriers.connections.size() <= action.name.index) carriers.connections.resize(action.name.index + 1);
    carriers.connections[action.name.index] = connection;
  }
  if (!action.same_machine) connection->keep_queue_short(links::kUnsentBytesMax);
  if (&lane == &io_) connection->begin();
}

void Links::broke(SocketId socket, const std::string& reason) {
  if (const auto at = connections_.find(socket); at != connections_.end()) {
    forget(*at->second);
    connections_.erase(at);
  }
  ask_table([&](links::Actions& out) { table_.broke(now(), socket, reason, out); });
}

void Links::perform_one(links::Up& action, links::Actions&) {
  traffic_.link_up(action.name, {.round_trip = action.round_trip,
                                 .same_host = action.same_machine,
                                 .incarnation = action.incarnation,
                                 .by = action.by});
}

void Links::perform_one(links::Down& action, links::Actions&) {
  traffic_.link_down(action.name, action.incarnation, std::move(action.reason));
}

void Links::perform_one(const links::Refused& action, links::Actions&) { traffic_.link_refused(action.peer); }

void Links::perform_one(links::StraightFailed& action, links::Actions&) {
  traffic_.straight_failed(action.peer, std::move(action.why));
}

void Links::perform_one(const links::RoundTrips& action, links::Actions&) {
  traffic_.link_sampled(action.peer, action.round_trip, action.round_trip_least);
}

void Links::perform_one(const links::TakeSamples& action, links::Actions& next) {
  std::vector<links::ConnectionSample> samples;
  for (const SocketId socket : action.sockets)
    if (const auto at = connections_.find(socket); at != connections_.end())
      samples.push_back({.socket = socket, .is_full = at->second->is_full(), .state = at->second->tcp_state()});
    else if (const auto joined = splices_.find(socket); joined != splices_.end())
      samples.push_back({.socket = socket, .state = joined->second.first->tcp_state(joined->second.second)});
  table_.sampled(now(), samples, next);
}

void Links::perform_one(const links::LimitQueue& action, links::Actions&) {
  if (const auto at = connections_.find(action.socket); at != connections_.end())
    at->second->keep_queue_short(action.bytes);
}

void Links::perform_one(const links::UseBbr& action, links::Actions&) {
  if (const auto at = connections_.find(action.socket); at != connections_.end()) at->second->use_bbr();
}

void Links::perform_one(const links::AskConnections& action, links::Actions&) {
  if (const auto at = connections_.find(action.socket); at != connections_.end())
    at->second->ask_connections(action.connections);
}

void Links::perform_one(LogEvent& action, links::Actions&) { traffic_.log(std::move(action)); }

// ------------------------------------------------------------------------------------ sockets and time

void Links::wait_readable(const std::shared_ptr<Handshake>& handshake) {
  handshake->stream.async_wait(Tcp::socket::wait_read, [this, handshake](const std::error_code& failure) {
    if (handshake->is_over || failure == asio::error::operation_aborted) return;
    if (read(handshake)) traffic_.settle();
  });
}

/// False: nothing has come of it that concerns anybody else.
bool Links::read(const std::shared_ptr<Handshake>& handshake) {
  std::array<std::byte, kGreetingBytes + 1> bytes;
  Stream& stream = handshake->stream;
  std::error_code error;
  if (!has_read_preface(*handshake, error) && !error) return wait_readable(handshake), false;
  if (!error && stream.is_encrypted() && stream.badge() == nullptr) {
    // Strangers may say much before they have proven anything, so nobody is asked about it.
    stream.shake_hands(error);
    if (is_wait(error)) return wait_readable(handshake), false;
  }
  const std::size_t wanted = std::min(bytes.size(), table_.bytes_wanted(handshake->id));
  const std::size_t count = error ? 0 : stream.read_some(asio::buffer(bytes.data(), wanted), error);
  ask_table([&](links::Actions& out) {
    if (error && !is_wait(error))
      table_.broke(now(), handshake->id, stream.reason(error), out);
    else if (count > 0)
      table_.received(now(),
                      {.socket = handshake->id,
                       .bytes = std::span(bytes).first(count),
                       .state = connecting_state(stream),
                       .key = stream.badge() ? std::optional(stream.badge()->key) : std::nullopt},
                      out);
  });
  if (!handshake->is_over) wait_readable(handshake);
  return true;
}

void Links::arm() {
  is_sampling_ = table_.is_sampling();
  const auto next = table_.next_deadline();
  if (!next) {
    if (armed_) timer_.cancel();
    return armed_.reset();
  }
  // A timer that is too early does no harm: it is armed anew when it fires.
  if (armed_ && *armed_ <= *next) return;
  armed_ = next;
  timer_.expires_at(Clock::time_point(std::chrono::duration_cast<Clock::duration>(next->time_since_epoch())));
  timer_.async_wait([this](const std::error_code& error) {
    if (error) return;
    armed_.reset();
    ask_table([&](links::Actions& out) { table_.tick(now(), out); });
    traffic_.settle();
  });
}

}  // namespace hawser::transport
