#include "transport/meeting.hpp"

#include <chrono>
#include <utility>

#include "transport/socket_wait.hpp"

namespace hawser::transport {
namespace {

/// The go-between waits less long for whom it has invited.
constexpr auto kMeetingBound = std::chrono::seconds(5);

}  // namespace

Meeting::Meeting(asio::io_context& io, Plan plan, Done done)
    : io_(io), bound_(io), plan_(std::move(plan)), done_(std::move(done)) {}

std::shared_ptr<Meeting> Meeting::start(asio::io_context& io, NameLookup& names, Plan plan, Done done) {
  auto meeting = std::make_shared<Meeting>(io, std::move(plan), std::move(done));
  meeting->dial_ = Dial::start(
      io, names, meeting->plan_.go_between,
      [meeting](Result<Stream> stream) { meeting->arrived(std::move(stream)); },
      {.source = meeting->plan_.source,
       .tls = meeting->plan_.tls,
       .insecure = meeting->plan_.insecure,
       .expected = meeting->plan_.key});
  return meeting;
}

void Meeting::close() {
  if (over_) return;
  over_ = true;
  bound_.cancel();
  if (dial_) dial_->close();
  dial_.reset();
  stream_.reset();
  done_ = {};
}

void Meeting::finish(Result<Stream> result) {
  Done done = std::move(done_);
  close();
  done(std::move(result));
}

void Meeting::arrived(Result<Stream> stream) {
  dial_.reset();
  if (over_) return;
  if (!stream.ok()) return finish(std::move(stream));
  stream_ = std::move(*stream);
  std::error_code error;
  if (stream_->write_some(asio::buffer(plan_.greeting), error) != plan_.greeting.size())
    return finish(Error{Status::system, error ? stream_->reason(error) : "the go-between reads nothing"});
  bound_.expires_after(kMeetingBound);
  bound_.async_wait([self = shared_from_this()](const std::error_code& failure) {
    if (!failure && !self->over_) self->finish(Error{Status::system, "nobody comes to the go-between"});
  });
  wait();
}

void Meeting::wait() {
  stream_->async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const std::error_code& failure) {
    if (!self->over_ && failure != asio::error::operation_aborted) self->read();
  });
}

void Meeting::read() {
  std::error_code error;
  if (!is_joined_) {
    answered_ += stream_->read_some(asio::buffer(answer_.data() + answered_, answer_.size() - answered_), error);
    if (error && !is_wait(error)) return finish(Error{Status::system, "the go-between: " + stream_->reason(error)});
    if (answered_ < answer_.size()) return wait();
    const auto answer = decode_greeting_answer(answer_);
    if (!answer.ok()) return finish(answer.error());
    if (answer->answer != GreetingAnswer::accepted)
      return finish(Error{Status::refused, answer->answer == GreetingAnswer::refused_busy
                                               ? "the go-between is busy"
                                               : "the go-between does not bring them together"});
    is_joined_ = true;
    stream_->leave_tls();
  }
  if (stream_->has_left_tls(error)) return go_on();
  if (error && !is_wait(error)) return finish(Error{Status::system, "the go-between: " + stream_->reason(error)});
  wait();
}

/// From here on the other end is the peer.
void Meeting::go_on() {
  auto beyond = Stream::beyond(std::move(*stream_), plan_.tls, plan_.side, plan_.on_failure);
  stream_.reset();
  if (!beyond.ok() || plan_.side == trust::TlsSession::Side::accepting) return finish(std::move(beyond));
  bound_.cancel();
  dial_ = Dial::go_on(
      io_, std::move(*beyond), plan_.go_between,
      [self = shared_from_this()](Result<Stream> stream) {
        self->dial_.reset();
        if (!self->over_) self->finish(std::move(stream));
      },
      {.tls = plan_.tls, .insecure = plan_.insecure, .expected = plan_.beyond});
}

}  // namespace hawser::transport
