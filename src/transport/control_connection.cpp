#include "transport/control_connection.hpp"

#include <array>
#include <asio/buffer.hpp>
#include <asio/error.hpp>

#include "base/limits.hpp"
#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;
constexpr std::size_t kQueueBytesKept = 64 << 10;

}  // namespace

ControlConnection::ControlConnection(Stream stream, Handlers handlers)
    : stream_(std::move(stream)),
      farewell_(stream_.get_executor()),
      hold_(stream_.get_executor()),
      handlers_(std::move(handlers)) {}

std::shared_ptr<ControlConnection> ControlConnection::start(Stream stream, Handlers handlers) {
  auto connection = std::make_shared<ControlConnection>(std::move(stream), std::move(handlers));
  connection->wait_readable();
  return connection;
}

void ControlConnection::close() {
  if (closed_) return;
  closed_ = true;
  stream_.close();
  farewell_.cancel();
  hold_.cancel();
  queue_ = {};
  if (auto closed = std::exchange(closed_handler_, nullptr)) closed();
}

void ControlConnection::close_after_sending(std::function<void()> closed, std::chrono::milliseconds bound) {
  if (closed_) {
    closed();
    return;
  }
  leaving_ = true;
  closed_handler_ = std::move(closed);
  if (sent_ == queue_.size()) say_farewell();
  if (closed_) return;
  farewell_.expires_after(bound);
  farewell_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (!error) self->close();
  });
}

void ControlConnection::break_off(std::string reason) {
  if (closed_) return;
  const auto broken = std::move(handlers_.broken);
  const bool told = !leaving_;
  close();
  if (told && broken) broken(std::move(reason));
}

void ControlConnection::break_off(const std::error_code& error) {
  is_distrusted_ = error == std::errc::protocol_error;
  break_off(stream_.reason(error));
}

void ControlConnection::send_framed(std::string_view framed) {
  if (closed_ || leaving_) return;
  if (queue_.size() - sent_ > bounds_.queue_bytes_max)
    return break_off("it reads too slowly: " + std::to_string(queue_.size() - sent_) +
                     " bytes wait to be sent");
  if (sent_ == queue_.size()) {
    queue_.clear();
    sent_ = 0;
    if (queue_.capacity() > kQueueBytesKept) queue_.shrink_to_fit();
  } else if (sent_ > queue_.size() / 2) {
    queue_.erase(0, sent_);
    sent_ = 0;
  }
  queue_ += framed;
  if (!waiting_writable_) flush();
}

void ControlConnection::flush() {
  while (!closed_ && sent_ < queue_.size()) {
    std::error_code error;
    sent_ += stream_.write_some(asio::buffer(queue_.data() + sent_, queue_.size() - sent_), error);
    if (is_wait(error)) {
      waiting_writable_ = true;
      stream_.async_wait(Tcp::socket::wait_write, [self = shared_from_this()](const std::error_code& why) {
        self->waiting_writable_ = false;
        if (self->closed_ || why == asio::error::operation_aborted) return;
        const auto settle = self->handlers_.settle;
        self->flush();
        if (settle) settle();
      });
      return;
    }
    if (error) return break_off(error);
  }
  if (leaving_) say_farewell();
}

void ControlConnection::say_farewell() {
  std::error_code error;
  stream_.finish_writing(error);
  if (error) close();
}

void ControlConnection::wait_readable() {
  stream_.async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const std::error_code& error) {
    if (self->closed_ || error == asio::error::operation_aborted) return;
    if (const auto readable = self->handlers_.readable) return readable();
    self->read_now();
  });
}

void ControlConnection::read_now() {
  if (closed_) return;
  const auto self = shared_from_this();
  const auto settle = handlers_.settle;
  read();
  if (settle) settle();
}

void ControlConnection::set_bounds(const Bounds& bounds) {
  bounds_ = bounds;
  reader_.set_message_bytes_max(bounds.message_bytes_max);
}

void ControlConnection::hold_reading(std::chrono::steady_clock::time_point until) { held_until_ = until; }

void ControlConnection::wait_to_read() {
  if (held_until_ <= std::chrono::steady_clock::now()) return wait_readable();
  hold_.expires_at(held_until_);
  hold_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (error || self->closed_) return;
    // Something may have come before it was held.
    if (const auto readable = self->handlers_.readable) return readable();
    self->read_now();
  });
}

/// Hands over the messages that are whole, unless reading is held.
void ControlConnection::hand_over() {
  while (!closed_ && !leaving_ && held_until_ <= std::chrono::steady_clock::now()) {
    auto next = reader_.next();
    if (!next.ok()) {
      spoke_otherwise_ = true;
      return break_off(next.error().sentence);
    }
    if (!next->has_value()) return;
    handlers_.message(**next);
  }
}

/// Whoever begins TLS with a side without keys would else take its end for a busy moment, and come again.
void ControlConnection::answer_tls(std::byte first) {
  constexpr std::byte kHandshakeRecord{0x16};
  if (first != kHandshakeRecord) return;
  std::error_code ignored;
  (void)stream_.write_some(asio::buffer(trust::TlsSession::kNoKeysAlert), ignored);
}

void ControlConnection::read() {
  hand_over();
  std::array<std::byte, kReadBytes> bytes;
  const bool is_held = held_until_ > std::chrono::steady_clock::now();
  for (std::size_t taken = 0; !is_held && !closed_ && taken < bounds_.read_bytes_at_once;) {
    std::error_code error;
    const std::size_t count = stream_.read_some(asio::buffer(bytes), error);
    if (is_wait(error)) break;
    if (error) return break_off(error);
    if (!std::exchange(has_read_, true) && !stream_.is_encrypted()) answer_tls(bytes.front());
    taken += count;
    if (leaving_) continue;
    reader_.feed(std::span(bytes).first(count));
    hand_over();
    if (count < bytes.size() || held_until_ > std::chrono::steady_clock::now()) break;
  }
  if (!closed_) wait_to_read();
}

}  // namespace hawser::transport
