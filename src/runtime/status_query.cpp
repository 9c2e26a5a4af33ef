#include "runtime/status_query.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/limits.hpp"
#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/name_lookup.hpp"
#include "wire/control_codec.hpp"

namespace hawser {
namespace {

/// One question, on an io_context that runs for it only.
class StatusQuery {
 public:
  StatusQuery(const Address& master, bool with_matrices)
      : master_(master), with_matrices_(with_matrices), names_(io_), timer_(io_) {}
  StatusQuery(const StatusQuery&) = delete;
  StatusQuery& operator=(const StatusQuery&) = delete;

  Result<StatusAnswer> ask(Duration bound) {
    timer_.expires_after(bound);
    timer_.async_wait([this, bound](const std::error_code& error) {
      if (!error) too_late(bound);
    });
    dial_ = transport::Dial::start(
        io_, names_, master_, [this](Result<transport::Stream> stream) { dialled(std::move(stream)); });
    while (!answer_) io_.run_one();
    if (dial_) dial_->close();
    if (connection_) connection_->close();
    return std::move(*answer_);
  }

 private:
  void end(Result<StatusAnswer> answer) {
    if (!answer_) answer_ = std::move(answer);
  }
  void fail(Status status, std::string sentence) { end(Error{status, std::move(sentence)}); }

  void dialled(Result<transport::Stream> stream) {
    dial_.reset();
    if (!stream.ok())
      return fail(Status::master_unreachable,
                  stream.error().sentence + ". Is the master running, and is this its address?");
    connection_ = transport::ControlConnection::start(
        std::move(*stream), {.message = [this](const std::string& message) { said(message); },
                             .broken = [this](std::string reason) { broke(reason); },
                             .settle = {}});
    connection_->send(encode(StatusRequest{.matrix = with_matrices_}));
  }

  void said(const std::string& message) {
    auto decoded = decode_master_message(std::as_bytes(std::span(message)));
    if (!decoded.ok()) return broke(decoded.error().sentence);
    if (auto* const status = std::get_if<RunStatus>(&*decoded))
      return end(StatusAnswer{.status = std::move(*status), .matrices = std::move(matrices_)});
    if (auto* const measures = std::get_if<Measures>(&*decoded); measures != nullptr && with_matrices_) {
      pairs_ += measures->rows.size() * measures->rows.size();
      if (measures->rows.empty() || pairs_ > limits::kStatusPairsMax) return broke("it tells too many measures");
      return matrices_.push_back(std::move(*measures));
    }
    if (const auto* const refused = std::get_if<Refused>(&*decoded))
      return fail(Status::refused, "the master at " + to_string(master_) +
                                       " does not tell its status: " + refused->error.sentence);
    broke("it answered with something else");
  }

  /// A master of a release that does not know the question closes the connection without a word, as a peer's
  /// port does.
  void broke(const std::string& reason) {
    fail(Status::refused,
         "what listens at " + to_string(master_) + " is no Hawser master that can be asked for its status (" +
             reason + "): the address is another program's or a peer's, or its Hawser is of another release");
  }

  void too_late(Duration bound) {
    const std::string within = " within " + std::to_string(whole_milliseconds(bound)) + " ms";
    fail(Status::timeout, connection_
                              ? to_string(master_) + " took the connection but did not answer" + within +
                                    ": a master that is stopped or overloaded, or no master at all"
                              : "no connection to " + to_string(master_) + within +
                                    ": the host is down, or a firewall drops what is sent to it");
  }

  Address master_;
  bool with_matrices_;
  asio::io_context io_{1};
  transport::NameLookup names_;
  asio::steady_timer timer_;
  std::shared_ptr<transport::Dial> dial_;
  std::shared_ptr<transport::ControlConnection> connection_;
  std::vector<Measures> matrices_;
  std::size_t pairs_ = 0;
  std::optional<Result<StatusAnswer>> answer_;
};

}  // namespace

Result<StatusAnswer> query_status(const Address& master, Duration bound, bool with_matrices) {
  return StatusQuery(master, with_matrices).ask(bound);
}

}  // namespace hawser
