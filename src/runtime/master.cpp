#include "runtime/master.hpp"

#include <unistd.h>

#include <asio/ip/host_name.hpp>
#include <new>
#include <random>

#include "runtime/io_thread.hpp"
#include "runtime/log.hpp"
#include "runtime/master_driver.hpp"
#include "runtime/rules_file.hpp"
#include "transport/listener.hpp"
#include "transport/quiet_thread.hpp"

namespace hawser {

Master::Master(MasterOptions options, RunAccess access, std::optional<AdmissionRules> rules,
               std::optional<lease::EtcdSetup> lease, std::unique_ptr<asio::io_context> io, std::shared_ptr<transport::Listener> listener)
    : options_(std::move(options)),
      access_(std::move(access)),
      rules_(std::move(rules)),
      lease_(std::move(lease)),
      process_(::getpid()),
      io_(std::move(io)),
      listener_(std::move(listener)),
      address_(listener_->address()) {
  if (options_.listen.host.empty() && access_.beyond_this_machine()) address_.host = "0.0.0.0";
}

Result<std::unique_ptr<Master>> Master::create(MasterOptions options) {
  auto access = open_access(options.access);
  if (!access.ok()) return access.error();
  if (access->tls && access->tls->own_badge().role != Role::run_operator)
    return Error{Status::invalid_argument, "a master needs the run's secret, or an operator's key; this one, of " +
                                               access->tls->own_badge().name + ", has the role " +
                                               role_name(access->tls->own_badge().role)};
  if (options.bounds.is_standby && options.others.empty())
    return Error{Status::invalid_argument,
                 "a master that stands by must be told of the others: give the list of all masters of the run"};
  std::optional<lease::EtcdSetup> lease;
  if (options.lease.place.empty() &&
      !(options.lease.ca_file.empty() && options.lease.cert_file.empty() && options.lease.key_file.empty()))
    return Error{Status::invalid_argument, "lease_ca, lease_cert and lease_key are of no use without a lease"};
  if (!options.lease.place.empty()) {
    if (options.others.empty())
      return Error{Status::invalid_argument,
                   "a master with a lease must be told of the others: give the list of all masters of the run"};
    auto opened = open_lease(options.lease);
    if (!opened.ok()) return opened.error();
    lease = std::move(*opened);
  }
  std::optional<AdmissionRules> rules;
  if (!options.rules_file.empty()) {
    auto read = read_rules(options.rules_file);
    if (!read.ok()) return read.error();
    rules = std::move(*read);
  }
  auto io = std::make_unique<asio::io_context>(1);
  auto listener = transport::Listener::open(*io, {.host = options.listen.host,
                                                  .port_first = options.listen.port,
                                                  .port_last = options.listen.port,
                                                  .this_machine_only = !access->beyond_this_machine()});
  if (!listener.ok()) return listener.error();
  if (lease) lease->holder = asio::ip::host_name() + ":" + std::to_string((*listener)->address().port);
  return std::unique_ptr<Master>(new Master(std::move(options), std::move(*access), std::move(rules), std::move(lease),
                                            std::move(io), std::move(*listener)));
}

Master::~Master() {
  if (process_ != ::getpid()) {
    // Forked off: the thread and what the sockets mean live in the parent only.
    if (thread_.joinable()) thread_.detach();
    (void)io_.release();
    // Without memory it goes after all: it closes what the parent does not share.
    (void)new (std::nothrow) std::shared_ptr<transport::Listener>(std::move(listener_));
    return;
  }
  stop();
}

Result<void> Master::begin() {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::created)
    return Error{Status::invalid_usage, phase_ == Phase::running
                                            ? "the master runs already"
                                            : "the master has run already; create another one"};
  phase_ = Phase::running;
  return {};
}

/// What kept it from serving to its end, if anything did.
std::optional<Thrown> Master::serve() noexcept {
  std::optional<Thrown> failure;
  const auto failed = [&](const Thrown& thrown) noexcept {
    failure = thrown;
    io_->stop();
    log_failure("master", thrown);
  };
  try {
    std::random_device source;
    const std::uint64_t seed = (static_cast<std::uint64_t>(source()) << 32) | source();
    MasterDriver driver(*io_,
                        {.bounds = options_.bounds,
                         .connections_max = options_.connections_max,
                         .seed = seed,
                         .name = "master",
                         .access = access_,
                         .rules = rules_,
                         .others = options_.others,
                         .lease = lease_,
                         .rules_file = options_.rules_file},
                        listener_);
    driver.start();
    run_io(*io_, failed);
  } catch (...) {
    failed(what_was_thrown());
  }
  listener_->close();
  const std::lock_guard lock(mutex_);
  phase_ = Phase::ended;
  // Under the lock: whoever waits for this may free the master next.
  ended_.notify_all();
  return failure;
}

Result<void> Master::run() {
  if (auto begun = begin(); !begun.ok()) return begun;
  if (const auto failure = serve()) return failure->error();
  return {};
}

Result<void> Master::start() {
  if (auto begun = begin(); !begun.ok()) return begun;
  // Unless a thread serves, whatever keeps it from that, the master may be started again.
  const auto not_begun = [this] {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::created;
  };
  try {
    auto thread = transport::start_quiet_thread([this] { (void)serve(); });
    if (!thread.ok()) {
      not_begun();
      return thread.error();
    }
    const std::lock_guard lock(mutex_);
    thread_ = std::move(*thread);
  } catch (...) {
    not_begun();
    throw;
  }
  return {};
}

void Master::stop() {
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::created) {
    phase_ = Phase::ended;
    listener_->close();
  }
  io_->stop();
  ended_.wait(lock, [this] { return phase_ == Phase::ended; });
  if (thread_.joinable()) {
    // Moved out, so that of two who stop only one joins.
    std::thread thread = std::move(thread_);
    lock.unlock();
    thread.join();
  }
}

}  // namespace hawser
