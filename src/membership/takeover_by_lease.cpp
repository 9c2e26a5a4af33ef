#include <algorithm>
#include <utility>

#include "membership/master_state.hpp"

/// Several masters, of which that one serves the run which holds a lease (lease.hpp). No other one can meanwhile. So it
/// goes on with whichever members come, as a restarted master does, also with fewer than half. Its term is the revision
/// of the lease: members that have heard of a later one hear it no more.
namespace hawser {

void MasterMachine::State::on(Instant now, const LeaseTaken& event, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::notice, "lease-taken",
                            "this master holds the lease of the run: its term is " + std::to_string(event.term)});
  lease_term_ = event.term;
  lease_since_ = now;
  known_term_ = std::max(known_term_, event.term);
  status_made_.reset();
  if (recovering_ && !recovering_->chosen) {
    // Members that were here before have had their time; those that look elsewhere come now.
    recovering_->began = std::max(recovering_->began, now - std::min(kClaimsAtLeast, config_.recovery));
    recovering_->deadline = now + config_.recovery;
    check_recovery(now, out);
  }
  maybe_bootstrap(now, out);
}

void MasterMachine::State::on(Instant, const LeaseLost& event, MasterActions& out) {
  lease_term_.reset();
  status_made_.reset();
  out.emplace_back(LogEvent{LogLevel::warning, "lease-lost", "this master has lost the lease: " + event.why});
  const bool is_busy = serves_ || pending_ > 0 || (recovering_ && recovering_->chosen);
  if (is_busy) stepping_down_ = "this master stands by, since it has lost the lease: " + event.why;
}

void MasterMachine::State::on(Instant now, const LeaseSeen& event, MasterActions& out) {
  const bool is_new = event.revision != 0 && event.revision != lease_seen_.revision;
  if (is_new && !lease_term_) out.emplace_back(LogEvent{LogLevel::notice, "lease-seen", event.words});
  lease_seen_ = {.revision = event.revision == 0 ? lease_seen_.revision : event.revision, .words = event.words};
  status_made_.reset();
  if (!lease_term_ && recovering_ && event.revision > recovering_->lease_seen)
    send_claimants_elsewhere(now, event.words, out);
}

void MasterMachine::State::wait_for_lease(const std::string& why, MasterActions& out) {
  const std::string words = why.empty() ? "it has not seen yet who holds the lease" : why;
  if (std::exchange(lacking_, words) == words) return;
  status_made_.reset();
  out.emplace_back(LogEvent{LogLevel::notice, "takeover-waits", "this master does not take the run over: " + words});
}

/// Whether this master, which holds the lease, may go on with these.
bool MasterMachine::State::may_choose_by_lease(const std::map<std::uint32_t, ChosenView>& groups) {
  if (groups.empty()) {
    lacking_ = "no member has told its view yet";
    return false;
  }
  std::uint64_t accepted = 0;
  for (const auto& [number, from] : groups)
    for (const PeerId id : from.survivors) {
      const Resume& resumed = recovering_->groups.at(number).claims.at(id).resume;
      accepted = std::max({accepted, resumed.term, term_of(resumed.view.epoch)});
    }
  if (serves_ || accepted <= *lease_term_) {
    if (!serves_) term_ = *lease_term_;
    return true;
  }
  lacking_ = "its members have accepted a master of term " + std::to_string(accepted) + ", and the lease gives term " +
             std::to_string(*lease_term_) +
             ": the revisions of the etcd have gone back. Restart the members, or restore its data";
  return false;
}

/// Of those with whom the run was to go on.
bool MasterMachine::State::some_have_told() const {
  return std::any_of(recovering_->views.begin(), recovering_->views.end(), [&](const auto& chosen) {
    const auto& claims = recovering_->groups.at(chosen.first).claims;
    return std::any_of(chosen.second.survivors.begin(), chosen.second.survivors.end(), [&](PeerId peer) {
      const auto claim = claims.find(peer);
      return claim != claims.end() && claim->second.outcomes;
    });
  });
}

/// Without these nobody is left, and not all have said good-bye: perhaps this master is cut off.
bool MasterMachine::State::has_lost_all(const std::set<PeerId>& lost) const {
  bool some_live = false;
  for (const auto& [number, group] : groups_)
    for (const Member& member : group.view.members) {
      if (!lost.contains(member.id)) return false;
      some_live = some_live || !group.left.contains(member.id);
    }
  return some_live;
}

/// Another master has the lease, since they have come: it is there that the run goes on.
void MasterMachine::State::send_claimants_elsewhere(Instant now, const std::string& why, MasterActions& out) {
  if (!recovering_ || recovering_->chosen) return;
  std::vector<std::pair<PeerId, ConnectionId>> claimants;
  for (const auto& [id, peer] : peers_)
    if (peer.role == Role::recovering && peer.connection) claimants.emplace_back(id, *peer.connection);
  for (const auto& [id, connection] : claimants) {
    stand_by(connection, why, out);
    peers_.at(id).connection.reset();
    forget_claim(id);
    forget_peer(id);
  }
  recovering_->lease_seen = std::max(recovering_->lease_seen, lease_seen_.revision);
  check_recovery(now, out);
}

/// Members that wait with another master, and have not come here for so long, do not reach this one. And where there is no
/// run, one that begins none must not keep others from it.
void MasterMachine::State::give_lease_up_for_others(Instant now, MasterActions& out) {
  if (!lease_term_ || serves_ || recovering_ || now < lease_since_ + config_.recovery) return;
  if (others_seen_.gathered == 0 && !config_.is_standby) return;
  if (others_seen_.gathered == 0)
    out.emplace_back(LogEvent{LogLevel::notice, "lease-given-up", "no members have come: another master may begin a run"});
  else
    out.emplace_back(LogEvent{LogLevel::warning, "lease-given-up",
                              "members of the run are with another master and do not come to this one, which gives up "
                              "the lease: check that members reach this master at the address that their list has"});
  lease_term_.reset();
  out.emplace_back(GiveLeaseUp{});
}

}  // namespace hawser
