#include "runtime/master_driver.hpp"

#include <span>
#include <utility>

#include "base/limits.hpp"
#include "runtime/clock.hpp"
#include "runtime/log.hpp"
#include "wire/control_codec.hpp"

namespace hawser {

MasterDriver::MasterDriver(asio::io_context& io, Setup setup, std::shared_ptr<transport::Listener> listener)
    : io_(io),
      setup_(std::move(setup)),
      machine_(setup_.bounds, setup_.seed, now()),
      listener_(std::move(listener)),
      timer_(io_) {}

MasterDriver::~MasterDriver() { close(); }

void MasterDriver::start() {
  listener_->start({.accepted =
                        [this](transport::Tcp::socket socket, const std::string& remote_host) {
                          accepted(std::move(socket), remote_host);
                          settle();
                        },
                    .log = [this](LogEvent event) { write_log(setup_.name, event); }});
  arm_timer();
}

void MasterDriver::close() {
  if (closed_) return;
  closed_ = true;
  listener_->close();
  timer_.cancel();
  for (auto& [id, client] : std::exchange(clients_, {})) client.connection->close();
  strangers_.clear();
  events_.clear();
}

void MasterDriver::log(LogLevel level, const char* what, std::string text) {
  write_log(setup_.name, {level, what, std::move(text)});
}

void MasterDriver::accepted(transport::Tcp::socket socket, const std::string& remote_host) {
  if (closed_) return;
  if (clients_.size() >= setup_.connections_max) {
    log(LogLevel::info, "connection-refused",
        "a connection from " + remote_host + " is closed: " + std::to_string(setup_.connections_max) +
            " are held already");
    return;
  }
  if (strangers_.size() >= limits::kStrangersMax)
    cut(*strangers_.begin(), "too many connections have not said who they are, and it is the oldest");
  const ConnectionId id{next_id_++};
  strangers_.insert(id);
  events_.emplace_back(ConnectionOpened{.connection = id, .remote_host = remote_host});
  clients_[id] = {
      .connection = transport::ControlConnection::start(
          std::move(socket), {.message = [this, id](const std::string& message) { said(id, message); },
                              .broken = [this, id](std::string reason) { broke(id, std::move(reason)); },
                              .settle = [this] { settle(); }}),
      .remote_host = remote_host};
}

void MasterDriver::said(ConnectionId id, const std::string& message) {
  if (closed_) return;
  auto decoded = decode_peer_message(std::as_bytes(std::span(message)));
  if (!decoded.ok()) return cut(id, decoded.error().sentence);
  strangers_.erase(id);
  events_.emplace_back(PeerSaid{.connection = id, .message = std::move(*decoded)});
}

void MasterDriver::broke(ConnectionId id, std::string reason) {
  if (closed_) return;
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  if (strangers_.erase(id) > 0)
    log(LogLevel::info, "stranger-closed",
        "a connection from " + at->second.remote_host + " ended before it said who it is: " + reason);
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
  while (!closed_ && !events_.empty()) {
    const MasterEvent event = std::move(events_.front());
    events_.pop_front();
    step(event);
  }
  settling_ = false;
  if (!closed_) arm_timer();
}

void MasterDriver::step(const MasterEvent& event) {
  MasterActions actions;
  machine_.step(now(), event, actions);
  for (MasterAction& action : actions) std::visit([this](auto& one) { perform_one(one); }, action);
}

void MasterDriver::perform_one(SendToPeer& action) {
  const auto at = clients_.find(action.connection);
  if (at == clients_.end() || at->second.leaving) return;
  // Sending may find the connection broken, which erases the client.
  const auto connection = at->second.connection;
  connection->send(encode(action.message));
}

void MasterDriver::perform_one(CloseConnection& action) {
  const auto at = clients_.find(action.connection);
  if (at == clients_.end() || at->second.leaving) return;
  log(LogLevel::debug, "connection-closed",
      "the connection from " + at->second.remote_host + " is closed: " + action.reason);
  at->second.leaving = true;
  strangers_.erase(action.connection);
  const auto connection = at->second.connection;
  // It counts among those held until it is gone.
  connection->close_after_sending(
      [this, id = action.connection] {
        if (!closed_) clients_.erase(id);
      },
      std::chrono::duration_cast<milliseconds>(action.bound));
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
