#include "runtime/master_lease.hpp"

#include <asio/post.hpp>
#include <utility>

#include "runtime/clock.hpp"

namespace hawser {

Result<lease::EtcdSetup> open_lease(const LeaseChoice& choice) {
  auto place = lease::parse_lease_place(choice.place);
  if (!place.ok()) return place.error();
  const bool has_files = !choice.ca_file.empty() || !choice.cert_file.empty() || !choice.key_file.empty();
  if (has_files && place->endpoints.front().starts_with("http:"))
    return Error{Status::invalid_argument,
                 "lease_ca, lease_cert and lease_key are for an etcd under TLS: write the lease as etcds://..."};
  if (choice.cert_file.empty() != choice.key_file.empty())
    return Error{Status::invalid_argument, "lease_cert and lease_key belong together: give both, or neither"};
  lease::EtcdSetup setup{.place = std::move(*place),
                         .ca_file = choice.ca_file,
                         .cert_file = choice.cert_file,
                         .key_file = choice.key_file,
                         .holder = {}};
  if (auto checked = lease::EtcdClient::check(setup); !checked.ok()) return checked.error();
  return setup;
}

MasterLease::MasterLease(asio::io_context& io, lease::EtcdSetup setup, bool for_members_only, Told told)
    : io_(io),
      setup_(std::move(setup)),
      told_(std::move(told)),
      machine_({}, now_with_suspends(), for_members_only),
      timer_(io) {}

MasterLease::~MasterLease() { close(); }

Result<void> MasterLease::start() {
  auto client = lease::EtcdClient::start(setup_, [this, lives = std::weak_ptr(lives_)](LeaseAnswer answer) {
    asio::post(io_, [this, lives, answer = std::move(answer)] {
      if (lives.lock()) answered(answer);
    });
  });
  if (!client.ok()) return client.error();
  client_ = std::move(*client);
  look_at_clock();
  return {};
}

void MasterLease::close() {
  timer_.cancel();
  lives_.reset();
  if (const auto client = std::exchange(client_, nullptr)) client->finish(machine_.to_revoke());
}

void MasterLease::look_at_clock() {
  LeaseActions actions;
  machine_.tick(now_with_suspends(), actions);
  perform(actions);
}

void MasterLease::give_up() {
  LeaseActions actions;
  machine_.give_up(now_with_suspends(), actions);
  perform(actions);
}

void MasterLease::answered(const LeaseAnswer& answer) {
  LeaseActions actions;
  machine_.answered(now_with_suspends(), answer, actions);
  perform(actions);
}

void MasterLease::perform(const LeaseActions& actions) {
  for (const LeaseAction& action : actions) {
    const auto* const request = std::get_if<LeaseRequest>(&action);
    if (request == nullptr)
      told_(action);
    else if (client_)
      client_->ask(*request);
  }
  arm_timer();
}

/// One that is too early does no harm.
void MasterLease::arm_timer() {
  const auto due = machine_.next_deadline();
  if (!due || !client_) return;
  timer_.expires_after(std::max(Duration::zero(), *due - now_with_suspends()));
  timer_.async_wait([this, lives = std::weak_ptr(lives_)](const std::error_code& error) {
    if (!error && lives.lock()) look_at_clock();
  });
}

}  // namespace hawser
