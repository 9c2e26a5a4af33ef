#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// Several masters, of which one serves the run. It does so only while its view keeps enough of the one before that all
/// members had started; else it steps down, and its members look for a master anew. One that stands by takes a run over
/// with more than half of it. A term, which grows with each of them, is in the upper bits of the epochs, and members
/// hear no master of a lower term than they have accepted. majority.hpp decides who is enough.
namespace hawser {
namespace {

/// What was heard of the others counts for so long when a run is to begin: a takeover takes longer.
constexpr Duration kOthersKnown = milliseconds(800);
/// Each master answers four times a second at most.
constexpr Duration kLookSoon = milliseconds(300);
constexpr Duration kLookWhileServing = seconds(2);
/// Terms that a member may be ahead of its view: masters that nearly took over.
constexpr std::uint64_t kTermsAheadMax = 1 << 16;
/// Members that stay with a master for a while are told so often to stay: well within what they stay by themselves.
constexpr Duration kToldToStay = seconds(1);
/// Longer than members stay with any master that gathers.
constexpr Duration kSentToMoreAgain = seconds(20);

}  // namespace

void note_other(OthersSeen& seen, const RunStatus& status) {
  seen.none_serves = seen.none_serves && !status.serves;
  if (status.gathered > 0 && std::pair(status.gathered, status.run) > std::pair(seen.gathered, seen.gathering)) {
    seen.gathered = status.gathered;
    seen.gathering = status.run;
  }
  seen.term = std::max(seen.term, status.term);
  if (!status.serves || std::pair(status.term, status.run) < std::pair(seen.serving_term, seen.run)) return;
  seen.serving_term = status.term;
  seen.run = status.run;
}

std::unique_ptr<MasterMachine::State> MasterMachine::State::successor(Instant now) {
  auto next = std::make_unique<State>(config_, random_.next(), now, rules_);
  next->known_term_ = std::max(known_term_, term_);
  next->lacking_ = *stepping_down_;
  next->lease_seen_ = lease_seen_;
  // Alternately with them and without.
  if (set_aside_.empty()) next->set_aside_ = std::move(at_odds_);
  return next;
}

std::optional<Duration> MasterMachine::State::looks_for_others() const {
  if (!config_.has_others) return std::nullopt;
  // They may wait for a group that another master serves.
  if (serves_) return run_was_taken_over_ && pending_ > 0 ? kLookSoon : kLookWhileServing;
  const bool has_reason = recovering_ || pending_ > 0 || lease_term_ || !config_.is_standby;
  return has_reason ? std::optional(kLookSoon) : std::nullopt;
}

void MasterMachine::State::on(Instant now, const OthersSeen& event, MasterActions& out) {
  others_seen_at_ = now;
  others_seen_ = event;
  if (event.term <= limits::kTermMax) known_term_ = std::max(known_term_, event.term);
  // Each serves members that do not reach the other, or did not: one is enough. Of two alike neither stays.
  if (serves_ && !event.none_serves && std::pair(event.serving_term, event.run) >= std::pair(term_, run_)) {
    stepping_down_ = "another master, of a later term, serves the run: this one stands by";
    return;
  }
  if (config_.has_lease) give_lease_up_for_others(now, out);
  if (!serves_ && !lease_term_ && !event.none_serves) send_claimants_to(event.serving_term, out);
  if (recovering_ && !recovering_->chosen) check_recovery(now, out);
  send_claimants_to_more(now, out);
  if (!serves_ && !recovering_ && !may_begin(now)) send_newcomers_elsewhere(out);
  maybe_bootstrap(now, out);
}

/// It has taken them in when it could have begun a run.
void MasterMachine::State::send_newcomers_elsewhere(MasterActions& out) {
  std::vector<std::pair<PeerId, ConnectionId>> newcomers;
  for (const auto& [id, peer] : peers_)
    if (peer.role == Role::pending && peer.connection) newcomers.emplace_back(id, *peer.connection);
  for (const auto& [id, connection] : newcomers) {
    stand_by(connection, {}, out);
    peers_.at(id).connection.reset();
    forget_peer(id);
  }
}

/// To a master that serves, those who hear it: it takes them back, or tells them that their run went on without them.
void MasterMachine::State::send_claimants_to(std::uint64_t serving_term, MasterActions& out) {
  if (!recovering_ || recovering_->chosen) return;
  std::vector<PeerId> sent;
  for (const auto& [number, recovery] : recovering_->groups)
    for (const auto& [id, claim] : recovery.claims)
      if (std::max(claim.resume.term, term_of(claim.resume.view.epoch)) <= serving_term) sent.push_back(id);
  for (const PeerId id : sent) {
    Peer& peer = peers_.at(id);
    if (const auto connection = std::exchange(peer.connection, std::nullopt))
      stand_by(*connection, "another master serves the run", out);
    forget_claim(id);
    forget_peer(id);
  }
}

/// To a master with which more of them wait: neither may take the run over as long as each has too few.
void MasterMachine::State::send_claimants_to_more(Instant now, MasterActions& out) {
  if (!by_majority() || serves_ || !others_seen_.none_serves || !recovering_ || recovering_->chosen) return;
  if (now < recovering_->began + std::min(kClaimsAtLeast, config_.recovery)) return;
  if (std::pair(others_seen_.gathered, others_seen_.gathering) <= std::pair(gathered(), run_)) return;
  // Those who do not reach the other come back to this one, and the others follow them later by themselves.
  if (sent_to_more_at_ && now < *sent_to_more_at_ + kSentToMoreAgain) return;
  // Only this one knows who has said good-bye here, and is waited for no more.
  if (std::any_of(recovering_->groups.begin(), recovering_->groups.end(),
                  [](const auto& entry) { return !entry.second.left.empty(); }))
    return;
  sent_to_more_at_ = now;
  send_claimants_elsewhere(now, "more members of the run wait with another master", out);
}

/// A run with newcomers, where no other master may have one.
bool MasterMachine::State::may_begin(Instant now) const {
  if (config_.is_standby || recovering_ || (config_.has_lease && !lease_term_)) return false;
  const bool others_have_none = others_seen_at_ && now <= *others_seen_at_ + kOthersKnown &&
                                others_seen_.all_answered && others_seen_.none_serves && others_seen_.gathered == 0;
  // Nobody else can serve a run then, and its members would have come.
  return others_have_none || (config_.has_lease && now >= lease_since_ + config_.recovery);
}

/// Of a run that was taken over another master may have taken over other groups. One steps down then, but only when it
/// has seen that. A master that does not answer may serve any group that has no members here.
bool MasterMachine::State::another_may_serve_groups(Instant now) const {
  if (!by_majority() || !run_was_taken_over_) return false;
  const bool has_looked = others_seen_at_ && now <= *others_seen_at_ + kOthersKnown;
  return !has_looked || !others_seen_.all_answered || !others_seen_.none_serves || others_seen_.gathered > 0;
}

/// It is none of this master's peers, now.
void MasterMachine::State::stand_by(ConnectionId connection, std::string why, MasterActions& out) {
  if (why.empty() && config_.has_lease && !lease_term_)
    why = lease_seen_.words.empty() ? "this master has not seen yet who holds the lease of the run" : lease_seen_.words;
  if (why.empty() && gathers()) why = "members of a run are coming back to this master; another one may serve it";
  if (why.empty())
    why = config_.is_standby ? "this master stands by, and begins no run"
          : others_seen_at_ && !others_seen_.none_serves ? "another master serves the run"
          : others_seen_at_ && others_seen_.gathered > 0 ? "members of a run wait with another master"
          : others_seen_at_ && others_seen_.all_answered
              ? "this master looks whether another one serves the run"
              : "this master begins no run before it has reached all others of its list";
  out.emplace_back(LogEvent{LogLevel::info, "sent-elsewhere", why});
  out.emplace_back(SendToPeer{connection, Standby{.sentence = why, .gathers = false}});
  out.emplace_back(CloseConnection{connection, why});
  detach(connection);
}

bool MasterMachine::State::has_accepted_another(const Resume& message) const {
  if (!config_.has_others || planted(PlantedFault::forgotten_term)) return false;
  const std::uint64_t term = std::max(message.term, term_of(message.view.epoch));
  // A lease counts all changes of its service.
  if (!config_.has_lease && term > term_of(message.view.epoch) + kTermsAheadMax) return true;
  return (serves_ || (recovering_ && recovering_->chosen)) && term > term_;
}

/// A member that says so never hears this master again: if it was counted on until now, it is lost. One that lies harms
/// itself. A master that has nobody at all, as after a stop, believes the first.
void MasterMachine::State::note_accepted_another(Instant now, ConnectionId connection, const Resume& message,
                                                 MasterActions& out) {
  stand_by(connection, "this peer has accepted a later master, and hears this one no more", out);
  if (!serves_) return;
  if (std::all_of(groups_.begin(), groups_.end(),
                  [](const auto& entry) { return entry.second.unconnected == entry.second.view.size(); })) {
    stepping_down_ = "none of its members is connected, and there is a later master: this one stands by";
    return;
  }
  const auto known = peers_.find(message.who.id);
  if (known == peers_.end() || known->second.role != Role::member ||
      !known->second.who.is_same_peer(message.who))
    return;
  lose(now, message.who.id, {Status::expelled, "this peer has accepted a later master"},
       "it has accepted a later master", out);
}

// ------------------------------------------------------------------------------------------- who has which view

void MasterMachine::State::said(Instant, PeerId peer, const ViewTaken& message, MasterActions& out) {
  if (Group* const group = group_of(peer); group && group->view.id == message.view) note_taken(*group, peer, out);
}

/// Once all members have started the view no master can go back behind it.
void MasterMachine::State::note_taken(Group& group, PeerId peer, MasterActions& out) {
  if (group.footing.is_held || peers_.at(peer).who.is_relay) return;
  group.taken_by.insert(peer);
  if (group.taken_by.size() < group.view.size()) return;
  group.footing = {};
  group.taken_by.clear();
  tell_all(group.view.members, ViewHeld{group.view.id}, out);
}

/// Of the view that comes after this one.
Footing MasterMachine::State::next_footing(Group& group) const {
  if (!by_majority() || group.view.size() == 0) return {};
  if (group.taken_over) return *std::exchange(group.taken_over, std::nullopt);
  return footing_after(group.footing, group.view, group.left);
}

/// Those that are left without these are too few: others may have gone to another master.
bool MasterMachine::State::must_step_down(const std::vector<Loss>& losses) {
  if (!config_.has_others || !serves_ || planted(PlantedFault::lone_master)) return false;
  if (stepping_down_) return true;
  std::set<PeerId> lost;
  std::set<std::uint32_t> groups;
  for (const Loss& loss : losses)
    if (const auto found = peers_.find(loss.peer); found != peers_.end() && found->second.role == Role::member) {
      lost.insert(loss.peer);
      groups.insert(found->second.who.group);
    }
  if (config_.has_lease) {
    if (!has_lost_all(lost)) return false;
    stepping_down_ = "this master has lost all its members, and another one may reach them: it stands by";
    return true;
  }
  for (const std::uint32_t number : groups) {
    const Group& group = groups_.at(number);
    std::vector<Member> rest = group.view.members;
    std::erase_if(rest, [&](const Member& member) { return lost.contains(member.id); });
    if (may_go_on(footing_after(group.footing, group.view, group.left), rest)) continue;
    const std::uint32_t members = group.view.size();
    stepping_down_ = "this master has lost " + std::to_string(members - View{.members = rest}.size()) + " of the " +
                     std::to_string(members) + " members of group " + std::to_string(number) +
                     ", and another master may serve them: it stands by";
    return true;
  }
  return false;
}

void MasterMachine::State::close_all(MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "stepped-down", *stepping_down_});
  for (const auto& entry : connections_) out.emplace_back(CloseConnection{entry.first, *stepping_down_});
  // Another term then for whatever it does next.
  if (lease_term_) out.emplace_back(GiveLeaseUp{});
}

