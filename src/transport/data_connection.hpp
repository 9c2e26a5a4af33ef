#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "links/payload_trust.hpp"
#include "transport/frame_traffic.hpp"
#include "transport/tcp_state.hpp"
#include "transport/socket_options.hpp"

namespace hawser::transport {

/// A connection of a link, after its greeting: carries data frames both ways.
///
/// Sending pulls: a connection that can write asks for the next frame, so a slow one takes fewer. Small
/// frames are gathered into one write, with a copy; a long payload is written from where it lies, and is the
/// last of its gathering, so that at most one payload per connection is borrowed. Received payloads go
/// straight to where they shall be. Everything is done on readiness: between two handlers the system holds
/// no pointer into borrowed memory.
///
/// Lives on one io_context; not thread-safe.
class DataConnection : public std::enable_shared_from_this<DataConnection> {
 public:
  /// `broken` is called at most once, not after close(). The connection is closed already.
  struct Setup {
    ConnectionName name;
    FrameTraffic& traffic;
    std::function<void(const std::string& reason)> broken;
    /// The other side would have so many connections for the link.
    std::function<void(std::uint64_t connections)> asked;
    PayloadTrust trust{};
  };
  static std::shared_ptr<DataConnection> start(Tcp::socket socket, Setup setup);

  const ConnectionName& name() const { return setup_.name; }
  bool closed() const { return closed_; }
  /// It has more to write than the system takes.
  bool is_full() const { return waiting_writable_ && (staged_done_ < staged_.size() || !borrowed_.empty()); }
  /// So many bytes and what it is writing may wait in the system, beyond what the network takes. Kept if it is about that
  /// already.
  void keep_queue_short(std::size_t bytes);
  TcpState tcp_state() { return tcp_state_of(socket_.native_handle()); }

  /// Asks for frames and writes them, unless it waits for the system to take more already.
  void pump();
  /// The next pump() tells the other side how many connections the link should have.
  void ask_connections(std::uint32_t connections);
  /// Copies what is left of a borrowed payload.
  void release_send();
  /// The rest of the frame that is being received is read into the void.
  void release_receive();
  void close();
  /// For tests: breaks the TCP connection as a network would, unseen by either program until it tries.
  void shut_down();

  DataConnection(Tcp::socket socket, Setup setup);

 private:
  /// Holds a coalesced run of small frames, or the beginning of a long one.
  static constexpr std::size_t kReadAheadBytes = 16 << 10;

  void wait_readable();
  void read();
  /// One read of the socket. Returns the bytes wanted and got; wanted is 0 where there is nothing to read.
  struct Got {
    std::size_t wanted = 0;
    std::size_t count = 0;
  };
  Got read_once();
  void take_read_ahead();
  void begin_frame();
  void end_frame();

  void wait_writable();
  /// Gathers frames to write. False if there are none.
  bool gather();
  void stage(const FrameToSend& frame);

  void break_off(const std::string& reason);

  Tcp::socket socket_;
  Setup setup_;
  bool closed_ = false;

  // Receiving.
  std::array<std::byte, kReadAheadBytes> ahead_;
  std::size_t ahead_begin_ = 0;
  std::size_t ahead_end_ = 0;
  bool in_payload_ = false;
  std::byte* landing_ = nullptr;  ///< Of the whole payload; null: into the void.
  std::size_t payload_bytes_ = 0;
  std::size_t payload_done_ = 0;
  std::uint64_t payload_checksum_ = 0;
  bool unchecked_ = false;
  bool is_own_ = false;  ///< The frame is the transport's own.

  // Sending.
  std::optional<std::uint32_t> to_ask_;
  std::vector<std::byte> staged_;  ///< Headers and small payloads.
  std::size_t staged_done_ = 0;
  std::span<const std::byte> borrowed_;  ///< What is left of a long payload; goes after staged_.
  bool waiting_writable_ = false;
  std::size_t queue_bytes_ = 0;  ///< That may wait in the system; 0: as many as it likes.
  bool pumping_ = false;
};

}  // namespace hawser::transport
