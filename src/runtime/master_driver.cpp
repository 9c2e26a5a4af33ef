#include "runtime/master_driver.hpp"

#include <asio/post.hpp>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/limits.hpp"
#include "files/open_file.hpp"
#include "runtime/clock.hpp"
#include "runtime/log.hpp"
#include "runtime/rules_file.hpp"
#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"

namespace hawser {
namespace {

/// Of those that are no members, read between two looks at the members.
constexpr int kReadInARow = 8;
constexpr std::size_t kReadBytesOfOthers = 16 << 10;
constexpr std::size_t kQueueBytesOfNewcomers = 512 << 10;

/// What its messages cost a member in a second: ten times what the busiest needs. Short collectives are as many as
/// there can be; all else is rare.
constexpr TokenBucket::Rate kMembersRate{.burst = 40'000, .per_second = 40'000};
constexpr TokenBucket::Rate kOthersRate{.burst = 2'000, .per_second = 500};

double cost_of(const PeerMessage& message) {
  if (std::holds_alternative<Report>(message) || std::holds_alternative<Begun>(message)) return 1;
  if (std::holds_alternative<Measured>(message) || std::holds_alternative<OutcomesPresented>(message) ||
      std::holds_alternative<ViewPresented>(message))
    return 400;
  return 20;
}

transport::ControlConnection::Bounds bounds_of(ConnectionRole role) {
  transport::ControlConnection::Bounds bounds;
  if (role == ConnectionRole::member) return bounds;
  bounds.read_bytes_at_once = kReadBytesOfOthers;
  bounds.message_bytes_max = role == ConnectionRole::stranger     ? limits::kFirstMessageBytesMax
                             : role == ConnectionRole::presenting ? limits::kPresentedViewBytesMax
                                                                : limits::kNewcomerMessageBytesMax;
  if (role != ConnectionRole::stranger) bounds.queue_bytes_max = kQueueBytesOfNewcomers;
  return bounds;
}

MasterConfig with_keys(const MasterDriver::Setup& setup) {
  MasterConfig config = setup.bounds;
  config.needs_keys = setup.access.tls != nullptr;
  config.has_others = !setup.others.empty();
  config.has_lease = setup.lease.has_value();
  return config;
}

}  // namespace

MasterDriver::MasterDriver(asio::io_context& io, Setup setup, std::shared_ptr<transport::Listener> listener)
    : io_(io),
      setup_(std::move(setup)),
      machine_(with_keys(setup_), setup_.seed, now(), setup_.rules.value_or(AdmissionRules{})),
      listener_(std::move(listener)),
      timer_(io_),
      looks_(setup_.others.empty() ? nullptr : std::make_unique<MasterLooks>(io_, setup_.others, setup_.access)),
      lease_(setup_.lease ? std::make_unique<MasterLease>(io_, *setup_.lease, setup_.bounds.is_standby,
                                                          [this](const LeaseAction& action) { lease_says(action); })
                          : nullptr),
      look_timer_(io_) {}

MasterDriver::~MasterDriver() { close(); }

void MasterDriver::start() {
  listener_->start({.accepted =
                        [this](transport::Stream stream, const std::string& remote_host) {
                          accepted(std::move(stream), remote_host);
                          settle();
                        },
                    .log = [this](LogEvent event) { write_log(setup_.name, event); }},
                   setup_.access.tls);
  if (setup_.access.insecure)
    log(LogLevel::warning, "insecure",
        "this run has no keys, and its master listens to other machines: whoever reaches " +
            to_string(listener_->address()) + " can join, read and change everything (docs/security.md)");
  if (!setup_.rules_file.empty() && !setup_.rules)
    log(LogLevel::notice, "rules-file-missing",
        "there is no rules file " + quoted_path(setup_.rules_file) +
            " yet: nobody is banned, and whoever has a key of the run may come. It is made when an operator first "
            "changes the rules; if there should be one, check the path");
  if (lease_)
    log(LogLevel::notice, "stands-by",
        "this master stands by: whoever holds the lease " + setup_.lease->place.name + " serves the run" +
            (setup_.bounds.is_standby ? "; it begins none" : ""));
  else if (looks_)
    log(LogLevel::notice, "stands-by",
        std::string("this master stands by: it takes a run over when more than half of the members come to it") +
            (setup_.bounds.is_standby ? "" : ", and begins one once it has reached all other masters"));
  arm_timer();
  look_for_others();
  if (!lease_) return;
  if (const auto started = lease_->start(); !started.ok()) throw std::runtime_error(started.error().sentence);
  settle();
}

void MasterDriver::close() {
  if (closed_) return;
  closed_ = true;
  listener_->close();
  timer_.cancel();
  look_timer_.cancel();
  if (looks_) looks_->close();
  for (auto& [id, client] : std::exchange(clients_, {})) client.connection->close();
  line_.clear();
  events_.clear();
  // After the last word to a member.
  if (lease_) lease_->close();
}

void MasterDriver::log(LogLevel level, const char* what, std::string text) {
  write_log(setup_.name, {level, what, std::move(text)});
}

void MasterDriver::accepted(transport::Stream stream, const std::string& remote_host) {
  if (closed_) return;
  if (clients_.size() >= setup_.connections_max) {
    log(LogLevel::info, "connection-refused",
        "a connection from " + remote_host + " is closed: " + std::to_string(setup_.connections_max) +
            " are held already");
    return;
  }
  const ConnectionId id{next_id_++};
  std::error_code gone;
  events_.emplace_back(ConnectionOpened{.connection = id,
                                        .remote_host = remote_host,
                                        .source = transport::source_of(stream.socket()),
                                        .remote_port = stream.socket().remote_endpoint(gone).port()});
  auto connection = transport::ControlConnection::start(
      std::move(stream), {.message = [this, id](const std::string& message) { said(id, message); },
                          .broken = [this, id](std::string reason) { broke(id, std::move(reason)); },
                          .settle = [this] { settle(); },
                          .readable = [this, id] { wait_in_line(id); }});
  connection->set_bounds(bounds_of(ConnectionRole::stranger));
  clients_.emplace(id, Client{.connection = std::move(connection),
                              .remote_host = remote_host,
                              .allowance = TokenBucket(kOthersRate)});
}

void MasterDriver::wait_in_line(ConnectionId id) {
  const auto at = clients_.find(id);
  if (closed_ || at == clients_.end() || std::exchange(at->second.in_line, true)) return;
  line_.push_back(id);
  if (std::exchange(line_moves_, true)) return;
  asio::post(io_, [this] { read_line(); });
}

/// Between two of these the io_context looks at everybody.
void MasterDriver::read_line() {
  line_moves_ = false;
  for (int i = 0; i < kReadInARow && !closed_ && !line_.empty(); ++i) {
    const ConnectionId id = line_.front();
    line_.pop_front();
    const auto at = clients_.find(id);
    if (at == clients_.end()) continue;
    at->second.in_line = false;
    const auto connection = at->second.connection;
    connection->read_now();
  }
  if (closed_ || line_.empty() || std::exchange(line_moves_, true)) return;
  asio::post(io_, [this] { read_line(); });
}

void MasterDriver::said(ConnectionId id, const std::string& message) {
  if (closed_) return;
  auto decoded = decode_peer_message(std::as_bytes(std::span(message)));
  if (!decoded.ok()) return cut(id, decoded.error().sentence);
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  if (const Badge* const badge = at->second.connection->badge();
      badge != nullptr && !std::exchange(at->second.is_authenticated, true))
    events_.emplace_back(Authenticated{.connection = id, .badge = *badge});
  const Instant at_now = now();
  at->second.allowance.charge(at_now, cost_of(*decoded));
  if (const Instant ready = at->second.allowance.ready_at(at_now); ready > at_now)
    at->second.connection->hold_reading(steady_time(ready));
  events_.emplace_back(PeerSaid{.connection = id, .message = std::move(*decoded)});
}

void MasterDriver::broke(ConnectionId id, std::string reason) {
  if (closed_) return;
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  if (at->second.role == ConnectionRole::stranger)
    log(LogLevel::info, "stranger-closed",
        "a connection from " + at->second.remote_host + " ended before it introduced itself: " + reason);
  clients_.erase(at);
  events_.emplace_back(ConnectionClosed{.connection = id, .reason = std::move(reason)});
}

void MasterDriver::cut(ConnectionId id, const std::string& reason) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  at->second.connection->close();
  broke(id, reason);
}

void MasterDriver::settle() {
  if (settling_ || closed_) return;
  settling_ = true;
  while (!closed_) {
    if (lease_) lease_->look_at_clock();
    if (events_.empty()) break;
    const MasterEvent event = std::move(events_.front());
    events_.pop_front();
    step(event);
  }
  settling_ = false;
  if (!closed_) {
    if (lease_) lease_->hurry(machine_.gathered() > 0);
    arm_timer();
    look_for_others();
  }
}

/// A loss comes before all that waits to be dealt with: none of that may be answered any more.
void MasterDriver::lease_says(const LeaseAction& action) {
  if (closed_) return;
  if (const auto* const line = std::get_if<LogEvent>(&action)) write_log(setup_.name, *line);
  if (const auto* const taken = std::get_if<LeaseTaken>(&action)) events_.emplace_back(*taken);
  if (const auto* const seen = std::get_if<LeaseSeen>(&action)) events_.emplace_back(*seen);
  if (const auto* const lost = std::get_if<LeaseLost>(&action)) {
    std::erase_if(events_, [](const MasterEvent& event) { return std::holds_alternative<LeaseTaken>(event); });
    events_.emplace_front(*lost);
  }
  if (!settling_) asio::post(io_, [this] { settle(); });
}

void MasterDriver::look_for_others() {
  const auto pause = looks_ ? machine_.looks_for_others() : std::nullopt;
  if (!pause || look_is_due_ || looks_->is_looking()) return;
  look_is_due_ = true;
  look_timer_.expires_after(*pause);
  look_timer_.async_wait([this](const std::error_code& error) {
    if (error || closed_) return;
    look_is_due_ = false;
    looks_->look(machine_.snapshot().run, [this](const OthersSeen& seen) {
      if (closed_) return;
      events_.emplace_back(seen);
      settle();
    });
  });
}

void MasterDriver::step(const MasterEvent& event) {
  MasterActions actions;
  const auto* const said = std::get_if<PeerSaid>(&event);
  if (said == nullptr) {
    machine_.step(now(), event, actions);
    return perform(actions);
  }
  std::string failure;
  try {
    machine_.step(now(), event, actions);
  } catch (const std::bad_alloc&) {
    // No fault of the message, and nobody knows what is half done: the master ends.
    throw;
  } catch (const std::exception& error) {
    failure = error.what();
  }
  perform(actions);
  if (failure.empty()) return;
  log(LogLevel::error, "message-failed",
      "a message could not be handled, so its connection is closed; please report this: " + failure);
  cut(said->connection, "the master could not handle its message");
}

void MasterDriver::perform(MasterActions& actions) {
  for (MasterAction& action : actions) std::visit([this](auto& one) { perform_one(one); }, action);
}

void MasterDriver::perform_one(SendToPeer& action) {
  // The rules of a command are kept just before its answer.
  if (auto* const done = std::get_if<CommandDone>(&action.message))
    done->sentence += std::exchange(rules_not_kept_, {});
  send_framed(action.connection, frame_control(encode(action.message)));
}

void MasterDriver::perform_one(SendToPeers& action) {
  const std::string framed = frame_control(encode(action.message));
  for (const ConnectionId id : action.connections) send_framed(id, framed);
}

void MasterDriver::send_framed(ConnectionId id, const std::string& framed) {
  const auto at = clients_.find(id);
  if (at == clients_.end() || at->second.leaving) return;
  // Sending may find the connection broken, which erases the client.
  const auto connection = at->second.connection;
  connection->send_framed(framed);
}

void MasterDriver::perform_one(SetConnectionRole& action) {
  const auto at = clients_.find(action.connection);
  if (at == clients_.end()) return;
  Client& client = at->second;
  client.connection->set_bounds(bounds_of(action.role));
  if (action.role == ConnectionRole::member && client.role != ConnectionRole::member) {
    client.allowance = TokenBucket(kMembersRate);
    client.connection->hold_reading({});
    client.connection->set_readable({});
  }
  client.role = action.role;
}

void MasterDriver::perform_one(CloseConnection& action) {
  const auto at = clients_.find(action.connection);
  if (at == clients_.end() || at->second.leaving) return;
  log(LogLevel::debug, "connection-closed",
      "the connection from " + at->second.remote_host + " is closed: " + action.reason);
  at->second.leaving = true;
  const auto connection = at->second.connection;
  if (action.bound == Duration::zero()) {
    clients_.erase(at);
    return connection->close();
  }
  // It counts among those held until it is gone.
  connection->close_after_sending(
      [this, id = action.connection] {
        if (!closed_) clients_.erase(id);
      },
      std::chrono::duration_cast<milliseconds>(action.bound));
}

/// What cannot be kept holds until the master ends, and the log says so.
void MasterDriver::perform_one(KeepRules& action) {
  if (setup_.rules_file.empty()) {
    rules_not_kept_ = "; it ends with this master, which has no rules_file";
    return log(LogLevel::warning, "rules-not-kept",
               "an operator's change of the rules ends with this master: give it a rules_file, for bans to outlive it");
  }
  if (const auto kept = write_rules(setup_.rules_file, action.rules); !kept.ok()) {
    const std::string why =
        kept.error().sentence + "; the change ends with this master unless that is mended and the command repeated";
    log(LogLevel::error, "rules-not-kept", why);
    rules_not_kept_ = "; " + why;
  }
}

void MasterDriver::perform_one(GiveLeaseUp&) {
  if (lease_) lease_->give_up();
}

void MasterDriver::perform_one(LogEvent& action) { write_log(setup_.name, action); }

void MasterDriver::arm_timer() {
  const auto next = machine_.next_deadline();
  // A timer that is too early does no harm: it is armed anew when it fires.
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  timer_.expires_at(steady_time(*next));
  timer_.async_wait([this](const std::error_code& error) {
    if (error || closed_) return;
    armed_.reset();
    const auto due = machine_.next_deadline();
    if (due && *due <= now()) events_.emplace_back(Tick{});
    settle();
  });
}

}  // namespace hawser
