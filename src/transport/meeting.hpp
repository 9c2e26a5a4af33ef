#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/dialer.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::transport {

/// One attempt to reach a peer by a go-between: goes there, waits until the peer has come, too, and hands over the
/// connection to it. What the go-between passes on is under a session of TLS that both peers make through it. Ends
/// within 25 s. Not thread-safe.
class Meeting : public std::enable_shared_from_this<Meeting> {
 public:
  using Done = std::function<void(Result<Stream>)>;
  struct Plan {
    Address go_between;
    LookupSource source{};           ///< Who gave that address.
    std::optional<KeyId> key{};      ///< Of the go-between.
    std::vector<std::byte> greeting;  ///< That it is told.
    trust::TlsSession::Side side = trust::TlsSession::Side::dialling;
    std::optional<KeyId> beyond{};  ///< Whose key is to be proven there. Of the dialling side.
    TlsPtr tls{};
    bool insecure = true;
    std::function<void(const std::string& why)> on_failure{};  ///< Of the handshake, on the accepting side.
  };

  /// `done` is called once, from the io_context, unless close() comes before. On the dialling side the peer has proven
  /// its key; on the accepting side it will, as on any accepted connection. Errors: as Dial; refused, where the
  /// go-between does not bring them together.
  static std::shared_ptr<Meeting> start(asio::io_context& io, NameLookup& names, Plan plan, Done done);
  void close();

  Meeting(asio::io_context& io, Plan plan, Done done);

 private:
  void arrived(Result<Stream> stream);
  void wait();
  void read();
  void go_on();
  void finish(Result<Stream> result);

  asio::io_context& io_;
  asio::steady_timer bound_;
  Plan plan_;
  Done done_;
  std::shared_ptr<Dial> dial_;
  std::optional<Stream> stream_;
  std::array<std::byte, kGreetingAnswerBytes> answer_{};
  std::size_t answered_ = 0;
  bool is_joined_ = false;
  bool over_ = false;
};

}  // namespace hawser::transport
