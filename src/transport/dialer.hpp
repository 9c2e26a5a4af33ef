#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "transport/name_lookup.hpp"
#include "transport/socket_options.hpp"

namespace hawser::transport {

/// One attempt to connect to an address: looks the host up, and tries all that it finds, each a moment
/// after the one before without giving that up (RFC 8305, simplified), so that an address family which
/// leads nowhere costs a fraction of a second. Ends within kDialBound. Not thread-safe.
class Dial : public std::enable_shared_from_this<Dial> {
 public:
  using Done = std::function<void(Result<Tcp::socket>)>;

  /// `done` is called once, from the io_context, unless close() comes before. The connection is tuned. `source` is who
  /// gave us the address; none if it is our own choice.
  /// Errors: system, with a sentence.
  static std::shared_ptr<Dial> start(asio::io_context& io, NameLookup& names, const Address& to, Done done,
                                     LookupSource source = {});
  void close();
  /// Of one that has failed: nobody listens there, at any of its addresses.
  bool was_refused() const { return refused_ > 0 && refused_ == failed_; }

  Dial(asio::io_context& io, Address to, Done done);

 private:
  void found(const Result<HostAddresses>& addresses);
  void try_next();
  void tried(std::size_t which, const std::error_code& error);
  void finish(Result<Tcp::socket> result);

  asio::io_context& io_;
  asio::steady_timer next_;
  asio::steady_timer bound_;
  Address to_;
  Done done_;
  HostAddresses addresses_;
  std::vector<Tcp::socket> tries_;
  std::size_t failed_ = 0;
  std::size_t refused_ = 0;  ///< Of these, by who has the address.
  std::error_code last_error_;
  bool over_ = false;
};

}  // namespace hawser::transport
