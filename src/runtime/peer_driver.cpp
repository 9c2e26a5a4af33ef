#include "runtime/peer_driver.hpp"

#include <algorithm>
#include <asio/post.hpp>
#include <span>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "runtime/clock.hpp"
#include "runtime/descriptor_limit.hpp"
#include "runtime/log.hpp"
#include "shared_state/prefetch.hpp"
#include "transport/socket_options.hpp"

namespace hawser {
namespace {

constexpr std::size_t kSpareActions = 4;

LinkConnection name_of(transport::ConnectionName connection) {
  return {.peer = connection.peer, .index = connection.index};
}
transport::ConnectionName name_of(LinkConnection connection) {
  return {.peer = connection.peer, .index = connection.index};
}

/// Whether what EngineInfo shows may be another after it. What comes with every collective does not count.
bool shows(const EngineEvent& event) {
  if (const auto* said = std::get_if<MasterSaid>(&event))
    return !std::holds_alternative<Committed>(said->message) && !std::holds_alternative<Pong>(said->message);
  return std::holds_alternative<ConnectCall>(event) || std::holds_alternative<UpdateTopologyCall>(event) ||
         std::holds_alternative<LeaveCall>(event) || std::holds_alternative<MasterDown>(event) ||
         std::holds_alternative<EngineTick>(event);
}

}  // namespace

PeerDriver::PeerDriver(asio::io_context& io, DriverConfig config,
                       std::shared_ptr<transport::Listener> listener)
    : io_(io),
      config_(std::move(config)),
      engine_(config_.engine),
      names_(io),
      listener_(std::move(listener)),
      links_(io, names_,
             {.table = {.connections_per_link = config_.connections_per_link,
                        .connections_same_machine = std::max(1U, config_.lanes),
                        .may_use_bbr = config_.tcp.congestion_control.empty() &&
                                       transport::check_congestion_control(std::string(kBbr)).ok(),
                        .asks_both = reaches_others(),
                        .seed = config_.seed},
              .check_same_host = config_.check_same_host,
              .tcp = config_.tcp,
              .tls = config_.access.tls,
              .insecure = config_.access.insecure,
              .tls_same_host = config_.tls_same_host,
              .listens = listener_->address(),
              .next_lane = next_lane(),
              .is_own_thread = is_own_thread()},
             *this),
      timer_(io),
      failed_(std::make_shared<CallDone>()),
      lost_info_(std::make_shared<EngineInfo>()),
      wait_log_(std::make_shared<WaitLog>()),
      shown_wait_log_(wait_log_) {
  closed_ = std::make_shared<const CallDone>(
      CallDone{.call = {}, .error = {Status::closed, "the communicator is being destroyed"}, .info = {}});
  failed_->error.sentence.reserve(limits::kSentenceBytesMax + 1);
  lost_info_->not_a_member.sentence.reserve(limits::kSentenceBytesMax + 1);
  seat_.spare_actions.reserve(kSpareActions);
  wait_log_->name = config_.engine.name;
  wait_log_->master = to_string(config_.master);
  for (const Address& other : config_.other_masters) wait_log_->master += ", " + to_string(other);
  publish();
}

PeerDriver::~PeerDriver() {
  if (config_.devices) config_.devices->finish();
}

/// Null where there are no lanes.
std::function<asio::io_context&()> PeerDriver::next_lane() {
  if (config_.lanes == 0) return {};
  return [this]() -> asio::io_context& { return lanes_->next().io; };
}

std::function<bool(asio::io_context&)> PeerDriver::is_own_thread() {
  if (config_.lanes == 0) return {};
  return [this](asio::io_context& io) {
    const Lanes::Lane* const lane = Lanes::current();
    return lane == nullptr ? &io == &io_ : &io == &lane->io;
  };
}

Result<void> PeerDriver::start() {
  if (config_.lanes > 0) {
    auto lanes = Lanes::start(config_.lanes, [this](const Thrown& thrown) { lane_failed(thrown); });
    if (!lanes.ok()) return lanes.error();
    lanes_ = std::move(*lanes);
  }
  listener_->start({.accepted =
                        [this](transport::Stream stream, const std::string& remote_host) {
                          links_.accepted(std::move(stream), remote_host);
                          settle();
                        },
                    .log = [this](LogEvent event) { log(std::move(event)); }},
                   config_.access.tls);
  return {};
}

void PeerDriver::leave_behind() noexcept {
  if (lanes_) lanes_->leave_behind();
  // Its threads cannot be waited for here.
  if (config_.devices) static_cast<void>(new (std::nothrow) std::shared_ptr<DeviceCopies>(std::move(config_.devices)));
}

std::shared_ptr<const EngineInfo> PeerDriver::info() const {
  const std::lock_guard lock(info_mutex_);
  return info_;
}

void PeerDriver::publish() {
  auto info = std::make_shared<const EngineInfo>(engine_.info());
  if (info->connected && info->view.id != view_looked_at_) look_at_descriptors(*info);
  const std::lock_guard lock(info_mutex_);
  info_ = std::move(info);
}

/// Whoever has too few of them loses connections later, where nobody would look for that.
void PeerDriver::look_at_descriptors(const EngineInfo& info) {
  view_looked_at_ = info.view.id;
  const LinksHeld links = links_held(info.view, info.self, config_.connections_per_link, config_.engine.links);
  if (auto shortage = descriptors_.look(links, descriptor_limit()))
    log({LogLevel::warning, "few-descriptors", std::move(*shortage)});
}

// -------------------------------------------------------------------------------------------- engine

EngineSeat& PeerDriver::seat() {
  Lanes::Lane* const lane = lanes_ ? Lanes::current() : nullptr;
  return lane == nullptr ? seat_ : lane->seat;
}

EngineActions PeerDriver::take_actions(EngineSeat& seat) {
  if (seat.spare_actions.empty()) return {};
  EngineActions actions = std::move(seat.spare_actions.back());
  seat.spare_actions.pop_back();
  return actions;
}

void PeerDriver::give_actions(EngineSeat& seat, EngineActions actions) {
  actions.clear();
  if (seat.spare_actions.size() < kSpareActions) seat.spare_actions.push_back(std::move(actions));
}

/// With the engine's mutex: no connection gets another frame before.
void PeerDriver::take_from_connections(EngineActions& actions) {
  for (EngineAction& action : actions) {
    if (const auto* send = std::get_if<ReleaseSend>(&action)) links_.release_send(name_of(send->connection));
    if (const auto* receive = std::get_if<ReleaseReceive>(&action))
      links_.release_receive(name_of(receive->connection));
  }
}

/// With the engine's mutex, on a lane: what is not for this thread to do.
void PeerDriver::hand_over(EngineActions& actions) {
  std::size_t kept = 0;
  for (EngineAction& action : actions) {
    if (std::holds_alternative<ReleaseSend>(action) || std::holds_alternative<ReleaseReceive>(action)) continue;
    if (std::holds_alternative<RunWork>(action) || std::holds_alternative<WakeLink>(action)) {
      if (&actions[kept] != &action) actions[kept] = std::move(action);
      ++kept;
    } else {
      late_.push_back(std::move(action));
    }
  }
  actions.erase(actions.begin() + static_cast<std::ptrdiff_t>(kept), actions.end());
  if (late_.empty() || late_posted_) return;
  asio::post(io_, [this] {
    if (over_) return;
    perform_late();
    settle();
  });
  late_posted_ = true;
}

/// What lanes have left for this thread, before anything newer.
void PeerDriver::perform_late() {
  ask([](EngineActions&) {});
}

/// Lets the engine do something, and performs the actions that it leads to.
template <class Ask>
void PeerDriver::ask(const Ask& ask) {
  EngineSeat& mine = seat();
  const bool on_lane = &mine != &seat_;
  EngineActions actions = take_actions(mine);
  {
    const std::lock_guard lock(engine_mutex_);
    if (is_over_) return;
    if (!on_lane) {
      late_posted_ = false;
      if (!late_.empty()) std::swap(actions, late_);
    }
    ask(actions);
    if (lanes_) take_from_connections(actions);
    if (on_lane) hand_over(actions);
  }
  for (EngineAction& action : actions) std::visit([this](auto& one) { perform_one(one); }, action);
  give_actions(mine, std::move(actions));
  run_works(mine);
}

void PeerDriver::settle_lane(EngineSeat& mine) {
  while (!mine.wakes.empty() && !is_over_) {
    const WakeLink wake = mine.wakes.back();
    mine.wakes.pop_back();
    if (wake.only)
      links_.wake(transport::ConnectionName{wake.peer, *wake.only});
    else
      links_.wake(wake.peer);
  }
}

/// On a lane. The engine is not asked any more; the io_context's thread ends everything when it comes to it.
void PeerDriver::lane_failed(const Thrown& thrown) noexcept {
  {
    const std::lock_guard lock(lane_failure_mutex_);
    if (!lane_failure_) lane_failure_ = thrown;
  }
  is_over_ = true;
  try {
    asio::post(io_, [this] { settle(); });
  } catch (...) {
    // Without memory for that: its timer comes, a second later at most.
  }
}

void PeerDriver::step(const EngineEvent& event) {
  if (is_over_) return;
  ask([&](EngineActions& actions) {
    engine_.step(now(), event, actions);
    // Before anybody is told that a call is done.
    if (shows(event)) publish();
  });
}

/// What a connection of a link was found to be before another event took it away.
bool PeerDriver::is_stale(const EngineEvent& event) const {
  const auto* up = std::get_if<LinkUp>(&event);
  return up != nullptr && !links_.is_established(name_of(up->connection), up->incarnation);
}

void PeerDriver::settle() {
  if (EngineSeat& mine = seat(); &mine != &seat_) return settle_lane(mine);
  if (is_over_ && !over_) {
    Thrown thrown;
    {
      const std::lock_guard lock(lane_failure_mutex_);
      if (lane_failure_) thrown = *lane_failure_;
    }
    return fail(thrown);
  }
  if (settling_) return;
  settling_ = true;
  while (!over_) {
    if (!events_.empty()) {
      const EngineEvent event = std::move(events_.front());
      events_.pop_front();
      if (is_stale(event)) continue;
      step(event);
      // What waited for the connection can go now, and come.
      if (const auto* up = std::get_if<LinkUp>(&event)) {
        if (lanes_) links_.begin(name_of(up->connection));
        WakeLink wake{.peer = up->connection.peer};
        perform_one(wake);
      }
    } else if (!seat_.wakes.empty()) {
      const PeerId peer = seat_.wakes.front().peer;
      seat_.wakes.erase(seat_.wakes.begin());
      links_.wake(peer);
    } else if (!to_master_.empty()) {
      send_to_master();
    } else {
      break;
    }
  }
  settling_ = false;
  if (over_) return;
  arm_timer_later();
}

/// Finding the next deadline means a look at all collectives: once for whatever waits to be done before.
void PeerDriver::arm_timer_later() {
  if (arming_posted_) return;
  asio::post(io_, [this] {
    arming_posted_ = false;
    if (!over_) arm_timer();
  });
  arming_posted_ = true;
}

std::optional<Instant> PeerDriver::next_deadline() {
  const std::lock_guard lock(engine_mutex_);
  return engine_.next_deadline();
}

void PeerDriver::arm_timer() {
  const auto next = next_deadline();
  // A timer that is too early does no harm: it is armed anew when it fires.
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  timer_.expires_at(steady_time(*next));
  timer_.async_wait([this](const std::error_code& error) {
    if (error || over_) return;
    armed_.reset();
    const auto due = next_deadline();
    if (due && *due <= now()) step(EngineTick{});
    settle();
  });
}

void PeerDriver::perform_one(CallDone& action) {
  {
    const std::lock_guard lock(engine_mutex_);
    engine_.call_told(action.call);
  }
  // From there to here nothing can fail.
  tell_end(std::move(action));
}

void PeerDriver::tell_end(CallDone done) noexcept {
  const auto at = calls_.find(done.call);
  if (at == calls_.end()) return;
  OwedAnswer answer = std::move(at->second);
  calls_.erase(at);
  answer.give(std::move(done));
}

void PeerDriver::perform_one(LogEvent& action) { log(std::move(action)); }

void PeerDriver::log(LogEvent event) { write_log(config_.engine.name, event); }

// --------------------------------------------------------------------------------------------- links

void PeerDriver::perform_one(OpenLink& action) {
  links_.open({.peer = action.peer.id,
               .name = action.peer.name,
               .address = action.peer.address,
               .secret = action.secret,
               .dial_after = action.dial_after,
               .may_ask = action.may_ask,
               .key = config_.access.tls ? std::optional(action.peer.key) : std::nullopt});
}

void PeerDriver::perform_one(CloseLink& action) { links_.close(action.peer); }

void PeerDriver::perform_one(WakeLink& action) {
  std::vector<WakeLink>& wakes = seat().wakes;
  const bool known = std::any_of(wakes.begin(), wakes.end(), [&](const WakeLink& wake) {
    return wake.peer == action.peer && (!wake.only || wake.only == action.only);
  });
  if (!known) wakes.push_back(action);
}

void PeerDriver::perform_one(WidenLink& action) { links_.widen(action.peer, action.connections); }

// Where there are lanes, ask() has done these two under the engine's mutex.
void PeerDriver::perform_one(ReleaseSend& action) {
  if (!lanes_) links_.release_send(name_of(action.connection));
}

void PeerDriver::perform_one(ReleaseReceive& action) {
  if (!lanes_) links_.release_receive(name_of(action.connection));
}

void PeerDriver::perform_one(DropConnection& action) {
  if (links_.is_established(name_of(action.connection), action.incarnation)) links_.drop(name_of(action.connection));
}

void PeerDriver::frame_begins(transport::DataConnection& connection, const FrameHeader& header) {
  payload_bytes_received_ += header.payload_bytes;
  if (!lanes_ && interruption_ && payload_bytes_received_ >= interrupted_at_) std::exchange(interruption_, nullptr)();
  // A work may have to make the place safe first: it has been run when ask() returns.
  ask([&](EngineActions& actions) {
    if (connection.closed()) return;
    connection.receive_into(engine_.frame_begins(now(), name_of(connection.name()), header, actions).into);
  });
}

void PeerDriver::frame_moved(transport::DataConnection& connection) {
  ask([&](EngineActions& actions) {
    if (!connection.closed()) engine_.frame_moved(now(), name_of(connection.name()), actions);
  });
}

void PeerDriver::frame_ends(transport::DataConnection& connection, bool intact) {
  ask([&](EngineActions& actions) {
    if (!connection.closed()) engine_.frame_ends(now(), name_of(connection.name()), intact, actions);
  });
}

bool PeerDriver::next_frame(transport::DataConnection& connection) {
  bool gave = false;
  // A work may make its payload first, which has been run when ask() returns.
  for (bool ordered = true; !gave && std::exchange(ordered, false);)
    ask([&](EngineActions& actions) {
      if (connection.closed()) return;
      const std::size_t before = actions.size();
      const auto frame = engine_.next_frame(now(), name_of(connection.name()), actions);
      ordered = actions.size() > before;
      gave = frame.has_value();
      if (!gave) return;
      const FrameHeader& header = frame->header;
      const bool is_same_for_all = !lanes_ && header.kind == FrameKind::chunk && header.direction == Direction::down &&
                                   !header.compressed && !is_prefetch(header.key);
      connection.write(
          {.header = header, .payload = frame->payload, .recent = is_same_for_all ? &recent_checksums_ : nullptr});
    });
  return gave;
}

void PeerDriver::link_up(transport::ConnectionName connection, const transport::EstablishedConnection& established) {
  events_.emplace_back(LinkUp{.connection = name_of(connection),
                              .incarnation = established.incarnation,
                              .round_trip = established.round_trip,
                              .same_host = established.same_host,
                              .by = established.by});
}

void PeerDriver::link_down(transport::ConnectionName connection, std::uint64_t incarnation, std::string reason) {
  recent_checksums_.forget();
  events_.emplace_back(LinkDown{name_of(connection), incarnation, std::move(reason)});
}

void PeerDriver::perform_one(DialPeer& action) { links_.dial_at_once(action.peer, action.to); }

void PeerDriver::link_unreached(PeerId peer, std::string why) {
  events_.emplace_back(LinkUnreached{.peer = peer, .why = std::move(why)});
}

void PeerDriver::link_refused(PeerId peer) { events_.emplace_back(LinkRefused{peer}); }

void PeerDriver::straight_failed(PeerId peer, std::string why) {
  events_.emplace_back(StraightFailed{peer, std::move(why)});
}

void PeerDriver::link_sampled(PeerId peer, Duration round_trip, Duration round_trip_least) {
  events_.emplace_back(LinkSampled{.peer = peer, .round_trip = round_trip, .round_trip_least = round_trip_least});
}

}  // namespace hawser
