/// The sockets of links for which both sides dial at once.
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <memory>
#include <utility>

#include "transport/links_handshake.hpp"
#include "transport/same_machine.hpp"
#include "transport/socket_wait.hpp"
#include "wire/magic.hpp"

namespace hawser::transport {

void Links::perform_one(const links::AskBothDial& action, links::Actions&) {
  traffic_.link_unreached(action.peer, action.why);
}

void Links::perform_one(const links::Punch& action, links::Actions&) {
  punches_[action.socket] = Punch::start(io_, names_,
                                         {.to = action.to,
                                          .from = config_.listens,
                                          .source = action.peer.value,
                                          .greets_if_crossed = action.greets_if_crossed,
                                          .key = action.key,
                                          .tls = config_.tls,
                                          .insecure = config_.insecure},
                                         [this, socket = action.socket](Punch::Outcome outcome) {
                                           if (punches_.erase(socket) == 0) return;
                                           punched(socket, std::move(outcome));
                                           traffic_.settle();
                                         });
}

void Links::punched(links::SocketId socket, Punch::Outcome outcome) {
  if (!outcome.stream.ok())
    return ask_table([&](links::Actions& out) {
      table_.dial_failed(links_now(), socket, {.why = outcome.stream.error().sentence, .each = std::move(outcome.failed)},
                         out);
    });
  Stream& stream = outcome.stream.value();
  std::shared_ptr<Handshake> handshake;
  ask_table([&](links::Actions& out) {
    if (!outcome.yields) {
      handshake = std::make_shared<Handshake>(socket, std::move(stream));
      handshakes_.emplace(socket, handshake);
      return table_.punched(links_now(),
                            {.socket = socket,
                             .machine_proof = machine_proof(handshake->stream.socket(), true),
                             .to = outcome.to,
                             .is_crossed = outcome.is_crossed},
                            out);
    }
    const auto number = table_.yielded(links_now(), socket,
                                       {.source = source_of(stream.socket()),
                                        .remote_host = outcome.to.host,
                                        .machine_proof = machine_proof(stream.socket(), false)},
                                       out);
    if (!number) return;
    handshake = std::make_shared<Handshake>(*number, std::move(stream));
    handshakes_.emplace(*number, handshake);
  });
  if (handshake && !handshake->is_over) wait_readable(handshake);
}

/// A peer that was told to dial this one, and has been accepted instead of crossing a dial: it says so first, and is
/// answered. Whoever else comes begins with another byte, which is left where it is.
bool Links::has_read_preface(Handshake& handshake, std::error_code& error) {
  Tcp::socket& socket = handshake.stream.socket();
  if (handshake.preface == Handshake::Preface::awaited) {
    std::byte first{};
    const std::size_t count = socket.receive(asio::buffer(&first, 1), asio::socket_base::message_peek, error);
    if (is_wait(error)) return error.clear(), false;
    error.clear();
    handshake.preface =
        count == 1 && first == kPunchMagic.front() ? Handshake::Preface::coming : Handshake::Preface::over;
  }
  if (handshake.preface == Handshake::Preface::over) return true;
  auto& said = handshake.said;
  handshake.said_bytes +=
      socket.read_some(asio::buffer(said.data() + handshake.said_bytes, said.size() - handshake.said_bytes), error);
  if (is_wait(error)) error.clear();
  if (error || handshake.said_bytes < said.size()) return false;
  const auto hello = decode_punch_hello(said);
  if (!hello.ok() || *hello != PunchHello::dialled) return error = asio::error::invalid_argument, false;
  handshake.preface = Handshake::Preface::over;
  const auto answer = encode_punch_hello(PunchHello::accepted);
  if (socket.write_some(asio::buffer(answer), error) == answer.size()) return true;
  if (!error || is_wait(error)) error = asio::error::connection_aborted;
  return false;
}

}  // namespace hawser::transport
