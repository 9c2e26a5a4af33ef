#include "transport/data_connection.hpp"

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "transport/socket_wait.hpp"
#include "wire/checksum.hpp"
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
/// Of a payload that is checked, so much is read at a time: it is summed while it lies in the second-level cache.
constexpr std::size_t kCheckedReadBytes = 128 << 10;

/// Where thrown-away payloads go. Never read.
std::span<std::byte> the_void() {
  thread_local std::array<std::byte, 64 << 10> bytes;
  return bytes;
}

}  // namespace

DataConnection::DataConnection(asio::io_context& io, Stream stream, Setup setup)
    : io_(io), stream_(std::move(stream)), setup_(std::move(setup)) {}

std::shared_ptr<DataConnection> DataConnection::make(asio::io_context& io, Stream stream, Setup setup) {
  return std::make_shared<DataConnection>(io, std::move(stream), std::move(setup));
}

void DataConnection::begin() {
  if (is_own_thread()) return wait_readable();
  asio::post(io_, [self = shared_from_this()] {
    if (!self->closed_) self->wait_readable();
  });
}

void DataConnection::close() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_.exchange(true)) return;
    borrowed_ = {};
    given_.reset();
    landing_ = nullptr;
  }
  if (is_own_thread()) return close_socket();
  try {
    asio::post(io_, [self = shared_from_this()] { self->close_socket(); });
  } catch (...) {
    // Without memory for that the other side learns of it now, and the socket is closed with its connection.
    stream_.cut();
  }
}

void DataConnection::close_socket() {
  stream_.close();
}

void DataConnection::break_off(const std::string& reason) {
  if (closed_) return;
  close();
  setup_.broken(reason);
}

void DataConnection::shut_down() {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  stream_.cut();
}

bool DataConnection::is_full() const {
  const std::lock_guard lock(mutex_);
  return waiting_writable_ && has_staged();
}

TcpState DataConnection::tcp_state() {
  const std::lock_guard lock(mutex_);
  return closed_ ? TcpState{} : tcp_state_of(stream_.native_handle());
}

// ----------------------------------------------------------------------------------------- receiving

void DataConnection::wait_readable() {
  stream_.async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const std::error_code& error) {
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
  std::unique_lock lock(mutex_);
  if (closed_) return {};
  std::array<asio::mutable_buffer, 2> into;
  std::size_t payload_room = 0;
  if (in_payload_) {
    // take_read_ahead() has left no byte of this payload behind.
    HAWSER_ASSERT(ahead_begin_ == ahead_end_);
    ahead_begin_ = ahead_end_ = 0;
    const std::size_t missing = payload_bytes_ - payload_done_;
    const std::size_t most = landing_ == nullptr ? the_void().size() : unchecked_ ? missing : kCheckedReadBytes;
    payload_room = std::min(missing, most);
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
  const std::size_t count = stream_.read_some(into, error);
  lock.unlock();
  if (is_wait(error)) return {wanted, 0};
  if (error) {
    break_off(stream_.reason(error));
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
      const std::lock_guard lock(mutex_);
      if (landing_ != nullptr) std::memcpy(landing_ + payload_done_, ahead_.data() + ahead_begin_, count);
      ahead_begin_ += count;
      payload_done_ += count;
    }
    if (payload_done_ < payload_bytes_) {
      {
        const std::lock_guard lock(mutex_);
        sum_what_came();
      }
      setup_.traffic.frame_moved(*this);
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
    return break_off("it sent a payload without a checksum, in plain, and is not on this machine");
  ahead_begin_ += kFrameHeaderBytes;
  in_payload_ = true;
  payload_bytes_ = decoded->header.payload_bytes;
  payload_done_ = 0;
  payload_checksum_ = decoded->payload_checksum;
  summed_ = 0;
  unchecked_ = decoded->header.unchecked;
  is_own_ = is_of_transport(decoded->header.kind);
  if (decoded->header.kind == FrameKind::connections) return setup_.asked(decoded->header.count);
  if (decoded->header.kind == FrameKind::invitation) return setup_.invited(PeerId{decoded->header.count});
  setup_.traffic.frame_begins(*this, decoded->header);
}

void DataConnection::receive_into(std::byte* landing) {
  const std::lock_guard lock(mutex_);
  if (!closed_) landing_ = landing;
}

void DataConnection::end_frame() {
  in_payload_ = false;
  if (is_own_) return;
  bool intact = true;
  {
    const std::lock_guard lock(mutex_);
    intact = is_intact();
    landing_ = nullptr;
  }
  setup_.traffic.frame_ends(*this, intact);
}

/// With the mutex. Of a payload that is not whole yet.
void DataConnection::sum_what_came() {
  if (landing_ == nullptr || unchecked_ || payload_done_ == summed_) return;
  if (summed_ == 0) sum_.begin();
  sum_.add({landing_ + summed_, payload_done_ - summed_});
  summed_ = payload_done_;
}

/// With the mutex.
bool DataConnection::is_intact() {
  if (landing_ == nullptr || unchecked_) return true;
  if (summed_ == 0) return checksum({landing_, payload_bytes_}) == payload_checksum_;
  sum_what_came();
  return sum_.value() == payload_checksum_;
}

void DataConnection::release_receive() {
  const std::lock_guard lock(mutex_);
  landing_ = nullptr;
}

// ------------------------------------------------------------------------------------------- sending

void DataConnection::wait_writable() {
  waiting_writable_ = true;
  stream_.async_wait(Tcp::socket::wait_write, [self = shared_from_this()](const std::error_code& error) {
    self->waiting_writable_ = false;
    if (self->closed_ || error == asio::error::operation_aborted) return;
    self->pump();
    self->setup_.traffic.settle();
  });
}

void DataConnection::wake() {
  if (closed_ || waiting_writable_) return;
  if (is_own_thread()) return pump();
  if (wake_posted_.exchange(true)) return;
  asio::post(io_, [self = shared_from_this()] {
    self->wake_posted_ = false;
    self->pump();
    self->setup_.traffic.settle();
  });
}

void DataConnection::pump() {
  if (closed_ || waiting_writable_ || pumping_) return;
  pumping_ = true;
  std::size_t written = 0;
  while (gather()) {
    if (written >= kBytesAtOnce) {
      wait_writable();
      break;
    }
    std::unique_lock lock(mutex_);
    if (closed_) break;
    const std::size_t wanted = staged_.size() - staged_done_ + borrowed_.size();
    std::error_code error;
    const std::size_t count = write_out(error);
    if (error && !is_wait(error)) {
      lock.unlock();
      break_off(stream_.reason(error));
      break;
    }
    const std::size_t of_staged = std::min(count, staged_.size() - staged_done_);
    staged_done_ += of_staged;
    borrowed_ = borrowed_.subspan(count - of_staged);
    written += count;
    if (count < wanted) {
      lock.unlock();
      wait_writable();
      break;
    }
  }
  pumping_ = false;
}

/// With the mutex. In place, a sum is written from the memory in which its result comes in, maybe on another lane. The
/// result comes after the sum has been read at the other side, so after the system has copied it here. The thread
/// sanitizer cannot see that order (tests/tsan_suppressions.txt).
std::size_t DataConnection::write_out(std::error_code& error) {
  const std::array<asio::const_buffer, 2> from{
      asio::buffer(staged_.data() + staged_done_, staged_.size() - staged_done_),
      asio::buffer(borrowed_.data(), borrowed_.size())};
  return stream_.write_some(from, error);
}

/// With the mutex.
bool DataConnection::has_staged() const { return staged_done_ < staged_.size() || !borrowed_.empty(); }

bool DataConnection::gather() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    if (has_staged()) return true;
    staged_.clear();
    staged_done_ = 0;
    if (to_ask_) {
      FrameHeader frame;
      frame.kind = FrameKind::connections;
      frame.count = *std::exchange(to_ask_, std::nullopt);
      stage({.header = frame, .payload = {}}, false);
    }
    for (const PeerId who : std::exchange(to_invite_, {})) {
      FrameHeader frame;
      frame.kind = FrameKind::invitation;
      frame.count = who.value;
      stage({.header = frame, .payload = {}}, false);
    }
  }
  while (setup_.traffic.next_frame(*this)) {
    const std::lock_guard lock(mutex_);
    stage_given();
    if (closed_ || !borrowed_.empty() || staged_.size() >= kGatherBytes) break;
  }
  const std::lock_guard lock(mutex_);
  return !closed_ && has_staged();
}