// ------------------------------------------------------------------------------------------- taking over

/// `told_only`: of those who have accepted this master and told their outcomes.
MajorityChoice MasterMachine::State::majority_of(std::uint32_t number, const RunId& run, bool told_only) const {
  const Recovery& recovery = recovering_->groups.at(number);
  Behind behind;
  if (told_only) behind = members_behind(recovery.views.at(recovering_->views.at(number).view), recovery);
  std::vector<MajorityClaim> claims;
  std::set<PeerId> left;
  const auto by_run = claims_by_run(recovery);
  if (const auto of_run = by_run.find(run); of_run != by_run.end())
    for (const auto& [id, claim] : of_run->second) {
      if (!recovery.claims.contains(id))
        left.insert(id);
      else if (set_aside_.contains(id))
        continue;
      else if (!told_only || (claim->outcomes && !behind.has(id)))
        claims.push_back({.peer = id, .view = claim->resume.view, .quorums = claim->resume.quorums});
    }
  return choose_by_majority(claims, recovery.views, left, !behind.lacking.empty() && behind.outvoted.empty());
}

std::uint32_t MasterMachine::State::gathered() const {
  std::size_t claims = 0;
  if (recovering_)
    for (const auto& [number, recovery] : recovering_->groups) claims += recovery.claims.size();
  return static_cast<std::uint32_t>(claims);
}

