#include "transport/stream.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <asio/error.hpp>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

using trust::TlsSession;

/// A failure of TLS; Stream::reason() has its sentence.
std::error_code tls_error() { return std::make_error_code(std::errc::protocol_error); }
/// The same, where nothing was refused: the connection ended too early.
std::error_code cut_error() { return std::make_error_code(std::errc::connection_aborted); }

std::span<std::byte> bytes_of(const asio::mutable_buffer& buffer) {
  return {static_cast<std::byte*>(buffer.data()), buffer.size()};
}

/// What lies in two buffers behind the first `skipped` bytes, as far as it is in one piece.
std::span<const std::byte> piece_after(const Stream::FromBuffers& from, std::size_t skipped) {
  for (const asio::const_buffer& buffer : from) {
    if (skipped < buffer.size())
      return {static_cast<const std::byte*>(buffer.data()) + skipped, buffer.size() - skipped};
    skipped -= buffer.size();
  }
  return {};
}

}  // namespace

Stream Stream::accepted(Tcp::socket socket, TlsPtr tls, std::function<void(const std::string&)> on_failure) {
  if (!tls) return Stream(std::move(socket));
  auto layer = std::make_unique<Layer>();
  layer->tls = std::move(tls);
  layer->side = TlsSession::Side::accepting;
  layer->on_failure = std::move(on_failure);
  return {std::move(socket), std::move(layer)};
}

Stream Stream::dialled(Tcp::socket socket, TlsPtr tls) {
  if (!tls) return Stream(std::move(socket));
  auto layer = std::make_unique<Layer>();
  layer->tls = std::move(tls);
  layer->side = TlsSession::Side::dialling;
  return {std::move(socket), std::move(layer)};
}

Stream Stream::moved_to(asio::io_context& io, Stream stream) {
  Stream moved(io);
  std::error_code error;
  const auto here = stream.socket_.local_endpoint(error);
  if (error) return moved;
  const auto descriptor = stream.socket_.release(error);
  if (error) return moved;
  moved.socket_.assign(here.protocol(), descriptor, error);
  if (!error) moved.socket_.non_blocking(true, error);
  moved.layer_ = std::move(stream.layer_);
  moved.badge_ = std::move(stream.badge_);
  return moved;
}

std::string Stream::reason(const std::error_code& error) const {
  const bool is_of_tls = error == tls_error() || error == cut_error();
  if (layer_ && !layer_->failure.empty() && is_of_tls) return layer_->failure;
  return reason_of(error);
}

// --------------------------------------------------------------------------------------------- handshake

bool Stream::begin_session(std::error_code& error) {
  if (!layer_->session) {
    if (layer_->side == TlsSession::Side::dialling) {
      if (const auto valid = layer_->tls->check_own_key(); !valid.ok()) {
        layer_->failure = valid.error().sentence;
        error = tls_error();
        return false;
      }
    }
    layer_->session = std::make_unique<TlsSession>(layer_->tls, layer_->side);
  }
  return true;
}

void Stream::shake_hands(std::error_code& error) {
  error = {};
  if (!layer_ || badge_ || !begin_session(error)) return;
  TlsSession& session = *layer_->session;
  for (;;) {
    const bool done = session.shake_hands();
    send_waiting(error);
    // A new connection takes the little that a handshake says; who does not let it is not waited for.
    if (is_wait(error)) {
      layer_->failure = "it reads nothing";
      error = cut_error();
    }
    // Why it failed says more than that nobody hears of it.
    if (is_stopped(error) || error) break;
    if (done) {
      badge_ = session.badge();
      if (layer_->pause) {
        std::error_code ignored;
        socket_.set_option(asio::socket_base::receive_low_watermark(1), ignored);
        layer_->pause.reset();
      }
      break;
    }
    if (!receive_some(error)) break;
  }
  session.settle();
}

/// It has failed or ended: says so, and once to whoever wants to know of failed handshakes.
bool Stream::is_stopped(std::error_code& error) {
  TlsSession& session = *layer_->session;
  if (session.failure().empty()) {
    if (!session.has_ended()) return false;
    error = asio::error::eof;
    return true;
  }
  error = session.was_cut() ? cut_error() : tls_error();
  if (!layer_->failure.empty()) return true;
  layer_->failure = session.failure();
  if (!badge_ && layer_->on_failure) layer_->on_failure(layer_->failure);
  return true;
}

