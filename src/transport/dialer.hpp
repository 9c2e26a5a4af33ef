#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/key_id.hpp"
#include "base/result.hpp"
#include "transport/name_lookup.hpp"
#include "transport/stream.hpp"

namespace hawser::transport {

struct DialOptions {
  /// Who gave us the address; none if it is our own choice.
  LookupSource source{};
  TlsPtr tls{};  ///< Null: in plain.
  /// In plain also to other machines.
  bool insecure = true;
  /// From the port of a listener that shares it, if that can be had; port 0: from any.
  Address from{};
  /// Whose key the other side must have; none: that of anybody in the run. Only under TLS.
  std::optional<KeyId> expected{};
};

/// A dial to a free port of the own host can by chance get that very port as its source: TCP then connects
/// the socket to itself, and the one who wants to listen there finds the port taken.
bool is_own_echo(const Tcp::socket& socket);

/// One attempt to connect to an address: looks the host up, and tries all that it finds, each a moment
/// after the one before without giving that up (RFC 8305, simplified), so that an address family which
/// leads nowhere costs a fraction of a second. The first that connects shakes hands. Ends within kDialBound. Not
/// thread-safe.
class Dial : public std::enable_shared_from_this<Dial> {
 public:
  using Done = std::function<void(Result<Stream>)>;

  /// `done` is called once, from the io_context, unless close() comes before. The connection is tuned, and the other
  /// side proven. It may still refuse this side's key, which shows when it is read. Errors, each with a sentence:
  /// system; refused, where the two sides do not trust each other; invalid_argument, where this side may not go there
  /// in plain.
  static std::shared_ptr<Dial> start(asio::io_context& io, NameLookup& names, const Address& to, Done done,
                                     DialOptions options = {});
  /// The same for a connection that stands, of which the other end is somebody new: only shakes hands. `to`: for
  /// sentences.
  static std::shared_ptr<Dial> go_on(asio::io_context& io, Stream stream, const Address& to, Done done,
                                     DialOptions options);
  void close();
  /// Of one that has failed: nobody listens there, at any of its addresses.
  bool was_refused() const { return refused_ > 0 && refused_ == failed_; }

  Dial(asio::io_context& io, Address to, Done done, DialOptions options);

 private:
  void bound();
  void found(const Result<HostAddresses>& addresses);
  void try_next();
  void connect(std::size_t which);
  void tried(std::size_t which, const std::error_code& error);
  void shake_hands();
  Result<void> check_expected() const;
  void finish(Result<Stream> result);

  asio::io_context& io_;
  asio::steady_timer next_;
  asio::steady_timer bound_;
  Address to_;
  Done done_;
  DialOptions options_;
  HostAddresses addresses_;
  std::vector<Tcp::socket> tries_;
  std::optional<Stream> connected_;
  std::size_t failed_ = 0;
  std::size_t refused_ = 0;  ///< Of these, by who has the address.
  std::error_code last_error_;
  bool over_ = false;
};

}  // namespace hawser::transport