/// Those who said good-bye are remembered for a while, since others may come who would wait for them.
void MasterMachine::State::nobody_is_left(Instant now, MasterActions& out) {
  Recovering& recovering = *recovering_;
  const bool some_left = std::any_of(recovering.groups.begin(), recovering.groups.end(),
                                     [](const auto& entry) { return !entry.second.left.empty(); });
  if (!recovering.deserted_since) recovering.deserted_since = now;
  // With a lease members look elsewhere again and again, until that is free.
  const Instant until = *recovering.deserted_since + (some_left ? config_.recovery : kClaimsAtLeast);
  if ((some_left || config_.has_lease) && now < until) return arm(Timer::recovery, 0, until);
  recovering_.reset();
  lacking_.clear();
  arm(Timer::recovery, 0, std::nullopt);
  maybe_bootstrap(now, out);
  // Those whom it serves have waited for the others.
  check_update(now, out);
}

void MasterMachine::State::choose_to_take_over(Instant now, MasterActions& out) {
  Recovering& recovering = *recovering_;
  const auto wait = [&](const std::string& why) {
    if (std::exchange(lacking_, why) == why) return;
    out.emplace_back(LogEvent{LogLevel::notice, "takeover-waits", "this master does not take the run over: " + why});
  };
  // With others than the last time they may be the ones that go on.
  if (const Instant until = recovering.began + config_.recovery; now >= until)
    set_aside_.clear();
  else if (!set_aside_.empty())
    recovering.look_at = earlier(recovering.look_at, until);
  if (now < recovering.began + std::min(kClaimsAtLeast, config_.recovery) || !looks_at_missing(now)) return;
  if (!serves_ && (!others_seen_at_ || *others_seen_at_ < recovering.began)) return;
  struct RunChoice {
    std::map<std::uint32_t, ChosenView> groups;
    std::size_t back = 0;
    std::uint64_t term = 0;
    std::size_t hear_no_other = 0;  ///< Of these, who have accepted a later master than any that serves.
    bool ready = true;
  };
  std::map<RunId, RunChoice> runs;
  std::string lacking;
  const auto look_again = [&](RunChoice& choice, Instant at) {
    choice.ready = choice.ready && now >= at;
    if (now < at) recovering.look_at = earlier(recovering.look_at, at);
  };
  for (const auto& [number, recovery] : recovering.groups)
    for (const auto& [run, claims] : claims_by_run(recovery)) {
      RunChoice& of_run = runs[run];
      MajorityChoice choice = majority_of(number, run, false);
      for (const PeerId survivor : choice.survivors) {
        const Resume& resumed = recovery.claims.at(survivor).resume;
        const std::uint64_t term = std::max(resumed.term, term_of(resumed.view.epoch));
        of_run.term = std::max(of_run.term, term);
        of_run.hear_no_other += term > others_seen_.serving_term ? 1 : 0;
      }
      if (!choice.view || (serves_ && of_run.term > term_)) {
        lacking = choice.lacking;
        // The other groups of the run do not wait for this one for long.
        look_again(of_run, recovering.began + config_.silence);
        continue;
      }
      const View& view = recovery.views.at(*choice.view);
      if (const auto due = given_up_at(recovery, view)) look_again(of_run, *due);
      of_run.back += choice.survivors.size();
      of_run.groups[number] = {.view = *choice.view,
                               .survivors = {choice.survivors.begin(), choice.survivors.end()},
                               .footing = std::move(choice.footing)};
    }
  const auto best = std::max_element(runs.begin(), runs.end(),
                                     [](const auto& a, const auto& b) { return a.second.back < b.second.back; });
  // One that its members have left behind does not know yet that it is none any more.
  if (!serves_ && !others_seen_.none_serves &&
      (best == runs.end() || 2 * best->second.hear_no_other <= best->second.back))
    return wait("another master that it reaches serves it");
  if (best == runs.end() || best->second.groups.empty()) return wait(lacking);
  if (!best->second.ready) {
    tell_to_stay(now, best->second.groups, out);
    return wait("it waits for those members that are not here yet");
  }
  if (!serves_ && std::max(known_term_, best->second.term) >= limits::kTermMax) return wait("there is no later term");
  if (!serves_) term_ = std::max(known_term_, best->second.term) + 1;
  recovering.chosen = true;
  recovering.deadline = now + config_.recovery;
  recovering.run = best->first;
  recovering.views = best->second.groups;
  for (const auto& [number, from] : recovering.views)
    for (const PeerId id : from.survivors) {
      Peer& peer = peers_.at(id);
      promote(peer, out);
      tell(peer, Welcome{.run = recovering.run, .seen_host = peer.seen_host, .term = term_}, out);
      tell(peer, Present{.view = false, .outcomes = true}, out);
    }
}

