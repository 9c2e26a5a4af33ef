#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "transport/stream.hpp"
#include "wire/control_frame.hpp"

namespace hawser::transport {

/// A connection that carries framed control messages both ways. Lives on one io_context; not thread-safe.
/// What waits to be sent is bounded: a receiver that does not read is closed.
class ControlConnection : public std::enable_shared_from_this<ControlConnection> {
 public:
  struct Handlers {
    std::function<void(const std::string& message)> message;
    /// Not called after close() or close_after_sending(). The connection is closed already.
    std::function<void(std::string reason)> broken;
    /// Called at the end of every handler of the io_context that called one of the above.
    std::function<void()> settle;
    /// There is something to read, and the owner says when by read_now(). Empty: it is read at once.
    std::function<void()> readable{};
  };
  /// What the other side may cost.
  struct Bounds {
    std::size_t message_bytes_max = limits::kControlMessageBytesMax;
    /// Read before others have their turn.
    std::size_t read_bytes_at_once = 256 << 10;
    /// That wait to be sent.
    std::size_t queue_bytes_max = 8 * limits::kControlMessageBytesMax;
  };

  static std::shared_ptr<ControlConnection> start(Stream stream, Handlers handlers);

  void set_bounds(const Bounds& bounds);
  /// From now on it is read at once, or when its owner says so.
  void set_readable(std::function<void()> readable) { handlers_.readable = std::move(readable); }
  /// Reads what has come, up to the bound. To be called once after each `readable`.
  void read_now();
  /// Reads no more before that moment. What the other side goes on to say fills its own buffers.
  void hold_reading(std::chrono::steady_clock::time_point until);
  /// It broke since what came is no control message.
  bool spoke_otherwise() const { return spoke_otherwise_; }
  /// It broke since one side does not trust the other.
  bool is_distrusted() const { return is_distrusted_; }
  /// Who the other side has proven to be. Null: it is in plain, or not yet known.
  const Badge* badge() const { return stream_.badge(); }

  /// Queues one message (not yet framed) and sends what the system takes at once.
  void send(const std::string& message) { send_framed(frame_control(message)); }
  /// The same for one that goes to many, with frame_control around it already.
  void send_framed(std::string_view framed);
  void close();
  /// Sends all that is queued, says that nothing follows, and closes when the other side has done so too,
  /// or after `bound`: closing at once could destroy what is still on its way. What comes in meanwhile
  /// is thrown away. `closed` is called at the end, maybe from within this call.
  void close_after_sending(std::function<void()> closed,
                           std::chrono::milliseconds bound = std::chrono::milliseconds(500));

  ControlConnection(Stream stream, Handlers handlers);

 private:
  void wait_readable();
  void wait_to_read();
  void read();
  void answer_tls(std::byte first);
  void hand_over();
  void flush();
  void say_farewell();
  void break_off(std::string reason);
  void break_off(const std::error_code& error);

  Stream stream_;
  asio::steady_timer farewell_;
  asio::steady_timer hold_;
  Handlers handlers_;
  Bounds bounds_;
  std::function<void()> closed_handler_;
  ControlFrameReader reader_;
  std::string queue_;     ///< Framed bytes to send.
  std::size_t sent_ = 0;  ///< Of them.
  bool waiting_writable_ = false;
  bool has_read_ = false;
  bool leaving_ = false;
  bool closed_ = false;
  bool spoke_otherwise_ = false;
  bool is_distrusted_ = false;
  std::chrono::steady_clock::time_point held_until_{};
};

}  // namespace hawser::transport
