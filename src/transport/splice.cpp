#include "transport/splice.hpp"

#include <utility>

#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

constexpr std::size_t kWaitingBytesMax = 256 << 10;
/// In one turn, so that others have theirs.
constexpr int kRoundsMax = 4;

}  // namespace

Splice::Splice(Stream first, Stream second, Told told)
    : streams_{std::move(first), std::move(second)}, told_(std::move(told)) {
  for (Way& way : ways_) way.waiting.resize(kWaitingBytesMax);
}

std::shared_ptr<Splice> Splice::start(Stream first, Stream second, Told told) {
  auto splice = std::make_shared<Splice>(std::move(first), std::move(second), std::move(told));
  for (const std::size_t from : {0U, 1U}) splice->wait(from, true);
  return splice;
}

void Splice::close() {
  if (over_) return;
  over_ = true;
  for (Stream& stream : streams_) stream.close();
  told_ = {};
}

void Splice::end() {
  if (over_) return;
  const auto over = std::move(told_.over);
  close();
  over();
}

TcpState Splice::tcp_state(std::size_t which) {
  return over_ ? TcpState{} : tcp_state_of(streams_.at(which).native_handle());
}

/// In one direction.
void Splice::pass(std::size_t from) {
  Way& way = ways_.at(from);
  Stream& in = streams_.at(from);
  Stream& out = streams_.at(1 - from);
  for (int round = 0; round < kRoundsMax; ++round) {
    std::error_code error;
    if (way.begin == way.end) {
      way.begin = 0;
      way.end = in.read_some(asio::buffer(way.waiting), error);
      if (way.end == 0) {
        if (is_wait(error)) break;
        return end();
      }
      told_.moved();
      if (over_) return;
    }
    way.begin += out.write_some(asio::buffer(way.waiting.data() + way.begin, way.end - way.begin), error);
    if (error && !is_wait(error)) return end();
    if (way.begin < way.end) return wait(from, false);
  }
  wait(from, true);
}

void Splice::wait(std::size_t from, bool reads) {
  Way& way = ways_.at(from);
  bool& waits = reads ? way.waits_to_read : way.waits_to_write;
  if (std::exchange(waits, true)) return;
  Stream& stream = streams_.at(reads ? from : 1 - from);
  stream.async_wait(reads ? Tcp::socket::wait_read : Tcp::socket::wait_write,
                    [self = shared_from_this(), from, reads](const std::error_code& error) {
                      Way& ready = self->ways_.at(from);
                      (reads ? ready.waits_to_read : ready.waits_to_write) = false;
                      if (self->over_ || error == asio::error::operation_aborted) return;
                      self->pass(from);
                    });
}

}  // namespace hawser::transport