/// False: nothing is there, or the connection broke. Its end is something.
bool Stream::receive_some(std::error_code& error) {
  const auto room = layer_->session->room();
  if (room.empty()) return false;
  const std::size_t count = socket_.read_some(asio::buffer(room.data(), room.size()), error);
  if (!badge_ && count > 0) ++layer_->pieces;
  layer_->session->received(count);
  // A peer in plain takes a handshake for garbage, and closes without reading on.
  const bool has_gone = error == asio::error::eof || (!badge_ && error == asio::error::connection_reset);
  if (!has_gone) return !error;
  error = {};
  layer_->session->received_end();
  return true;
}

void Stream::send_waiting(std::error_code& error) {
  error = {};
  TlsSession& session = *layer_->session;
  while (!error && !session.to_send().empty()) {
    const auto waiting = session.to_send();
    session.sent(socket_.write_some(asio::buffer(waiting.data(), waiting.size()), error));
  }
}

// ----------------------------------------------------------------------------------------------- reading

bool Stream::has_received() const {
  if (!layer_ || !layer_->session) return false;
  if (layer_->reads_plain) return layer_->rest_done < layer_->rest.size();
  // A failure is to be heard of, too.
  return layer_->session->has_received() || !layer_->session->failure().empty();
}

/// By then a pause is longer than any handshake may last.
constexpr std::uint32_t kDoublingsMax = 8;

/// Of a side that has proven nothing yet. Who dials has chosen the other side, and waits for it.
bool Stream::comes_in_pieces() const {
  return layer_ && !badge_ && layer_->side == TlsSession::Side::accepting && layer_->pieces >= kPiecesAtOnce;
}

asio::steady_timer& Stream::pause() {
  if (!layer_->pause) {
    layer_->pause.emplace(socket_.get_executor());
    // The system tells of each packet otherwise, though nobody waits for it.
    std::error_code ignored;
    socket_.set_option(asio::socket_base::receive_low_watermark(TlsSession::kHandshakeBytesMax), ignored);
  }
  const std::uint32_t doublings = std::min(layer_->pieces - kPiecesAtOnce, kDoublingsMax);
  layer_->pause->expires_after(kPieceApart * (1U << doublings));
  return *layer_->pause;
}

std::size_t Stream::read_layered(const IntoBuffers& into, std::error_code& error) {
  error = {};
  if (!badge_) {
    shake_hands(error);
    if (error) return 0;
  }
  std::size_t done = 0;
  for (const asio::mutable_buffer& buffer : into) {
    if (layer_->reads_plain || buffer.size() == 0) break;
    const std::size_t count = read_encrypted(buffer, error);
    done += count;
    if (error || count < buffer.size()) break;
  }
  if (layer_->session) layer_->session->settle();
  if (done > 0) {
    error = {};
    return done;
  }
  if (!error && layer_->reads_plain) return read_plain(into, error);
  return 0;
}

/// Rounds in which nothing comes that anybody reads: a record of 16 KiB takes two or three.
constexpr int kEmptyRoundsMax = 16;

/// Fills the buffer as far as there is something. An error comes with what was read before it. Who sends records
/// without content does not keep the thread here: the others have their turns in between. A session bounds how many of
/// its own messages TLS may take.
std::size_t Stream::read_encrypted(asio::mutable_buffer into, std::error_code& error) {
  TlsSession& session = *layer_->session;
  std::size_t done = 0;
  int empty_rounds = 0;
  while (done < into.size()) {
    const std::size_t count = session.read(bytes_of(into).subspan(done));
    done += count;
    if (done == into.size()) break;
    if (session.has_heard_end() && layer_->may_read_plain) {
      layer_->reads_plain = true;
      layer_->rest = session.take_rest();
      break;
    }
    empty_rounds = count > 0 ? 0 : empty_rounds + 1;
    if (empty_rounds > kEmptyRoundsMax) {
      error = asio::error::would_block;
      break;
    }
    if (is_stopped(error) || !receive_some(error)) break;
  }
  return done;
}

/// The other side has left TLS, too: first what came with its last record.
std::size_t Stream::read_plain(const IntoBuffers& into, std::error_code& error) {
  const std::size_t left = layer_->rest.size() - layer_->rest_done;
  if (left > 0) {
    const std::size_t count = asio::buffer_copy(into, asio::buffer(layer_->rest.data() + layer_->rest_done, left));
    layer_->rest_done += count;
    return count;
  }
  forget_layer();
  return socket_.read_some(into, error);
}

