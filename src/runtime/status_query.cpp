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

/// What the master answers: a status, or what a command came to.
struct Answer {
  StatusAnswer status;
  std::string sentence;
};

/// One question, a StatusRequest or an OperatorCommand, on an io_context that runs for it only.
class MasterQuestion {
 public:
  MasterQuestion(const Address& master, RunAccess access, PeerMessage question)
      : master_(master), access_(std::move(access)), question_(std::move(question)), names_(io_), timer_(io_) {}
  MasterQuestion(const MasterQuestion&) = delete;
  MasterQuestion& operator=(const MasterQuestion&) = delete;

  Result<Answer> ask(Duration bound) {
    timer_.expires_after(bound);
    timer_.async_wait([this, bound](const std::error_code& error) {
      if (!error) too_late(bound);
    });
    dial_ = transport::Dial::start(
        io_, names_, master_, [this](Result<transport::Stream> stream) { dialled(std::move(stream)); },
        {.tls = access_.tls, .insecure = access_.insecure});
    while (!answer_) io_.run_one();
    if (dial_) dial_->close();
    if (connection_) connection_->close();
    return std::move(*answer_);
  }

 private:
  void end(Result<Answer> answer) {
    if (!answer_) answer_ = std::move(answer);
  }
  void fail(Status status, std::string sentence) { end(Error{status, std::move(sentence)}); }

  void dialled(Result<transport::Stream> stream) {
    dial_.reset();
    if (stream.status() == Status::system)
      return fail(Status::master_unreachable,
                  stream.error().sentence + ". Is the master running, and is this its address?");
    if (!stream.ok()) return fail(stream.status(), stream.error().sentence);
    if (const Badge* const badge = stream->badge(); badge != nullptr && badge->role != Role::run_operator)
      return fail(Status::refused, "who answers at " + to_string(master_) + " is " + badge->name +
                                       ", whose key has the role " + role_name(badge->role) + ", which no master has");
    connection_ = transport::ControlConnection::start(
        std::move(*stream), {.message = [this](const std::string& message) { said(message); },
                             .broken = [this](std::string reason) { broke(reason); },
                             .settle = {}});
    connection_->send(encode(question_));
  }

  void said(const std::string& message) {
    auto decoded = decode_master_message(std::as_bytes(std::span(message)));
    if (!decoded.ok()) return broke(decoded.error().sentence);
    if (auto* const status = std::get_if<RunStatus>(&*decoded))
      return end(Answer{.status = {.status = std::move(*status),
                                   .matrices = std::move(matrices_),
                                   .attested = std::move(attested_)},
                        .sentence = {}});
    if (auto* const done = std::get_if<CommandDone>(&*decoded))
      return end(Answer{.status = {}, .sentence = std::move(done->sentence)});
    if (auto* const measures = std::get_if<Measures>(&*decoded); measures != nullptr && wanted().matrix) {
      pairs_ += measures->rows.size() * measures->rows.size();
      if (measures->rows.empty() || pairs_ > limits::kStatusPairsMax) return broke("it tells too many measures");
      return matrices_.push_back(std::move(*measures));
    }
    if (auto* const one = std::get_if<AttestedCollective>(&*decoded); one != nullptr && wanted().attested > 0) {
      attestations_ += one->members.size();
      if (attested_.size() == wanted().attested || attestations_ > limits::kAttestationsToldMax)
        return broke("it tells too many collectives");
      return attested_.push_back(std::move(*one));
    }
    if (const auto* const refused = std::get_if<Refused>(&*decoded))
      return fail(Status::refused, "the master at " + to_string(master_) +
                                       " refuses: " + refused->error.sentence);
    broke("it answered with something else");
  }

  /// A master of a release that does not know the question closes the connection without a word, as a peer's
  /// port does.
  void broke(const std::string& reason) {
    if (connection_ && connection_->is_distrusted())
      return fail(Status::refused,
                  "no trust between this program and the master at " + to_string(master_) + ": " + reason);
    fail(Status::refused,
         "what listens at " + to_string(master_) + " is no Hawser master that can be asked for its status (" +
             reason + "): the address is another program's or a peer's, or its Hawser is of another release");
  }

  StatusRequest wanted() const {
    const auto* const asked = std::get_if<StatusRequest>(&question_);
    return asked != nullptr ? *asked : StatusRequest{};
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
  RunAccess access_;
  PeerMessage question_;
  asio::io_context io_{1};
  transport::NameLookup names_;
  asio::steady_timer timer_;
  std::shared_ptr<transport::Dial> dial_;
  std::shared_ptr<transport::ControlConnection> connection_;
  std::vector<Measures> matrices_;
  std::size_t pairs_ = 0;
  std::vector<AttestedCollective> attested_;
  std::size_t attestations_ = 0;
  std::optional<Result<Answer>> answer_;
};

}  // namespace

Result<StatusAnswer> query_status(const std::vector<Address>& masters, Duration bound, const StatusRequest& wanted,
                                  const AccessChoice& choice) {
  auto access = open_access(choice);
  if (!access.ok()) return access.error();
  std::optional<Result<StatusAnswer>> best;
  for (const Address& master : masters) {
    auto answer = MasterQuestion(master, *access, wanted).ask(bound);
    if (answer.ok() && answer->status.status.serves) return std::move(answer->status);
    if (answer.ok() && (!best || !best->ok())) best = std::move(answer->status);
    if (!answer.ok() && !best) best = answer.error();
  }
  if (!best) return Error{Status::invalid_argument, "no master is named"};
  return std::move(*best);
}

Result<StatusAnswer> query_status(const Address& master, Duration bound, const StatusRequest& wanted,
                                  const AccessChoice& choice) {
  return query_status(std::vector<Address>{master}, bound, wanted, choice);
}

Result<std::string> operate(const std::vector<Address>& masters, Duration bound, const OperatorCommand& command,
                            const AccessChoice& choice) {
  auto access = open_access(choice);
  if (!access.ok()) return access.error();
  if (!access->tls)
    return Error{Status::invalid_argument,
                 "a command needs an operator's key, or the run's secret: give a secret_file"};
  // Rules hold at the master that has them: all of them must. Peers are at one.
  std::vector<Address> whom = masters;
  for (std::size_t i = 0; command.verb == OperatorVerb::kick && i < masters.size() && masters.size() > 1; ++i)
    if (const auto answer = MasterQuestion(masters[i], *access, StatusRequest{}).ask(bound);
        answer.ok() && answer->status.status.serves)
      whom = {masters[i]};
  std::string sentences;
  for (const Address& master : whom) {
    auto answer = MasterQuestion(master, *access, command).ask(bound);
    if (!answer.ok()) return answer.error();
    sentences += (sentences.empty() ? "" : "; ") + (masters.size() > 1 ? to_string(master) + ": " : "") +
                 answer->sentence;
  }
  return sentences;
}

}  // namespace hawser