void DataConnection::write(const FrameToSend& frame) {
  const std::lock_guard lock(mutex_);
  if (!closed_) given_ = frame;
}

/// With the mutex.
void DataConnection::stage_given() {
  if (given_) stage(*std::exchange(given_, std::nullopt), false);
}

/// With the mutex. `copies`: a long payload, too.
void DataConnection::stage(const FrameToSend& frame, bool copies) {
  HAWSER_ASSERT(frame.payload.size() == frame.header.payload_bytes);
  const std::size_t at = staged_.size();
  staged_.resize(at + kFrameHeaderBytes);
  FrameHeader header = frame.header;
  header.unchecked = setup_.trust.goes_unchecked(header);
  const auto sum = [&] {
    return frame.recent != nullptr ? frame.recent->of(header, frame.payload) : checksum(frame.payload);
  };
  encode_frame_header(header, header.unchecked ? 0 : sum(),
                      std::span<std::byte, kFrameHeaderBytes>(staged_.data() + at, kFrameHeaderBytes));
  if (frame.payload.size() > kSmallPayloadBytes && !copies)
    borrowed_ = frame.payload;
  else
    staged_.insert(staged_.end(), frame.payload.begin(), frame.payload.end());
}

void DataConnection::ask_connections(std::uint32_t connections) {
  const std::lock_guard lock(mutex_);
  to_ask_ = connections;
}

void DataConnection::invite(PeerId who) {
  const std::lock_guard lock(mutex_);
  if (to_invite_.size() < limits::kJoinedPairsMax) to_invite_.insert(who);
}

void DataConnection::keep_queue_short(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (closed_ || (bytes < 2 * queue_bytes_ && queue_bytes_ < 2 * bytes)) return;
  queue_bytes_ = bytes;
  transport::keep_queue_short(stream_.socket(), bytes);
}

void DataConnection::use_bbr() {
  const std::lock_guard lock(mutex_);
  if (!closed_) transport::use_bbr(stream_.socket());
}

void DataConnection::release_send() {
  const std::lock_guard lock(mutex_);
  // Nothing lies behind a borrowed payload, so its rest may go to the end of what is staged.
  if (!borrowed_.empty()) {
    staged_.insert(staged_.end(), borrowed_.begin(), borrowed_.end());
    borrowed_ = {};
  }
  if (given_) stage(*std::exchange(given_, std::nullopt), true);
}

}  // namespace hawser::transport
