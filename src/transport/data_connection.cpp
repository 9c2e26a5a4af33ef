#include "transport/data_connection.hpp"

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "wire/frame_codec.hpp"

namespace hawser::transport {
namespace {

/// Bytes handled per readiness, so that connections and timers stay fair.
constexpr std::size_t kBytesAtOnce = 1 << 20;
/// A payload up to this size is copied to share a write with its neighbours.
constexpr std::size_t kSmallPayloadBytes = 16 << 10;
/// A gathering ends when it has grown to this.
constexpr std::size_t kGatherBytes = 64 << 10;
/// Read beyond a payload: the next header, and not much of the payload after it, which would be copied.
constexpr std::size_t kReadBeyondPayloadBytes = 4 << 10;

bool is_wait(const std::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

/// Where thrown-away payloads go. Never read.
std::span<std::byte> the_void() {
  thread_local std::array<std::byte, 64 << 10> bytes;
  return bytes;
}

}  // namespace

DataConnection::DataConnection(Tcp::socket socket, Setup setup)
    : socket_(std::move(socket)), setup_(std::move(setup)) {}

std::shared_ptr<DataConnection> DataConnection::start(Tcp::socket socket, Setup setup) {
  auto connection = std::make_shared<DataConnection>(std::move(socket), std::move(setup));
  connection->wait_readable();
  return connection;
}

void DataConnection::close() {
  if (closed_) return;
  closed_ = true;
  borrowed_ = {};
  landing_ = nullptr;
  std::error_code ignored;
  socket_.close(ignored);
}

void DataConnection::break_off(const std::string& reason) {
  if (closed_) return;
  close();
  setup_.broken(reason);
}

void DataConnection::shut_down() {
  std::error_code ignored;
  socket_.shutdown(Tcp::socket::shutdown_both, ignored);
}

// ----------------------------------------------------------------------------------------- receiving

void DataConnection::wait_readable() {
  socket_.async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const std::error_code& error) {
    if (self->closed_ || error == asio::error::operation_aborted) return;
    self->read();
    self->setup_.traffic.settle();
  });
}

void DataConnection::read() {
  for (std::size_t taken = 0; taken < kBytesAtOnce;) {
    const Got got = read_once();
    taken += got.count;
    if (closed_) return;
    if (got.count < got.wanted) break;  // Nothing is left for now.
  }
  wait_readable();
}

DataConnection::Got DataConnection::read_once() {
  std::array<asio::mutable_buffer, 2> into;
  std::size_t payload_room = 0;
  if (in_payload_) {
    // take_read_ahead() has left no byte of this payload behind.
    HAWSER_ASSERT(ahead_begin_ == ahead_end_);
    ahead_begin_ = ahead_end_ = 0;
    const std::size_t missing = payload_bytes_ - payload_done_;
    payload_room = landing_ != nullptr ? missing : std::min(missing, the_void().size());
    into[0] = asio::buffer(landing_ != nullptr ? landing_ + payload_done_ : the_void().data(), payload_room);
    if (payload_room == missing) into[1] = asio::buffer(ahead_.data(), kReadBeyondPayloadBytes);
  } else {
    if (ahead_begin_ > 0) {
      std::memmove(ahead_.data(), ahead_.data() + ahead_begin_, ahead_end_ - ahead_begin_);
      ahead_end_ -= ahead_begin_;
      ahead_begin_ = 0;
    }
    into[0] = asio::buffer(ahead_.data() + ahead_end_, ahead_.size() - ahead_end_);
  }

  const std::size_t wanted = asio::buffer_size(into);
  std::error_code error;
  const std::size_t count = socket_.read_some(into, error);
  if (is_wait(error)) return {wanted, 0};
  if (error) {
    break_off(reason_of(error));
    return {wanted, 0};
  }
  const std::size_t of_payload = std::min(count, payload_room);
  payload_done_ += of_payload;
  ahead_end_ += count - of_payload;
  take_read_ahead();
  return {wanted, count};
}

void DataConnection::take_read_ahead() {
  while (!closed_) {
    const std::size_t here = ahead_end_ - ahead_begin_;
    if (!in_payload_) {
      if (here < kFrameHeaderBytes) return;
      begin_frame();
      continue;
    }
    const std::size_t count = std::min(here, payload_bytes_ - payload_done_);
    if (count > 0) {
      if (landing_ != nullptr) std::memcpy(landing_ + payload_done_, ahead_.data() + ahead_begin_, count);
      ahead_begin_ += count;
      payload_done_ += count;
    }
    if (payload_done_ < payload_bytes_) {
      setup_.traffic.frame_moved(setup_.name);
      return;
    }
    end_frame();
  }
}

