#pragma once

#include <array>
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/badge.hpp"
#include "transport/socket_options.hpp"
#include "trust/tls_context.hpp"
#include "trust/tls_session.hpp"

namespace hawser::transport {

using TlsPtr = std::shared_ptr<const trust::TlsContext>;

/// An established connection whose bytes pass in plain, or under TLS with both sides proven. Whoever reads and writes
/// sees no difference. Never blocks. Not thread-safe; its waits end on its io_context.
///
/// Under TLS a handshake comes first. The dialling side calls shake_hands() until it is over. On the accepting side
/// read_some() does it, and gives nothing that came before it was over.
class Stream {
 public:
  using FromBuffers = std::array<asio::const_buffer, 2>;
  using IntoBuffers = std::array<asio::mutable_buffer, 2>;
  using WaitType = Tcp::socket::wait_type;

  /// An honest handshake comes in two or three pieces. Whoever sends more waits so long for the next one to be read,
  /// and twice as long for each further one: else a thousand strangers, some bytes at a time, keep the thread busy.
  static constexpr std::uint32_t kPiecesAtOnce = 8;
  static constexpr std::chrono::milliseconds kPieceApart{50};

  /// Closed.
  explicit Stream(asio::io_context& io) : socket_(io) {}
  /// In plain for ever.
  explicit Stream(Tcp::socket socket) : socket_(std::move(socket)) {}
  /// Without `tls` in plain. `on_failure` is told why a handshake failed, about the other side.
  static Stream accepted(Tcp::socket socket, TlsPtr tls, std::function<void(const std::string& why)> on_failure = {});
  static Stream dialled(Tcp::socket socket, TlsPtr tls);

  // What sockets have.
  bool is_open() const { return socket_.is_open(); }
  Tcp::socket& socket() { return socket_; }
  const Tcp::socket& socket() const { return socket_; }
  Tcp::socket::executor_type get_executor() { return socket_.get_executor(); }
  Tcp::socket::native_handle_type native_handle() { return socket_.native_handle(); }
  void cancel(std::error_code& error);

  /// Reads what is there. Errors: would_block; eof; TLS failures, for reason(); those of the socket.
  std::size_t read_some(const IntoBuffers& into, std::error_code& error) {
    return layer_ ? read_layered(into, error) : socket_.read_some(into, error);
  }
  std::size_t read_some(asio::mutable_buffer into, std::error_code& error) {
    return read_some(IntoBuffers{into, {}}, error);
  }
  /// Writes as much as the system takes. The bytes that were not written must come again, the same ones, as the first
  /// of the next call: under TLS they may be encrypted already.
  std::size_t write_some(const FromBuffers& from, std::error_code& error) {
    return layer_ ? write_layered(from, error) : socket_.write_some(from, error);
  }
  std::size_t write_some(asio::const_buffer from, std::error_code& error) {
    return write_some(FromBuffers{from, {}}, error);
  }
  /// `handler(error)` comes once it can be read or written, soon if something was received already. A handshake that
  /// comes in many small pieces is read ever more seldom: then it also comes if there is nothing to read.
  template <class Handler>
  void async_wait(WaitType what, Handler handler) {
    if (what == Tcp::socket::wait_read && has_received())
      asio::post(socket_.get_executor(), [handler = std::move(handler)]() mutable { handler(std::error_code{}); });
    else if (what == Tcp::socket::wait_read && comes_in_pieces())
      pause().async_wait(std::move(handler));
    else
      socket_.async_wait(what, std::move(handler));
  }

  /// Says that nothing more is written. What is on its way still comes through.
  void finish_writing(std::error_code& error);
  /// Ends the connection at once in both directions. From any thread.
  void cut() noexcept;
  /// Says the end, as far as the system takes it at once, and closes.
  void close();

  // Trust.

  /// Goes on with the handshake. Errors: would_block, until there is something to read; protocol_error, where one side
  /// refuses the other; connection_aborted, where the connection ended before that. reason() has the sentence of both.
  void shake_hands(std::error_code& error);
  /// Who the other side has proven to be. Null: it is in plain, or not yet known.
  const Badge* badge() const { return badge_ ? &*badge_ : nullptr; }
  /// What is written is encrypted, and changed bytes are noticed.
  bool is_encrypted() const { return layer_ && !layer_->writes_plain; }
  /// For two processes of one machine, which know each other by now: what comes after the other side has left TLS is
  /// read in plain. That may happen sooner, later or never.
  void let_other_leave_tls();
  /// Likewise, and this side writes in plain from here on. All that was to be written must be.
  void leave_tls();
  /// Behind leave_tls(): whether the other side has left TLS, too, having said nothing else. Errors: would_block, until
  /// there is something to read; those of read_some().
  bool has_left_tls(std::error_code& error);
  /// The connection goes on to somebody else, in this process's other role or the same one, in plain or under a session
  /// of its own. Nothing of TLS is left, on either side, but what came behind its end.
  static Result<Stream> beyond(Stream stream, TlsPtr tls, trust::TlsSession::Side side,
                               std::function<void(const std::string& why)> on_failure = {});
  /// What went wrong, for a sentence: in lower case, about the other side.
  std::string reason(const std::error_code& error) const;

  /// The same connection on another io_context. Nothing waits on this one. Closed, where the system refuses.
  static Stream moved_to(asio::io_context& io, Stream stream);

 private:
  /// All that a plain connection does not have.
  struct Layer {
    TlsPtr tls;
    trust::TlsSession::Side side;
    std::function<void(const std::string&)> on_failure;
    std::unique_ptr<trust::TlsSession> session;  ///< Made when the first byte is read or written.
    std::size_t owed = 0;      ///< Encrypted of what is to be written, and not told as written yet.
    bool writes_plain = false;
    bool may_read_plain = false;
    bool reads_plain = false;
    std::vector<std::byte> rest;  ///< Received in plain, and not read yet.
    std::size_t rest_done = 0;
    std::string failure;
    std::uint32_t pieces = 0;  ///< In which the handshake has come so far, on the accepting side.
    std::optional<asio::steady_timer> pause;  ///< Before the next piece.
  };

  Stream(Tcp::socket socket, std::unique_ptr<Layer> layer) : socket_(std::move(socket)), layer_(std::move(layer)) {}

  bool has_received() const;
  bool comes_in_pieces() const;
  asio::steady_timer& pause();
  std::size_t read_layered(const IntoBuffers& into, std::error_code& error);
  std::size_t read_encrypted(asio::mutable_buffer into, std::error_code& error);
  std::size_t read_plain(const IntoBuffers& into, std::error_code& error);
  std::size_t write_layered(const FromBuffers& from, std::error_code& error);
  bool begin_session(std::error_code& error);
  bool receive_some(std::error_code& error);
  void send_waiting(std::error_code& error);
  bool is_stopped(std::error_code& error);
  void forget_layer();

  Tcp::socket socket_;
  std::unique_ptr<Layer> layer_;  ///< Null in plain.
  std::optional<Badge> badge_;
};

}  // namespace hawser::transport