/// They are enough, and shall not go and look elsewhere while this master waits for the rest.
void MasterMachine::State::tell_to_stay(Instant now, const std::map<std::uint32_t, ChosenView>& groups,
                                        MasterActions& out) {
  Recovering& recovering = *recovering_;
  if (!recovering.told_to_stay || now >= *recovering.told_to_stay + kToldToStay) {
    recovering.told_to_stay = now;
    for (const auto& [number, from] : groups)
      for (const PeerId id : from.survivors)
        tell(id, Standby{.sentence = "this master takes the run over soon, and waits for the last members",
                         .gathers = true}, out);
  }
  recovering.look_at = earlier(recovering.look_at, *recovering.told_to_stay + kToldToStay);
}

/// Of those who have accepted this master by now. Without those that turn out to be behind, it may be another view from
/// which the rest goes on: the one that a former master had started without them. If some of that view have not been
/// asked, as they are not in the one that was chosen, they are at the next attempt.
bool MasterMachine::State::still_has_majority() {
  return std::all_of(recovering_->views.begin(), recovering_->views.end(), [&](auto& chosen) {
    MajorityChoice choice = majority_of(chosen.first, recovering_->run, true);
    if (!choice.view) {
      const Recovery& recovery = recovering_->groups.at(chosen.first);
      Behind behind = members_behind(recovery.views.at(chosen.second.view), recovery);
      at_odds_.merge(behind.lacking);
      at_odds_.merge(behind.outvoted);
      return false;
    }
    chosen.second = {.view = *choice.view,
                     .survivors = {choice.survivors.begin(), choice.survivors.end()},
                     .footing = std::move(choice.footing)};
    return true;
  });
}

}  // namespace hawser