void DataConnection::begin_frame() {
  const std::span<const std::byte, kFrameHeaderBytes> bytes(ahead_.data() + ahead_begin_, kFrameHeaderBytes);
  const auto decoded = decode_frame_header(bytes);
  if (!decoded.ok()) return break_off(decoded.error().sentence);
  if (!setup_.trust.may_be_read(decoded->header))
    return break_off("it sent a payload without a checksum, and is not on this machine");
  ahead_begin_ += kFrameHeaderBytes;
  in_payload_ = true;
  payload_bytes_ = decoded->header.payload_bytes;
  payload_done_ = 0;
  payload_checksum_ = decoded->payload_checksum;
  unchecked_ = decoded->header.unchecked;
  landing_ = nullptr;
  is_own_ = decoded->header.kind == FrameKind::connections;
  if (is_own_) return setup_.asked(decoded->header.count);
  std::byte* const landing = setup_.traffic.frame_begins(setup_.name, decoded->header);
  if (!closed_) landing_ = landing;
}

void DataConnection::end_frame() {
  in_payload_ = false;
  if (is_own_) return;
  const bool intact = landing_ == nullptr || unchecked_ || checksum({landing_, payload_bytes_}) == payload_checksum_;
  landing_ = nullptr;
  setup_.traffic.frame_ends(setup_.name, intact);
}

void DataConnection::release_receive() { landing_ = nullptr; }

// ------------------------------------------------------------------------------------------- sending

void DataConnection::wait_writable() {
  waiting_writable_ = true;
  socket_.async_wait(Tcp::socket::wait_write, [self = shared_from_this()](const std::error_code& error) {
    self->waiting_writable_ = false;
    if (self->closed_ || error == asio::error::operation_aborted) return;
    self->pump();
    self->setup_.traffic.settle();
  });
}

void DataConnection::pump() {
  if (closed_ || waiting_writable_ || pumping_) return;
  pumping_ = true;
  std::size_t written = 0;
  while (!closed_ && gather()) {
    if (written >= kBytesAtOnce) {
      wait_writable();
      break;
    }
    const std::array<asio::const_buffer, 2> from{
        asio::buffer(staged_.data() + staged_done_, staged_.size() - staged_done_),
        asio::buffer(borrowed_.data(), borrowed_.size())};
    const std::size_t wanted = asio::buffer_size(from);
    std::error_code error;
    const std::size_t count = socket_.write_some(from, error);
    if (error && !is_wait(error)) {
      break_off(reason_of(error));
      break;
    }
    const std::size_t of_staged = std::min(count, staged_.size() - staged_done_);
    staged_done_ += of_staged;
    borrowed_ = borrowed_.subspan(count - of_staged);
    written += count;
    if (count < wanted) {
      wait_writable();
      break;
    }
  }
  pumping_ = false;
}

bool DataConnection::gather() {
  if (staged_done_ < staged_.size() || !borrowed_.empty()) return true;
  staged_.clear();
  staged_done_ = 0;
  if (to_ask_) {
    FrameHeader frame;
    frame.kind = FrameKind::connections;
    frame.count = *std::exchange(to_ask_, std::nullopt);
    stage({.header = frame, .payload = {}});
  }
  while (!closed_ && borrowed_.empty() && staged_.size() < kGatherBytes) {
    const auto frame = setup_.traffic.next_frame(setup_.name);
    if (!frame || closed_) break;
    stage(*frame);
  }
  return !closed_ && !staged_.empty();
}

void DataConnection::stage(const FrameToSend& frame) {
  HAWSER_ASSERT(frame.payload.size() == frame.header.payload_bytes);
  const std::size_t at = staged_.size();
  staged_.resize(at + kFrameHeaderBytes);
  FrameHeader header = frame.header;
  header.unchecked = setup_.trust.goes_unchecked(header);
  encode_frame_header(header, header.unchecked ? 0 : checksum(frame.payload),
                      std::span<std::byte, kFrameHeaderBytes>(staged_.data() + at, kFrameHeaderBytes));
  if (frame.payload.size() > kSmallPayloadBytes)
    borrowed_ = frame.payload;
  else
    staged_.insert(staged_.end(), frame.payload.begin(), frame.payload.end());
}

void DataConnection::ask_connections(std::uint32_t connections) {
  to_ask_ = connections;
}

void DataConnection::keep_queue_short(std::size_t bytes) {
  if (bytes < 2 * queue_bytes_ && queue_bytes_ < 2 * bytes) return;
  queue_bytes_ = bytes;
  transport::keep_queue_short(socket_, bytes);
}

void DataConnection::release_send() {
  // Nothing lies behind a borrowed payload, so its rest may go to the end of what is staged.
  if (borrowed_.empty()) return;
  staged_.insert(staged_.end(), borrowed_.begin(), borrowed_.end());
  borrowed_ = {};
}

}  // namespace hawser::transport
