#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "transport/stream.hpp"
#include "transport/tcp_state.hpp"

namespace hawser::transport {

/// Two connections joined end to end: what comes over one goes out over the other, unread. What one side does not take
/// is not read from the other, so it holds 256 KiB in each direction at most. Not thread-safe.
class Splice : public std::enable_shared_from_this<Splice> {
 public:
  struct Told {
    std::function<void()> moved;  ///< Bytes have passed.
    std::function<void()> over;   ///< Once, not after close(): one of the two has ended. Both are closed.
  };
  static std::shared_ptr<Splice> start(Stream first, Stream second, Told told);
  void close();
  /// Of the first (0) or the second (1).
  TcpState tcp_state(std::size_t which);

  Splice(Stream first, Stream second, Told told);

 private:
  struct Way {
    std::vector<std::byte> waiting;
    std::size_t begin = 0;
    std::size_t end = 0;
    bool waits_to_read = false;
    bool waits_to_write = false;
  };
  void pass(std::size_t from);
  void wait(std::size_t from, bool reads);
  void end();

  std::array<Stream, 2> streams_;
  std::array<Way, 2> ways_;  ///< From the first, and from the second.
  Told told_;
  bool over_ = false;
};

}  // namespace hawser::transport
