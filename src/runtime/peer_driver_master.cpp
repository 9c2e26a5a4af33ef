/// The control connection: dialled, spoken over, missed.
#include <string>
#include <utility>

#include "runtime/clock.hpp"
#include "runtime/log.hpp"
#include "base/limits.hpp"
#include "runtime/peer_driver.hpp"
#include "transport/own_addresses.hpp"
#include "trust/attest.hpp"
#include "trust/tls_context.hpp"
#include "wire/control_codec.hpp"

namespace hawser {
namespace {

/// The reason why a master is not reached is told early, for whoever has mistyped its address, and then now and then.
constexpr Duration kMissedMasterLogAfter = seconds(2);
constexpr Duration kMissedMasterLogEvery = seconds(10);

bool is_of_master(const EngineEvent& event) {
  return std::holds_alternative<MasterUp>(event) || std::holds_alternative<MasterDown>(event) ||
         std::holds_alternative<MasterSaid>(event);
}

}  // namespace

void WaitLog::tell(const std::string& what, Duration lasted) const noexcept {
  try {
    const bool up = master_up;
    write_log(name, {up ? LogLevel::info : LogLevel::warning, "long-wait",
                     what + " has lasted " + std::to_string(whole_milliseconds(lasted) / 1000) +
                         " s; the master at " + master + (up ? " is connected" : " is not connected")});
  } catch (const std::exception&) {
    // A wait without a word in the log is better than none.
  }
}

void PeerDriver::perform_one(DialMaster& action) {
  forget_master();
  master_at_ = action.which;
  std::erase_if(events_, is_of_master);
  master_dial_ =
      transport::Dial::start(io_, names_, master_address(),
                             [this, generation = master_generation_](Result<transport::Stream> result) {
                               if (generation == master_generation_) master_dialled(std::move(result));
                               settle();
                             },
                             {.tls = config_.access.tls,
                              .insecure = config_.access.insecure,
                              .from = reaches_others() ? listener_->address() : Address{}});
}

void PeerDriver::master_dialled(Result<transport::Stream> result) {
  master_dial_.reset();
  if (result.status() == Status::refused || result.status() == Status::invalid_argument)
    return no_trust(result.error().sentence);
  if (const Badge* const badge = result.ok() ? result->badge() : nullptr; badge && badge->role != Role::run_operator)
    return no_trust("who answers at " + to_string(master_address()) + " is " + badge->name +
                    ", whose key has the role " + role_name(badge->role) +
                    "; a master needs the run's secret, or an operator's key");
  if (!result.ok()) {
    master_is_missed(result.error().sentence);
    events_.emplace_back(MasterDown{.reason = result.error().sentence});
    return;
  }
  const std::uint64_t generation = master_generation_;
  Ways ways = ways_over(*result);
  master_ = transport::ControlConnection::start(std::move(result.value()),
                                                {.message =
                                                     [this, generation](const std::string& message) {
                                                       if (generation == master_generation_)
                                                         master_said(message);
                                                     },
                                                 .broken =
                                                     [this, generation](std::string reason) {
                                                       if (generation == master_generation_)
                                                         master_broke(std::move(reason));
                                                     },
                                                 .settle = [this] { settle(); }});
  wait_log_->master_up = true;
  events_.emplace_back(MasterUp{std::move(ways)});
}

/// Without a key it stays on this machine.
bool PeerDriver::reaches_others() const { return config_.access.tls || config_.access.insecure; }

/// How others may dial this peer, which has just reached the master.
Ways PeerDriver::ways_over(const transport::Stream& master) const {
  if (!reaches_others()) return {};
  const Address& listens = listener_->address();
  std::error_code error;
  const auto local = master.socket().local_endpoint(error);
  Ways ways{.port = listens.port, .hosts = {}, .is_from_port = !error && local.port() == listens.port};
  if (kind_of(listens.host) == HostKind::any)
    ways.hosts = transport::own_addresses(limits::kWaysMax);
  else if (kind_of(listens.host) != HostKind::loopback)
    ways.hosts = {listens.host};
  return ways;
}

void PeerDriver::master_is_missed(const std::string& why) {
  const Instant at = now();
  if (!master_missed_since_) {
    master_missed_since_ = at;
    master_missed_tell_ = at + kMissedMasterLogAfter;
  }
  if (at < master_missed_tell_) return;
  master_missed_tell_ = at + kMissedMasterLogEvery;
  log({LogLevel::warning, "master-missed",
       "the master at " + to_string(master_address()) + " has not answered for " +
           std::to_string(whole_milliseconds(at - *master_missed_since_) / 1000) + " s, dialling on: " + why});
}

void PeerDriver::master_said(const std::string& message) {
  auto decoded = decode_master_message(std::as_bytes(std::span(message)));
  if (decoded.ok()) {
    master_missed_since_.reset();
    events_.emplace_back(MasterSaid{std::move(*decoded)});
    return;
  }
  is_no_master(decoded.error().sentence);
}

void PeerDriver::is_no_master(const std::string& why) {
  forget_master();
  events_.emplace_back(MasterDown{.reason = "what answers at " + to_string(master_address()) +
                                            " is no Hawser master of this version: " + why +
                                            "; check the address of the master, and the secret_file",
                                  .is_no_master = true});
}

/// A newcomer gives up at once. A member dials on: whoever stands between the two may be gone soon.
void PeerDriver::no_trust(const std::string& why) {
  forget_master();
  master_is_missed(why);
  events_.emplace_back(MasterDown{.reason = why, .is_no_master = true});
}

void PeerDriver::master_broke(std::string reason) {
  if (master_ && master_->spoke_otherwise()) return is_no_master(reason);
  if (master_ && master_->is_distrusted())
    return no_trust("no trust between this peer and the master at " + to_string(master_address()) + ": " + reason);
  forget_master();
  master_is_missed(reason);
  events_.emplace_back(MasterDown{.reason = std::move(reason)});
}

void PeerDriver::forget_master() {
  ++master_generation_;
  to_master_.clear();
  wait_log_->master_up = false;
  if (const auto dial = std::exchange(master_dial_, nullptr)) dial->close();
  if (const auto master = std::exchange(master_, nullptr)) master->close();
}

void PeerDriver::perform_one(CloseMaster&) {
  send_to_master();
  const auto master = std::exchange(master_, nullptr);
  forget_master();
  std::erase_if(events_, is_of_master);
  if (master) master->close_after_sending([] {});
}

void PeerDriver::perform_one(SendMaster& action) {
  if (!master_) return;
  if (auto* const begun = std::get_if<Begun>(&action.message); begun != nullptr && begun->attestation) {
    auto attested = trust::attest(config_.access.tls->identity(), begun->key, begun->signature,
                                  begun->attestation->given);
    if (!attested.ok()) log({LogLevel::warning, "not-signed", attested.error().sentence});
    begun->attestation = attested.ok() ? std::optional(*attested) : std::nullopt;
  }
  to_master_.push_back(encode(action.message));
}

/// After the frames that the same steps led to: other members wait for those, and the master for others.
void PeerDriver::send_to_master() {
  const auto messages = std::exchange(to_master_, {});
  for (const std::string& message : messages)
    if (master_) master_->send(message);
}

}  // namespace hawser
