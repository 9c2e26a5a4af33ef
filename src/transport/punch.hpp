#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/key_id.hpp"
#include "base/result.hpp"
#include "transport/dialer.hpp"
#include "transport/name_lookup.hpp"
#include "transport/stream.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::transport {

/// One attempt to reach a peer that was told to dial this one at the same time: all its addresses are dialled at once
/// from the port that this side listens on. Where the peer's listener takes one, this side goes on as on any dial. Where
/// two dials cross they are one connection (TCP simultaneous open), and one side goes on as if it had accepted it. What
/// is refused is dialled again, as NATs refuse what comes too early. Goes on until it is closed, unless no address is
/// worth another try. Not thread-safe.
class Punch : public std::enable_shared_from_this<Punch> {
 public:
  struct Plan {
    std::vector<Address> to;
    Address from;               ///< Where this side listens, with a port that is shared; port 0: from any.
    LookupSource source{};      ///< Who gave the addresses.
    bool greets_if_crossed = false;
    std::optional<KeyId> key{};  ///< That the peer must prove. Of the side that goes on as on a dial.
    TlsPtr tls{};
    bool insecure = true;
  };
  struct Outcome {
    /// On the side that yields not proven yet, as an accepted one. Errors: system, if nothing came through.
    Result<Stream> stream;
    Address to{};  ///< Which address it was.
    bool is_crossed = false;
    bool yields = false;  ///< It goes on as one that was accepted.
    std::vector<std::pair<Address, std::string>> failed{};
  };
  using Done = std::function<void(Outcome)>;

  /// `done` is called once, from the io_context, unless close() comes before.
  static std::shared_ptr<Punch> start(asio::io_context& io, NameLookup& names, Plan plan, Done done);
  void close();

  Punch(asio::io_context& io, Plan plan, Done done);

 private:
  /// One address, over all its dials.
  struct Try {
    Try(asio::io_context& io, Address place, Tcp::endpoint end)
        : to(std::move(place)), endpoint(end), socket(io), pause(io) {}
    Address to;
    Tcp::endpoint endpoint;
    Tcp::socket socket;
    asio::steady_timer pause;
    std::array<std::byte, kPunchHelloBytes> said{};
    std::size_t said_bytes = 0;
    std::shared_ptr<Dial> handshake;
    std::string why;  ///< It failed last.
    bool is_over = false;
  };
  using TryPtr = std::shared_ptr<Try>;

  void found(const Address& to, const Result<HostAddresses>& addresses);
  void dial(const TryPtr& one);
  void connected(const TryPtr& one);
  void wait(const TryPtr& one);
  void read(const TryPtr& one);
  void go_on(const TryPtr& one, bool is_crossed);
  void failed(const TryPtr& one, const std::error_code& error);
  void give_up(const TryPtr& one, std::string why);
  void look_whether_over();
  void finish(Outcome outcome);

  asio::io_context& io_;
  Plan plan_;
  Done done_;
  std::vector<TryPtr> tries_;
  std::vector<std::pair<Address, std::string>> failed_;
  std::size_t looked_up_ = 0;
  bool over_ = false;
};

}  // namespace hawser::transport
