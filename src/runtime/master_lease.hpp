#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lease/etcd_client.hpp"
#include "membership/lease.hpp"

namespace hawser {

/// Where the lease of a run is, as a person writes it; all of them empty: there is none.
struct LeaseChoice {
  std::string place;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
};
/// Errors: invalid_argument, system, as EtcdClient::check() has them.
Result<lease::EtcdSetup> open_lease(const LeaseChoice& choice);

/// A LeaseMachine on its clock and its etcd. On the io_context's thread.
class MasterLease {
 public:
  /// LeaseTaken, LeaseLost, LeaseSeen or LogEvent. Also called within look_at_clock() and give_up().
  using Told = std::function<void(const LeaseAction&)>;

  /// `for_members_only`: as LeaseMachine has it.
  MasterLease(asio::io_context& io, lease::EtcdSetup setup, bool for_members_only, Told told);
  ~MasterLease();
  MasterLease(const MasterLease&) = delete;
  MasterLease& operator=(const MasterLease&) = delete;

  /// Errors: as EtcdClient::start().
  Result<void> start();
  /// Before each step of its master: one that stood still has lost the lease, perhaps.
  void look_at_clock();
  void give_up();
  void hurry(bool members_wait) { machine_.hurry(members_wait); }
  /// The lease ends. Blocks for 300 ms at most.
  void close();

 private:
  void answered(const LeaseAnswer& answer);
  void perform(const LeaseActions& actions);
  void arm_timer();

  asio::io_context& io_;
  lease::EtcdSetup setup_;
  Told told_;
  LeaseMachine machine_;
  asio::steady_timer timer_;
  std::unique_ptr<lease::EtcdClient> client_;
  std::shared_ptr<bool> lives_ = std::make_shared<bool>(true);  ///< Of answers that come later.
};

}  // namespace hawser
