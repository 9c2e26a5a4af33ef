#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"
#include "membership/recovery_choice.hpp"

/// A master that lost its memory learns the run from its members. Each says which view it was in, in few words; from
/// the first that names a view the master asks for its members. When all of a view are back, or the time is over, the
/// view is chosen that most stand behind (recovery_choice.hpp), and those who are in it tell the collectives whose
/// outcome they do not know. A collective is committed if some member was told so, or if all members that came back had
/// reported it (a former master can have committed only such); anything else is aborted by the next view.
///
/// What one says decides nothing that the others contradict, and a master that has its run takes nobody's word for it.
namespace hawser {
namespace {

/// From there no run counts as far as what members may claim when they resume.
constexpr std::uint64_t kUpdateRoundsBelieved = std::uint64_t{1} << 61;
/// Members that had not heard of the latest views accept what is newer than any of them. A former master cannot have
/// made so many that they did not hear of.
constexpr std::uint64_t kUnheardViewsMax = 1 << 20;
/// No run is taken up that has come further: a resuming peer may claim more (wire/control_codec.hpp), and it is told
/// so.
constexpr std::uint64_t kEpochMax = std::uint64_t{1} << 61;

}  // namespace

MasterMachine::State::Claim* MasterMachine::State::claim_of(PeerId peer) {
  const auto found = peers_.find(peer);
  if (!recovering_ || found == peers_.end() || found->second.role != Role::recovering) return nullptr;
  const auto recovery = recovering_->groups.find(found->second.who.group);
  if (recovery == recovering_->groups.end()) return nullptr;
  const auto claim = recovery->second.claims.find(peer);
  return claim == recovery->second.claims.end() ? nullptr : &claim->second;
}

void MasterMachine::State::forget_claim(PeerId peer) {
  const Claim* const claim = claim_of(peer);
  if (!claim) return;
  const Peer& known = peers_.at(peer);
  Recovery& recovery = recovering_->groups.at(known.who.group);
  if (const auto asked = recovery.asked.find(claim->resume.view); asked != recovery.asked.end())
    recovery.asks_again |= std::erase(asked->second, peer) > 0;
  recovery.claims.erase(peer);
  --source(known.source).claims;
  --claims_;
}

void MasterMachine::State::expel_stranger(ConnectionId connection, const Error& error, MasterActions& out) {
  out.emplace_back(LogEvent{LogLevel::info, "late-member-expelled", error.sentence});
  out.emplace_back(SendToPeer{connection, Expelled{.error = error, .term = term_}});
  out.emplace_back(CloseConnection{connection, error.sentence});
  detach(connection);
}

/// Why a member of another run, or one that this master went on without, may not come back as a member.
std::optional<std::string> MasterMachine::State::may_not_recover(Instant now, const Resume& message) const {
  const bool is_chosen = recovering_ && recovering_->chosen;
  if (message.view.epoch.value > kEpochMax)
    return "the epoch that this peer was in is one that no run reaches; connect again";
  if (run_has_lived_ && message.run != run_) return "this master serves another run now; connect again to join it";
  if (is_chosen || groups_.contains(message.who.group))
    return "the members went on without this peer while it was away; connect again to rejoin";
  if (run_has_lived_ && (!run_was_taken_over_ || now >= settled_at_))
    return "this master knows nothing of the view that this peer was in; connect again to join as a newcomer";
  return std::nullopt;
}

/// It has been decided that its group goes on with it.
bool MasterMachine::State::is_survivor(const Peer& peer) const {
  if (!recovering_ || !recovering_->chosen) return false;
  const auto chosen = recovering_->views.find(peer.who.group);
  return chosen != recovering_->views.end() && chosen->second.survivors.contains(peer.who.id);
}

void MasterMachine::State::resume(Instant now, ConnectionId connection, const Resume& message,
                                  MasterActions& out) {
  const Introduction& who = message.who;
  if (const auto error = refusal(who)) return turn_away(connection, *error, out);
  if (const auto error = key_refusal(who, connections_.at(connection), false))
    return turn_away(connection, *error, out);
  // It knows nothing that a run could be taken up from.
  if (who.is_relay && !peers_.contains(who.id))
    return expel_stranger(connection, {Status::expelled, "a relay comes to another master anew; connect again"}, out);
  if (is_outdated(who)) return drop_connection(connection, "the peer has opened a newer connection", out);
  if (has_accepted_another(message)) return note_accepted_another(now, connection, message, out);
  if (const auto known = peers_.find(who.id); known != peers_.end()) {
    Peer& peer = known->second;
    const bool is_same = (peer.who.is_same_peer(who) || planted(PlantedFault::borrowed_name)) &&
                         peer.who.group == who.group;
    if (peer.role == Role::member && is_same) return resume_member(now, connection, message, out);
    if (peer.role == Role::recovering && is_same && recovering_->chosen) {
      // Its connection broke again before it had told its outcomes, or after: it tells them anew.
      peer.who.connection = who.connection;
      attach(now, connection, peer, out);
      Claim& again = *claim_of(who.id);
      again.outcomes.reset();
      again.resume.in_update = message.in_update;
      again.resume.first = message.first;
      again.resume.was_over = message.was_over;
      again.resume.after_error = message.after_error;
      again.resume.update_round = message.update_round;
      again.resume.updates_made = message.updates_made;
      tell(peer, Welcome{.run = message.run, .seen_host = peer.seen_host, .term = term_}, out);
      if (!is_survivor(peer)) return set_role(connection, ConnectionRole::newcomer, out);
      promote(peer, out);
      return tell(peer, Present{.view = false, .outcomes = true}, out);
    }
    if (peer.role == Role::member)
      return turn_away(connection, {Status::refused, "a peer of the same id is connected; connect again"}, out);
    // Who is not believed now may be soon: it comes again.
    if (peer.role == Role::recovering && !is_same && !is_believed(who, connections_.at(connection).host))
      return drop_connection(connection, "another one came back under that id", out);
    if (peer.role == Role::pending)
      if (const auto why = may_not_recover(now, message))
        return expel_stranger(connection, {Status::expelled, *why}, out);
    // It came back twice, or another one had come in its name, be it as a newcomer.
    const PeerId id = peer.who.id;
    if (peer.connection)
      out.emplace_back(CloseConnection{*peer.connection, "the peer opened a new connection", Duration::zero()});
    forget_claim(id);
    forget_peer(id);
  }
  if (const auto gone = expelled_.find(who.id); gone != expelled_.end() && gone->second.who.is_same_peer(who))
    return expel_stranger(connection, gone->second.error, out);
  if (recovering_ && recovering_->chosen && recovering_->run == message.run && !recovering_->views.contains(who.group))
    return drop_connection(connection, "other groups of its run are being taken up, and it comes again soon", out);
  if (!serves_ && recovering_ && recovering_->chosen)
    return drop_connection(connection, "this master is taking the run over, and it comes again soon", out);
  if (const auto why = may_not_recover(now, message)) return expel_stranger(connection, {Status::expelled, *why}, out);
  claim(now, connection, message, out);
}

/// Of two who claim one id the one is believed that comes from where a view of its group has that member: the view that
/// more others claim. Among equals the later one: the earlier may be anybody, and if it is the member it comes again.
bool MasterMachine::State::is_believed(const Introduction& who, const std::string& host) const {
  // 0: no view has it there.
  const auto at_home = [&](const Introduction& one, const std::string& seen) {
    std::size_t most = 0;
    const auto recovery = recovering_->groups.find(one.group);
    if (recovery == recovering_->groups.end()) return most;
    for (const auto& [mark, view] : recovery->second.views) {
      const Member* const member = view.find(one.id);
      if (!member || member->address.host != seen || member->key != one.key) continue;
      std::size_t behind_it = 1;
      for (const auto& [id, claim] : recovery->second.claims)
        if (id != one.id && claim.resume.view == mark && view.find(id)) ++behind_it;
      most = std::max(most, behind_it);
    }
    return most;
  };
  const Peer& other = peers_.at(who.id);
  if (recovering_->chosen) return false;
  if (other.who.group == who.group && other.seen_host == host) return false;
  return at_home(who, host) >= at_home(other.who, other.seen_host);
}

void MasterMachine::State::claim(Instant now, ConnectionId connection, const Resume& message, MasterActions& out) {
  const Connection& link = connections_.at(connection);
  // Not refused: a member that is refused is out, and this one comes again.
  if (source(link.source).claims >= limits::share_of_one(limits::kClaimsPerSourceMax, limits::kClaimsMax, claims_))
    return drop_connection(connection, "too many peers say that they were members", out);
  if (recovering_ && !recovering_->chosen)
    if (const auto since = std::exchange(recovering_->deserted_since, std::nullopt))
      if (!config_.has_lease || now > *since + kClaimsAtLeast) {
        recovering_->began = now;
        recovering_->deadline = now + config_.recovery;
      }
  if (!recovering_) {
    recovering_ = Recovering{.began = now, .deadline = now + config_.recovery};
    recovering_->lease_seen = lease_seen_.revision;
    out.emplace_back(LogEvent{
        LogLevel::warning, "recovery-begun",
        "members of a run that lost its master are coming back; the run goes on when all are back" +
            (config_.has_lease    ? ", or the others are gone, and this master holds the lease"
             : config_.has_others ? ", or more than half of them and the others are gone"
                                  : ", after " + std::to_string(whole_milliseconds(config_.recovery)) +
                                      " ms at the latest")});
  }
  Peer peer{.who = message.who,
            .seen_host = link.host,
            .source = link.source,
            .connection = {},
            .role = Role::recovering,
            .came_at = now,
            .arrival = arrivals_++};
  if (peer.who.address.host.empty()) peer.who.address.host = link.host;
  Peer& kept = keep_peer(std::move(peer));
  ++source(link.source).claims;
  ++claims_;
  attach(now, connection, kept, out);
  set_role(connection, ConnectionRole::newcomer, out);
  Recovery& recovery = recovering_->groups[kept.who.group];
  recovery.claims[kept.who.id] = {.resume = message, .arrival = kept.arrival, .outcomes = {}};
  if (config_.has_others)
    tell(kept, Standby{.sentence = "this master waits for more members of the run", .gathers = true}, out);
  else
    tell(kept, Welcome{.run = message.run, .seen_host = kept.seen_host, .wants_links = true}, out);
  ask_for_view(recovery, message.view, kept, out);
  check_recovery(now, out);
}

/// Few views are asked for: rather those that more members claim.
bool MasterMachine::State::may_ask_for(Recovery& recovery, const ViewMark& mark) {
  if (recovery.asked.contains(mark) || recovery.asked.size() < limits::kViewsPresentedMax) return true;
  std::map<ViewMark, std::size_t> claims;
  for (const auto& [peer, claim] : recovery.claims) ++claims[claim.resume.view];
  const auto least = std::min_element(recovery.asked.begin(), recovery.asked.end(), [&](const auto& a, const auto& b) {
    return claims[a.first] < claims[b.first];
  });
  if (claims[least->first] >= claims[mark]) return false;
  recovery.views.erase(least->first);
  recovery.asked.erase(least);
  return true;
}

/// Two at the most are asked for the members of one view.
void MasterMachine::State::ask_for_view(Recovery& recovery, const ViewMark& mark, const Peer& peer,
                                        MasterActions& out) {
  constexpr std::size_t kAskedMax = 2;
  if (recovery.views.contains(mark) || !may_ask_for(recovery, mark)) return;
  std::vector<PeerId>& asked = recovery.asked[mark];
  if (asked.size() >= kAskedMax || std::find(asked.begin(), asked.end(), peer.who.id) != asked.end()) return;
  asked.push_back(peer.who.id);
  set_role(*peer.connection, ConnectionRole::presenting, out);
  tell(peer, Present{.view = true, .outcomes = false}, out);
}

void MasterMachine::State::said(Instant now, PeerId id, const ViewPresented& message, MasterActions& out) {
  Claim* const claim = claim_of(id);
  if (!claim) return;
  set_role(*peers_.at(id).connection, ConnectionRole::newcomer, out);
  Recovery& recovery = recovering_->groups.at(peers_.at(id).who.group);
  const ViewMark& mark = claim->resume.view;
  const View& view = message.view;
  const auto asked = recovery.asked.find(mark);
  if (asked == recovery.asked.end() || std::erase(asked->second, id) == 0) return;
  const bool fits = view.epoch == mark.epoch && view.id == mark.id && view.size() == mark.size &&
                    view.group == peers_.at(id).who.group && view.find(id) &&
                    view.find(id)->key == peers_.at(id).who.key && fingerprint(view) == mark.fingerprint;
  if (!fits) {
    recovery.asks_again = true;
    return lose(now, id, {Status::refused, "this peer presented another view than it had named; connect again"},
                "it presented another view than it had named", out);
  }
  recovery.views.emplace(mark, view);
  check_recovery(now, out);
}

void MasterMachine::State::said(Instant now, PeerId id, const OutcomesPresented& message, MasterActions& out) {
  Claim* const claim = claim_of(id);
  if (!claim) {
    if (group_of(id)) outcomes_of_member(now, id, message, out);
    return;
  }
  if (!recovering_->chosen || claim->outcomes) return;
  claim->outcomes = message;
  check_recovery(now, out);
}

/// Both phases: until views are chosen, and until their members have told their outcomes.
void MasterMachine::State::check_recovery(Instant now, MasterActions& out) {
  if (!recovering_) return;
  if (config_.has_others && !recovering_->chosen && !gathers()) return nobody_is_left(now, out);
  if (!recovering_->chosen) {
    for (auto& [number, recovery] : recovering_->groups)
      // One that was asked has gone.
      if (std::exchange(recovery.asks_again, false))
        for (const auto& [id, claim] : recovery.claims) ask_for_view(recovery, claim.resume.view, peers_.at(id), out);
    recovering_->look_at.reset();
    if (by_majority())
      choose_to_take_over(now, out);
    else
      choose_views(now, now >= recovering_->deadline, out);
    if (!recovering_) return;
  }
  if (recovering_->chosen) {
    const bool all_told = std::all_of(
        recovering_->views.begin(), recovering_->views.end(), [&](const auto& chosen) {
          const auto& claims = recovering_->groups.at(chosen.first).claims;
          return std::all_of(chosen.second.survivors.begin(), chosen.second.survivors.end(), [&](PeerId peer) {
            const auto claim = claims.find(peer);
            return claim == claims.end() || claim->second.outcomes;
          });
        });
    if (all_told || now >= recovering_->deadline) return finish_recovery(now, out);
  }
  const Instant early = recovering_->began + std::min(kClaimsAtLeast, config_.recovery);
  if (recovering_->chosen) return arm(Timer::recovery, 0, recovering_->deadline);
  if (config_.has_lease && !lease_term_) return arm(Timer::recovery, 0, std::nullopt);
  if (now < early) return arm(Timer::recovery, 0, std::min(early, recovering_->deadline));
  arm(Timer::recovery, 0,
      by_majority() ? recovering_->look_at : earlier(recovering_->look_at, recovering_->deadline));
}

void MasterMachine::State::leave_recovery(const Peer& peer) {
  if (!recovering_ || recovering_->chosen || peer.role != Role::recovering) return;
  Recovery& recovery = recovering_->groups.at(peer.who.group);
  if (recovery.left.size() >= limits::kGroupSizeMax) return;
  // No more than the choice asks for: whoever leaves is not counted among the claims of its address any more.
  const Claim& claim = *claim_of(peer.who.id);
  recovery.left.emplace(peer.who.id, Claim{.resume = {.who = {}, .run = claim.resume.run, .view = claim.resume.view},
                                           .arrival = claim.arrival});
}

/// Of the run with most members behind its views.
void MasterMachine::State::choose_views(Instant now, bool at_deadline, MasterActions& out) {
  if (config_.has_lease && !lease_term_) return wait_for_lease(lease_seen_.words, out);
  if (!at_deadline && now < recovering_->began + std::min(kClaimsAtLeast, config_.recovery)) return;
  const bool looks = looks_at_missing(now);
  struct RunChoice {
    std::map<std::uint32_t, ChosenView> groups;
    std::size_t back = 0;
    bool complete = true;
  };
  std::map<RunId, RunChoice> runs;
  for (const auto& [number, recovery] : recovering_->groups) {
    for (const auto& [run, of_run] : claims_by_run(recovery)) {
      std::vector<ViewClaim> in_order;
      for (const auto& [id, one] : of_run) in_order.push_back({.peer = id, .view = one->resume.view});
      ViewChoice choice = choose_view(in_order, recovery.views);
      // Nobody else can go on with the others.
      if (!choice.view && config_.has_lease) choice = choose_newest_view(in_order, recovery.views);
      std::erase_if(choice.survivors, [&present = recovery.claims](PeerId peer) { return !present.contains(peer); });
      if (choice.view && !choice.complete && looks)
        if (const auto due = given_up_at(recovery, recovery.views.at(*choice.view))) {
          choice.complete = now >= *due;
          if (now < *due) recovering_->look_at = earlier(recovering_->look_at, due);
        }
      RunChoice& of_this = runs[run];
      of_this.complete = of_this.complete && choice.view && choice.complete;
      if (!choice.view || choice.survivors.empty()) continue;
      of_this.back += choice.survivors.size();
      of_this.groups[number] = {.view = *choice.view,
                                .survivors = {choice.survivors.begin(), choice.survivors.end()}};
    }
  }
  const auto best = std::max_element(runs.begin(), runs.end(),
                                     [](const auto& a, const auto& b) { return a.second.back < b.second.back; });
  if (!at_deadline && (best == runs.end() || !best->second.complete || best->second.groups.empty())) return;
  if (config_.has_lease && !may_choose_by_lease(best == runs.end() ? decltype(best->second.groups){}
                                                                   : best->second.groups)) {
    if (at_deadline) recovering_->deadline = now + config_.recovery;
    return wait_for_lease(lacking_, out);
  }
  recovering_->chosen = true;
  recovering_->deadline = now + config_.recovery;
  if (best != runs.end()) {
    recovering_->run = best->first;
    recovering_->views = best->second.groups;
  }
  for (const auto& [number, from] : recovering_->views)
    for (const PeerId id : from.survivors) {
      Peer& peer = peers_.at(id);
      promote(peer, out);
      if (config_.has_lease)
        tell(peer, Welcome{.run = recovering_->run, .seen_host = peer.seen_host, .term = term_}, out);
      tell(peer, Present{.view = false, .outcomes = true}, out);
    }
}

void MasterMachine::State::finish_recovery(Instant now, MasterActions& out) {
  if (by_majority() ? !still_has_majority() : config_.has_lease && !some_have_told()) {
    stepping_down_ = "members whose run it was about to take over have gone again";
    return;
  }
  const Recovering done = *std::exchange(recovering_, std::nullopt);
  arm(Timer::recovery, 0, std::nullopt);
  serves_ = true;
  known_term_ = std::max(known_term_, term_);
  lacking_.clear();
  status_made_.reset();
  if (!run_has_lived_ && !done.views.empty()) {
    run_has_lived_ = run_was_taken_over_ = true;
    run_ = done.run;
    settled_at_ = now + config_.recovery;
    arm(Timer::parties, 0, settled_at_);
    const auto most = std::max_element(done.views.begin(), done.views.end(), [](const auto& a, const auto& b) {
      return a.second.survivors.size() < b.second.survivors.size();
    });
    link_secret_ = done.groups.at(most->first).views.at(most->second.view).link_secret;
    // Newcomers have been told another one.
    for (auto& [id, peer] : peers_) peer.group_members_sent = false;
  }
  for (const auto& [number, recovery] : done.groups) {
    const auto chosen = done.views.find(number);
    const View base = chosen == done.views.end() ? View{} : recovery.views.at(chosen->second.view);
    Recovery of_run = recovery;
    std::erase_if(of_run.claims, [&](const auto& entry) {
      return chosen == done.views.end() || !chosen->second.survivors.contains(entry.first);
    });
    if (chosen != done.views.end() && by_majority()) groups_[number].taken_over = chosen->second.footing;
    finish_group(now, number, base, of_run, recovery, out);
  }
  news_changed();
  check_update(now, out);
  maybe_bootstrap(now, out);
}

/// `all`: the claims of other runs, too. Whoever is not taken over is told why.
void MasterMachine::State::finish_group(Instant now, std::uint32_t number, const View& base, const Recovery& recovery,
                                        const Recovery& all, MasterActions& out) {
  const Behind behind = members_behind(base, recovery);
  std::vector<Member> survivors;
  std::vector<Member> absent;
  for (const Member& member : base.members) {
    const auto claim = recovery.claims.find(member.id);
    const bool is_back = claim != recovery.claims.end() && claim->second.outcomes && !behind.has(member.id);
    (is_back ? survivors : absent).push_back(member);
  }
  const Error gone{Status::expelled,
                   base.size() == 0
                       ? "fewer than half of the members of its view came back to the restarted master; connect again"
                       : "the members went on without this peer before the master was restarted; connect again"};
  for (const auto& entry : all.claims) {
    const PeerId peer = entry.first;
    --source(peers_.at(peer).source).claims;
    --claims_;
    if (std::any_of(survivors.begin(), survivors.end(), [&](const Member& member) { return member.id == peer; }))
      continue;
    if (config_.has_others && base.size() == 0) {
      if (const auto connection = peers_.at(peer).connection)
        out.emplace_back(CloseConnection{*connection, "its group is not taken over yet"});
      forget_peer(peer);
      continue;
    }
    remember_expelled(peers_.at(peer).who, gone);
    dismiss(peer, gone, false, out);
  }
  if (survivors.empty()) return;
  Group& group = groups_[number];
  group.view = base;
  std::uint64_t newest = base.epoch.value;
  for (const Member& member : survivors) {
    const Resume& resumed = recovery.claims.at(member.id).resume;
    Peer& peer = peers_.at(member.id);
    peer.role = Role::member;
    peer.view_sent = resumed.whole ? ViewId{} : resumed.view.id;
    const std::uint64_t update_round = std::min(resumed.update_round, kUpdateRoundsBelieved);
    group.update_round = std::max(group.update_round, update_round);
    peer.update_rounds = std::min(resumed.updates_made, update_round);
    newest = std::max(newest, std::min(resumed.view.epoch.value, base.epoch.value + kUnheardViewsMax));
  }
  Epoch& last = last_epochs_[number];
  last = std::max(last, Epoch{newest});
  settle_recovered_ops(group, recovery, survivors, out);
  const Error cause{Status::master_restarted,
                    "the master was restarted and the members resumed" +
                        (absent.empty() ? std::string() : ", without " + names_of(absent)) +
                        "; what was under way is undone, and the inputs are intact: call again"};
  for (const Member& member : survivors)
    if (const ViewId last_seen = recovery.claims.at(member.id).resume.view.id; last_seen != base.id)
      group.ended.emplace_back(last_seen, cause);
  start_view(now, group, survivors, cause, out);
  for (const Member& member : survivors) resume_vote(now, member.id, recovery.claims.at(member.id).resume, out);
  out.emplace_back(LogEvent{LogLevel::notice, "recovered",
                            "group " + std::to_string(number) + " goes on with " + std::to_string(survivors.size()) +
                                " members" + (absent.empty() ? std::string() : ", without " + names_of(absent))});
}

void MasterMachine::State::settle_recovered_ops(Group& group, const Recovery& recovery,
                                                const std::vector<Member>& survivors, MasterActions& out) {
  const View& base = group.view;
  std::set<OpKey> committed;
  struct Reports {
    Vote from;
    Signature signature;
    bool alike = true;
  };
  std::map<OpKey, Reports> reported;
  for (const Member& member : survivors) {
    const OutcomesPresented& known = *recovery.claims.at(member.id).outcomes;
    committed.insert(known.committed.begin(), known.committed.end());
    for (const UndecidedOp& op : known.undecided)
      if (op.reported && op.key.view == base.id) {
        const auto [known_op, first] = reported.try_emplace(op.key, Reports{.from = {}, .signature = op.signature});
        known_op->second.from.cast(member.id);
        known_op->second.alike = known_op->second.alike && known_op->second.signature == op.signature;
      }
  }
  const bool complete = survivors.size() == base.size();
  std::map<OpKey, Committed> told;
  for (const OpKey& key : committed) told[key] = {.key = key, .update_round = group.update_round};
  // At a commit all are at one place of their scripts. Of one that some know already, these may have gone on.
  const std::uint64_t made = most_updates_made(survivors);
  for (const auto& [key, reports] : reported) {
    if (!reports.alike || !(complete || whole_means_all_called(reports.signature.collective)) ||
        !reports.from.unanimous(survivors) || told.contains(key))
      continue;
    told[key] = {.key = key, .update_round = group.update_round, .updates_made = made};
    for (const Member& member : survivors)
      if (!member.is_relay) peers_.at(member.id).update_rounds = made;
  }
  for (const Member& member : survivors)
    for (const UndecidedOp& op : recovery.claims.at(member.id).outcomes->undecided)
      if (op.reported && told.contains(op.key)) {
        out.emplace_back(LogEvent{LogLevel::debug, "committed-in-recovery", "all survivors had reported"});
        tell(member.id, told.at(op.key), out);
      }
  for (const auto& [key, commit] : told) remember_commit(group, commit);
}

std::uint64_t MasterMachine::State::most_updates_made(const std::vector<Member>& members) const {
  std::uint64_t made = 0;
  for (const Member& member : members)
    if (const auto found = peers_.find(member.id); found != peers_.end() && !member.is_relay)
      made = std::max(made, found->second.update_rounds);
  return made;
}

}  // namespace hawser
