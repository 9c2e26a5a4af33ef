#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transport/socket_options.hpp"
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
  };

  static std::shared_ptr<ControlConnection> start(Tcp::socket socket, Handlers handlers);

  /// Queues one message (not yet framed) and sends what the system takes at once.
  void send(const std::string& message);
  void close();
  /// Sends all that is queued, says that nothing follows, and closes when the other side has done so too,
  /// or after `bound`: closing at once could destroy what is still on its way. What comes in meanwhile
  /// is thrown away. `closed` is called at the end, maybe from within this call.
  void close_after_sending(std::function<void()> closed,
                           std::chrono::milliseconds bound = std::chrono::milliseconds(500));

  ControlConnection(Tcp::socket socket, Handlers handlers);

 private:
  void wait_readable();
  void read();
  void flush();
  void say_farewell();
  void break_off(std::string reason);

  Tcp::socket socket_;
  asio::steady_timer farewell_;
  Handlers handlers_;
  std::function<void()> closed_handler_;
  ControlFrameReader reader_;
  std::string queue_;     ///< Framed bytes to send.
  std::size_t sent_ = 0;  ///< Of them.
  bool waiting_writable_ = false;
  bool leaving_ = false;
  bool closed_ = false;
};

}  // namespace hawser::transport
