#include "runtime/master_looks.hpp"

#include <asio/post.hpp>
#include <span>
#include <string>
#include <utility>

#include "wire/control_codec.hpp"

namespace hawser {
namespace {

/// Whoever has not answered by then does not answer.
constexpr auto kAnswerBound = std::chrono::seconds(1);

}  // namespace

MasterLooks::MasterLooks(asio::io_context& io, std::vector<Address> others, RunAccess access)
    : io_(io), others_(std::move(others)), access_(std::move(access)), names_(io), bound_(io) {}

MasterLooks::~MasterLooks() { close(); }

void MasterLooks::close() {
  bound_.cancel();
  seen_ = {};
  for (const auto& one : std::exchange(asked_, {})) {
    one->is_over = true;
    if (one->dial) one->dial->close();
    if (one->connection) one->connection->close();
  }
}

void MasterLooks::look(RunId self, Seen seen) {
  if (is_looking()) return;
  self_ = self;
  seen_ = std::move(seen);
  result_ = {.all_answered = true};
  for (std::size_t i = 0; i < others_.size(); ++i) asked_.push_back(std::make_unique<Asked>());
  for (std::size_t i = 0; i < others_.size(); ++i)
    asked_[i]->dial = transport::Dial::start(
        io_, names_, others_[i],
        [this, i, one = asked_[i].get()](Result<transport::Stream> stream) {
          if (i < asked_.size() && asked_[i].get() == one) dialled(i, std::move(stream));
        },
        {.tls = access_.tls, .insecure = access_.insecure});
  bound_.expires_after(kAnswerBound);
  bound_.async_wait([this](const std::error_code& error) {
    if (error) return;
    for (std::size_t i = 0; i < asked_.size(); ++i)
      if (!asked_[i]->is_over) {
        result_.all_answered = false;
        ended(i);
      }
    maybe_done();
  });
}

/// Only who has proven to be an operator is believed to be a master.
void MasterLooks::dialled(std::size_t which, Result<transport::Stream> stream) {
  Asked& one = *asked_[which];
  one.dial.reset();
  const Badge* const badge = stream.ok() ? stream->badge() : nullptr;
  if (!stream.ok() || (access_.tls && (badge == nullptr || badge->role != Role::run_operator))) {
    result_.all_answered = false;
    ended(which);
    return maybe_done();
  }
  one.connection = transport::ControlConnection::start(
      std::move(*stream), {.message = [this, which, &one](const std::string& message) {
                             if (!one.is_over) said(which, message);
                           },
                           .broken =
                               [this, which, &one](const std::string&) {
                                 if (one.is_over) return;
                                 result_.all_answered = false;
                                 ended(which);
                                 maybe_done();
                               },
                           .settle = {}});
  one.connection->send(encode(StatusRequest{}));
}

void MasterLooks::said(std::size_t which, const std::string& message) {
  const auto decoded = decode_master_message(std::as_bytes(std::span(message)));
  const auto* const status = decoded.ok() ? std::get_if<RunStatus>(&*decoded) : nullptr;
  if (status == nullptr) {
    result_.all_answered = false;
  } else if (status->run != self_) {
    note_other(result_, *status);
  }
  ended(which);
  maybe_done();
}

void MasterLooks::ended(std::size_t which) {
  Asked& one = *asked_[which];
  one.is_over = true;
  if (const auto dial = std::exchange(one.dial, nullptr)) dial->close();
  if (one.connection) one.connection->close();
}

/// Not within a handler of one of the connections: they go with it.
void MasterLooks::maybe_done() {
  for (const auto& one : asked_)
    if (!one->is_over) return;
  if (!seen_) return;
  bound_.cancel();
  asio::post(io_, [this, seen = std::exchange(seen_, {})] {
    const OthersSeen result = result_;
    asked_.clear();
    seen(result);
  });
}

}  // namespace hawser