/// Nothing of TLS is left: the memory is given back.
void Stream::forget_layer() {
  const bool is_over = layer_->writes_plain && layer_->reads_plain && layer_->session->to_send().empty() &&
                       layer_->rest_done == layer_->rest.size();
  if (is_over) layer_.reset();
}

// ----------------------------------------------------------------------------------------------- writing

std::size_t Stream::write_layered(const FromBuffers& from, std::error_code& error) {
  error = {};
  if (!badge_) {
    layer_->failure = "it has not proven who it is yet";
    error = tls_error();
    return 0;
  }
  TlsSession& session = *layer_->session;
  if (layer_->writes_plain) {
    send_waiting(error);
    if (error) return 0;
    session.settle();
    return socket_.write_some(from, error);
  }
  const std::size_t wanted = asio::buffer_size(from);
  std::size_t encrypted = layer_->owed;
  std::size_t done = 0;
  while (done < wanted) {
    while (encrypted < wanted) {
      const std::size_t count = session.write(piece_after(from, encrypted));
      if (count == 0) break;
      encrypted += count;
    }
    send_waiting(error);
    if (!error && is_stopped(error) && error == asio::error::eof) error = {};  // It may still read.
    if (error) break;
    done = encrypted;
  }
  layer_->owed = encrypted - done;
  session.settle();
  if (done > 0 && is_wait(error)) error = {};
  return done;
}

void Stream::let_other_leave_tls() {
  if (layer_) layer_->may_read_plain = true;
}

void Stream::leave_tls() {
  let_other_leave_tls();
  if (!is_encrypted()) return;
  HAWSER_ASSERT(badge_ && layer_->owed == 0);
  layer_->writes_plain = true;
  layer_->session->say_end();
  std::error_code later;  // What the system does not take now goes before the next bytes.
  send_waiting(later);
}

bool Stream::has_left_tls(std::error_code& error) {
  error = {};
  if (!layer_ || layer_->reads_plain) return true;
  std::byte none{};
  if (read_encrypted(asio::buffer(&none, 1), error) > 0) {
    layer_->failure = "it goes on under TLS";
    error = tls_error();
  }
  layer_->session->settle();
  if (!layer_->reads_plain) return false;
  error = {};
  return true;
}

Result<Stream> Stream::beyond(Stream stream, TlsPtr tls, TlsSession::Side side,
                              std::function<void(const std::string&)> on_failure) {
  std::vector<std::byte> rest;
  if (stream.layer_) {
    if (!stream.layer_->session->to_send().empty()) return Error{Status::system, "the connection takes nothing"};
    rest.assign(stream.layer_->rest.begin() + static_cast<std::ptrdiff_t>(stream.layer_->rest_done),
                stream.layer_->rest.end());
  }
  Stream made = side == TlsSession::Side::dialling ? dialled(std::move(stream.socket_), std::move(tls))
                                                   : accepted(std::move(stream.socket_), std::move(tls),
                                                              std::move(on_failure));
  if (rest.empty()) return made;
  std::error_code error;
  if (!made.layer_ || !made.begin_session(error)) return Error{Status::refused, "the other side went on talking"};
  const auto room = made.layer_->session->room();
  if (room.size() < rest.size()) return Error{Status::refused, "the other side went on talking"};
  std::copy(rest.begin(), rest.end(), room.begin());
  made.layer_->session->received(rest.size());
  return made;
}

// ---------------------------------------------------------------------------------------------- the end

void Stream::finish_writing(std::error_code& error) {
  if (is_encrypted() && badge_) {
    layer_->session->say_end();
    send_waiting(error);
    if (error) return;
  }
  socket_.shutdown(Tcp::socket::shutdown_send, error);
}

void Stream::cancel(std::error_code& error) {
  if (layer_ && layer_->pause) layer_->pause->cancel();
  socket_.cancel(error);
}

void Stream::cut() noexcept {
  std::error_code ignored;
  socket_.shutdown(Tcp::socket::shutdown_both, ignored);
}

void Stream::close() {
  std::error_code ignored;
  if (is_open() && layer_ && layer_->session) {
    if (!layer_->writes_plain) layer_->session->say_end();
    send_waiting(ignored);
  }
  if (layer_ && layer_->pause) layer_->pause->cancel();
  socket_.close(ignored);
}

}  // namespace hawser::transport
