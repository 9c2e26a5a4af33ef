#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "links/payload_trust.hpp"
#include "transport/frame_traffic.hpp"
#include "transport/tcp_state.hpp"
#include "transport/stream.hpp"
#include "wire/checksum.hpp"

namespace hawser::transport {

/// A connection of a link, after its greeting: carries data frames both ways.
///
/// Sending pulls: a connection that can write asks for the next frame, so a slow one takes fewer. Small
/// frames are gathered into one write, with a copy; a long payload is written from where it lies, and is the
/// last of its gathering, so that at most one payload per connection is borrowed. Received payloads go
/// straight to where they shall be. Everything is done on readiness: between two handlers the system holds
/// no pointer into borrowed memory.
///
/// Its handlers run on the thread of the socket's io_context. Whatever else is public may be called from any thread. A
/// lock is held while the system copies from or to borrowed memory. So once release_send(), release_receive() or
/// close() has returned nobody touches that any more. They wait for one such copy, or for the checksum of one payload.
class DataConnection : public std::enable_shared_from_this<DataConnection> {
 public:
  /// `broken` is called at most once, not after close(). The connection is closed already. All callbacks come on the
  /// connection's thread.
  struct Setup {
    ConnectionName name;
    FrameTraffic& traffic;
    std::function<void(const std::string& reason)> broken;
    /// The other side would have so many connections for the link.
    std::function<void(std::uint64_t connections)> asked;
    /// That peer waits for this one at the other side's port.
    std::function<void(PeerId who)> invited;
    PayloadTrust trust{};
    /// Whether this thread is that of the socket's io_context.
    std::function<bool(asio::io_context& io)> is_own_thread{};
  };
  /// Reads once begin() is called.
  static std::shared_ptr<DataConnection> make(asio::io_context& io, Stream stream, Setup setup);
  void begin();

  const ConnectionName& name() const { return setup_.name; }
  bool closed() const { return closed_; }
  /// It has more to write than the system takes.
  bool is_full() const;
  /// So many bytes and what it is writing may wait in the system, beyond what the network takes. Kept if it is about
  /// that already.
  void keep_queue_short(std::size_t bytes);
  void use_bbr();
  TcpState tcp_state();

  /// Asks for frames and writes them, unless it waits for the system to take more already: at once on its own thread,
  /// else soon.
  void wake();
  /// Tells the other side how many connections the link should have, with what is written next.
  void ask_connections(std::uint32_t connections);
  /// Tells the other side that this peer waits for it here, with what is written next.
  void invite(PeerId who);
  /// Copies what is left of a borrowed payload.
  void release_send();
  /// The rest of the frame that is being received is read into the void.
  void release_receive();
  void close();
  /// For tests: breaks the TCP connection as a network would, unseen by either program until it tries.
  void shut_down();

  // By the FrameTraffic, when it is asked, and under its lock.

  /// Where the payload of the frame that begins goes; null: into the void.
  void receive_into(std::byte* landing);
  /// The frame to write next.
  void write(const FrameToSend& frame);

  DataConnection(asio::io_context& io, Stream stream, Setup setup);

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
  void sum_what_came();
  bool is_intact();

  void wait_writable();
  void pump();
  /// Gathers frames to write. False if there are none.
  bool gather();
  bool has_staged() const;
  std::size_t write_out(std::error_code& error);
  void stage_given();
  void stage(const FrameToSend& frame, bool copies);

  bool is_own_thread() const { return !setup_.is_own_thread || setup_.is_own_thread(io_); }
  void close_socket();
  void break_off(const std::string& reason);

  asio::io_context& io_;
  Stream stream_;
  Setup setup_;
  std::atomic<bool> closed_{false};
  mutable std::mutex mutex_;

  // Receiving. Of the connection's thread, but for landing_.
  std::array<std::byte, kReadAheadBytes> ahead_;
  std::size_t ahead_begin_ = 0;
  std::size_t ahead_end_ = 0;
  bool in_payload_ = false;
  std::byte* landing_ = nullptr;  ///< Of the whole payload; null: into the void. With the mutex.
  std::size_t payload_bytes_ = 0;
  std::size_t payload_done_ = 0;
  std::uint64_t payload_checksum_ = 0;
  ChecksumStream sum_;
  std::size_t summed_ = 0;  ///< Bytes of the payload that are in sum_.
  bool unchecked_ = false;
  bool is_own_ = false;  ///< The frame is the transport's own.

  // Sending. With the mutex.
  std::optional<std::uint32_t> to_ask_;
  std::set<PeerId> to_invite_;
  std::optional<FrameToSend> given_;  ///< By write(), and not staged yet.
  std::vector<std::byte> staged_;  ///< Headers and small payloads.
  std::size_t staged_done_ = 0;
  std::span<const std::byte> borrowed_;  ///< What is left of a long payload; goes after staged_.
  std::size_t queue_bytes_ = 0;  ///< That may wait in the system; 0: as many as it likes.

  std::atomic<bool> waiting_writable_{false};
  std::atomic<bool> wake_posted_{false};
  bool pumping_ = false;
};

}  // namespace hawser::transport
