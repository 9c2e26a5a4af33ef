#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "lease/lease_place.hpp"
#include "membership/lease.hpp"

namespace hawser::lease {

struct EtcdSetup {
  LeasePlace place;
  std::string ca_file{};    ///< Who signs the certificate of the etcd. Empty: the system's list.
  std::string cert_file{};  ///< What this master shows to it,
  std::string key_file{};   ///< with its key. Empty: nothing.
  std::string holder;       ///< This master, for people.
};

/// Asks an etcd for the lease, one request at a time, in a thread of its own. An endpoint that does not answer within the
/// request's bound is left: the next request goes to the next one. Safe from one thread.
class EtcdClient {
 public:
  /// Called in the client's thread, once for each request, at the latest at its bound. May not throw.
  using Answered = std::function<void(LeaseAnswer)>;

  /// Whether one can be started. Errors: system (no libcurl), invalid_argument (a file that cannot be read, or a build
  /// without leases).
  static Result<void> check(const EtcdSetup& setup);
  /// Nothing is asked yet. Errors: as check(), and system if the system gives no thread.
  static Result<std::unique_ptr<EtcdClient>> start(EtcdSetup setup, Answered answered);
  /// As finish() without anything to revoke.
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  /// Does not block. What is under way, and has not been answered, is given up.
  void ask(const LeaseRequest& request);
  /// No more answers. A time to live is ended if that can be done within 300 ms: others have the lease at once then.
  /// Blocks for so long at the most. The second time nothing happens.
  void finish(std::optional<std::uint64_t> revoke);

 private:
  class Worker;
  explicit EtcdClient(std::unique_ptr<Worker> worker);
  std::unique_ptr<Worker> worker_;
};

}  // namespace hawser::lease
