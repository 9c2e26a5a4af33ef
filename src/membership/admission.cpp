#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// Update-topology and admission: when all members of all groups have called, the newcomers that have links to all
/// members of their groups, and to each other, come in at once (visits.cpp). The first peers of a run are admitted
/// without a vote.
namespace hawser {
namespace {

/// So long do the first peers of a run wait for links between them, once they may begin.
constexpr Duration kFirstLinks = seconds(2);

}  // namespace

// ------------------------------------------------------------------------------------------- the vote

void MasterMachine::State::said(Instant now, PeerId id, const UpdateCall& message, MasterActions& out) {
  const auto remember = [&](Resume& resume) {
    resume.in_update = message.waits;
    resume.first = message.first;
    resume.was_over = message.was_over;
    resume.after_error = message.after_error;
    resume.updates_made = std::min(message.update_round, resume.update_round);
  };
  if (Claim* const known = claim_of(id)) return remember(known->resume);
  Group* const group = group_of(id);
  if (!group) return;
  Peer& peer = peers_.at(id);
  if (peer.who.is_relay) return relay_calls(now, id, out);
  if (peer.resuming) remember(*peer.resuming);
  peer.update_rounds = std::min(message.update_round, group->update_round);
  peer.went_on = !message.waits;
  if (message.waits && message.update_round >= group->update_round)
    cast_vote(now, peer,
              {.first = message.first, .was_over = message.was_over, .after_error = message.after_error});
  else if (message.waits && !peer.resuming)
    tell_update_done(peer, *group, {Status::success, {}}, group->round_was_over, out);
  watch_group(now, peer.who.group, out);
  check_update(now, out);
}

void MasterMachine::State::cast_vote(Instant now, Peer& peer, const UpdateVote& vote) {
  if (peer.in_update || peer.who.is_relay) return;
  Group& group = groups_.at(peer.who.group);
  peer.in_update = true;
  peer.vote = vote;
  ++votes_;
  ++group.in_update;
  group.followers += vote.follows() ? 1 : 0;
  if (update_since_) return;
  update_since_ = now;
  arm(Timer::update, 0, now + config_.call_wait);
}

void MasterMachine::State::withdraw_vote(Peer& peer) {
  if (!peer.in_update) return;
  peer.in_update = false;
  --votes_;
  if (const auto group = groups_.find(peer.who.group); group != groups_.end()) {
    --group->second.in_update;
    group->second.followers -= peer.vote.follows() ? 1 : 0;
  }
  if (votes_ > 0) return;
  update_since_.reset();
  arm(Timer::update, 0, std::nullopt);
}

std::vector<Member> MasterMachine::State::members_of_all_groups() const {
  std::vector<Member> all;
  for (const auto& [number, group] : groups_)
    all.insert(all.end(), group.view.members.begin(), group.view.members.end());
  return all;
}

void MasterMachine::State::check_update(Instant now, MasterActions& out) {
  if (!update_since_ || recovering_) return;
  if (votes_ == world().size) {
    if (release_who_are_behind(out)) return;
    admit_who_may(now, out);
    for (auto& [number, group] : groups_) {
      ++group.update_round;
      group.round_was_over = false;
      group.measuring.at_update = group.measuring.version;
    }
    return end_update({Status::success, {}}, members_of_all_groups(), out);
  }
  if (now < *update_since_ + config_.call_wait) return arm(Timer::update, 0, *update_since_ + config_.call_wait);
  std::vector<Member> electors = members_of_all_groups();
  std::vector<Member> missing;
  std::copy_if(electors.begin(), electors.end(), std::back_inserter(missing),
               [&](const Member& member) { return !member.is_relay && !peers_.at(member.id).in_update; });
  end_update({Status::timeout, "not all members called update-topology within " +
                                   std::to_string(whole_milliseconds(config_.call_wait)) +
                                   " ms; missing: " + names_of(missing)},
             electors, out);
}

/// Of those of `whom` that have called. A newcomer of this very update has not.
void MasterMachine::State::end_update(const Error& error, const std::vector<Member>& whom, MasterActions& out) {
  std::map<std::uint32_t, std::vector<ConnectionId>> callers;
  for (const Member& member : whom) {
    Peer& peer = peers_.at(member.id);
    if (!peer.in_update) continue;
    withdraw_vote(peer);
    if (error.status == Status::success) peer.update_rounds = groups_.at(peer.who.group).update_round;
    if (hears(peer)) callers[peer.who.group].push_back(*peer.connection);
  }
  for (auto& [number, connections] : callers) {
    const Group& group = groups_.at(number);
    send_to(std::move(connections),
            UpdateDone{.error = error, .update_round = group.update_round, .measures = group.measuring.at_update}, out);
  }
}

/// Where some have not waited in one that was over, and wait in the next one, the others go on to that. After an error
/// it is the next one for all.
bool MasterMachine::State::release_who_are_behind(MasterActions& out) {
  bool are_some = false;
  for (auto& [number, group] : groups_) {
    std::vector<Peer*> behind;
    bool some_are_ahead = false;
    bool after_error = false;
    for (const Member& member : group.view.members) {
      Peer& peer = peers_.at(member.id);
      if (!peer.in_update) continue;
      after_error = after_error || peer.vote.after_error;
      if (peer.vote.was_over)
        behind.push_back(&peer);
      else
        some_are_ahead = true;
    }
    if (!some_are_ahead || after_error) continue;
    are_some = are_some || !behind.empty();
    for (Peer* const peer : behind) tell_update_done(*peer, group, {Status::success, {}}, true, out);
  }
  return are_some;
}

/// It is over for this one, whatever the others do.
void MasterMachine::State::tell_update_done(Peer& peer, const Group& group, const Error& error, bool was_over,
                                            MasterActions& out) {
  withdraw_vote(peer);
  if (error.status == Status::success) peer.update_rounds = group.update_round;
  tell(peer,
       UpdateDone{.error = error,
                  .update_round = group.update_round,
                  .measures = group.measuring.at_update,
                  .was_over = was_over},
       out);
}

/// Newcomers that call update-topology first meet members that have gone on from the one which admitted them. And
/// members that wait for newcomers meet others that have not heard of these.
void MasterMachine::State::release_followers(Group& group, MasterActions& out) {
  if (group.in_update == 0) return;
  const bool all_follow = group.followers == group.in_update;
  const bool went_on = group.in_update < group.view.size() && others_went_on(group);
  if (!all_follow || (group.ops.empty() && !went_on)) return;
  for (const Member& member : group.view.members)
    if (Peer& peer = peers_.at(member.id); peer.in_update)
      tell_update_done(peer, group, {Status::success, {}}, !peer.vote.first, out);
}

/// All who do not wait in update-topology have called it since one was over for all, and not waited, as they had not
/// heard of the newcomers. After an error it may be that they will call it once more.
bool MasterMachine::State::others_went_on(const Group& group) const {
  return std::all_of(group.view.members.begin(), group.view.members.end(), [&](const Member& member) {
    const Peer& peer = peers_.at(member.id);
    if (peer.in_update) return !peer.vote.after_error;
    return member.is_relay || (peer.went_on && peer.update_rounds == group.update_round);
  });
}

/// At a commit all members are at one place of their scripts: they have made as many calls of update-topology as the
/// one that has made most. Where nobody waits for admission, the next one admits nobody. Members that are told so
/// before they call it need not wait for each other in it: they have just done so in the collective. Groups have their
/// commits at different moments, and their members may wait for each other elsewhere. So several groups always wait.
std::uint64_t MasterMachine::State::count_rounds(Group& group) {
  const std::uint64_t made = most_updates_made(group.view.members);
  // Some may have been lost just now.
  for (const Member& member : group.view.members)
    if (const auto found = peers_.find(member.id); found != peers_.end() && !member.is_relay)
      found->second.update_rounds = made;
  const bool some_wait = votes_ > 0 || (pending_ > 0 && !planted(PlantedFault::starved_newcomer));
  if (some_wait || recovering_ || groups_.size() > 1 || made != group.update_round) return made;
  ++group.update_round;
  group.round_was_over = true;
  return made;
}

// ----------------------------------------------------------------------------------- the first of a run

bool MasterMachine::State::bootstrap_waits() const { return groups_.empty() && !recovering_ && pending_ > 0; }

/// Those who come in time are waited for: their links to each other, and the ends of their prefetches, which come at
/// once, since there is nobody to fetch from.
Instant MasterMachine::State::bootstrap_due(Instant window_ends) const {
  bool links_are_missing = false;
  Instant due = window_ends;
  for (const auto& [id, peer] : peers_) {
    if (peer.role != Role::pending || peer.came_at >= window_ends) continue;
    if (!waits_for_admission(peer))
      due = std::max(due, window_ends + config_.bootstrap);
    else if (!links_are_missing)
      links_are_missing = peer.visit.announced ? lacks_first_links(peer, window_ends) : !peer.visit.not_before;
  }
  return links_are_missing ? std::max(due, window_ends + kFirstLinks) : due;
}

/// To others that came in time.
bool MasterMachine::State::lacks_first_links(const Peer& peer, Instant window_ends) const {
  const std::vector<PeerId>& announced = visitors_.at(peer.who.group).announced;
  if (peer.visit.links_to_visitors + 1 >= announced.size()) return false;
  return std::any_of(announced.begin(), announced.end(), [&](PeerId id) {
    const Peer& other = peers_.at(id);
    return id != peer.who.id && other.came_at < window_ends && !links_established(peer, other);
  });
}

void MasterMachine::State::maybe_bootstrap(Instant now, MasterActions& out) {
  arm(Timer::bootstrap, 0, std::nullopt);
  if (!bootstrap_waits()) return;
  const Instant window_ends = std::max(bootstrap_at_, settled_at_);
  const Instant due = now < window_ends ? window_ends : bootstrap_due(window_ends);
  if (now < due) return arm(Timer::bootstrap, 0, due);
  // It looks for the others again and again.
  if (!serves_ && !may_begin(now)) return;
  admit_who_may(now, out);
}

// ------------------------------------------------------------------------------------------ admission

/// Of those who are not all linked to each other the ones go that lack most links, the youngest first: one that answers
/// nobody keeps nobody out.
void MasterMachine::State::keep_linked_ones(std::vector<const Peer*>& newcomers) const {
  const auto apart = [&](const Peer& a, const Peer& b) {
    if (a.who.group != b.who.group || links_established(a, b)) return false;
    // Plans do without a relay that somebody has no way to.
    if (a.who.is_relay || b.who.is_relay) return false;
    // Those of a large group have links to its members only.
    const View* const view = view_of(a.who.group);
    return !view || config_.links.has_all_links(view->size());
  };
  std::vector<std::size_t> missing(newcomers.size());
  for (std::size_t i = 0; i < newcomers.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (apart(*newcomers[i], *newcomers[j])) {
        ++missing[i];
        ++missing[j];
      }
  while (!newcomers.empty()) {
    // The last of the greatest: they are in order of arrival.
    const auto worst = std::max_element(missing.rbegin(), missing.rend());
    if (*worst == 0) return;
    const auto at = static_cast<std::ptrdiff_t>(missing.rend() - worst) - 1;
    const Peer& gone = *newcomers[static_cast<std::size_t>(at)];
    newcomers.erase(newcomers.begin() + at);
    missing.erase(missing.begin() + at);
    for (std::size_t i = 0; i < newcomers.size(); ++i) missing[i] -= apart(*newcomers[i], gone) ? 1 : 0;
  }
}

/// The first members of a group are so many at least as most of those who are to be them ask for: one that asks for
/// more keeps nobody waiting.
void MasterMachine::State::keep_enough(std::vector<const Peer*>& newcomers) const {
  std::map<std::uint32_t, std::vector<std::uint32_t>> wishes;
  for (const Peer* const peer : newcomers)
    if (!groups_.contains(peer->who.group) && !peer->who.is_relay)
      wishes[peer->who.group].push_back(peer->who.min_peers);
  for (auto& [number, least] : wishes) std::sort(least.begin(), least.end());
  std::erase_if(newcomers, [&](const Peer* peer) {
    const auto of_group = wishes.find(peer->who.group);
    return of_group != wishes.end() && of_group->second.size() < of_group->second[of_group->second.size() / 2];
  });
}

/// After all others, and only where these are: no group is of relays alone.
void MasterMachine::State::keep_relays_of_groups(std::vector<const Peer*>& newcomers) const {
  std::set<std::uint32_t> groups;
  for (const Peer* const peer : newcomers)
    if (!peer->who.is_relay) groups.insert(peer->who.group);
  std::erase_if(newcomers, [&](const Peer* peer) {
    return peer->who.is_relay && !groups_.contains(peer->who.group) && !groups.contains(peer->who.group);
  });
  std::stable_partition(newcomers.begin(), newcomers.end(), [](const Peer* peer) { return !peer->who.is_relay; });
}

/// In order of arrival, relays last. Those of a group without members wait while former members of it may still come back to a
/// restarted master.
std::vector<const MasterMachine::State::Peer*> MasterMachine::State::admissible(Instant now) const {
  std::vector<const Peer*> newcomers;
  for (const auto& [number, visitors] : visitors_) {
    if (!groups_.contains(number) && (now < settled_at_ || another_may_serve_groups(now))) continue;
    for (const PeerId id : visitors.announced) {
      const Peer& peer = peers_.at(id);
      if (waits_for_admission(peer) && peer.connection && is_proven(peer) && may_be_admitted(peer))
        newcomers.push_back(&peer);
    }
  }
  std::sort(newcomers.begin(), newcomers.end(), [](const Peer* a, const Peer* b) { return a->arrival < b->arrival; });
  keep_linked_ones(newcomers);
  keep_enough(newcomers);
  keep_whole_parties(newcomers);
  keep_relays_of_groups(newcomers);
  return newcomers;
}

/// Why one may not come into the group after these.
std::optional<Error> MasterMachine::State::misfit(const Peer& newcomer, std::size_t group_size, PeerId eldest,
                                                  const std::vector<PeerId>& came) const {
  if (group_size >= limits::kGroupSizeMax)
    return Error{Status::refused, "the group is full (" + std::to_string(limits::kGroupSizeMax) + " members)"};
  if (newcomer.who.is_relay) return relay_misfit(newcomer, group_size, came);
  return terms_refusal(newcomer.who, peers_.at(eldest).who);
}

std::optional<Error> MasterMachine::State::relay_misfit(const Peer& relay, std::size_t group_size,
                                                        const std::vector<PeerId>& came) const {
  if (!config_.links.has_all_links(static_cast<std::uint32_t>(group_size) + 1))
    return Error{Status::refused, "groups of more than " + std::to_string(config_.links.all_links_max) +
                                      " members, relays counted, use no relays; this one has " +
                                      std::to_string(group_size)};
  const View* const view = view_of(relay.who.group);
  const auto relays = static_cast<std::size_t>(
      std::count_if(came.begin(), came.end(), [&](PeerId id) { return peers_.at(id).who.is_relay; }));
  if (relays + (view ? view->relays() : 0) < limits::kRelaysMax) return std::nullopt;
  return Error{Status::refused, "the group has " + std::to_string(limits::kRelaysMax) + " relays, which are the most"};
}

/// Those who do not fit to the members, or to the first newcomer of their group, are refused before anybody comes in,
/// since the party of one does not come in either.
void MasterMachine::State::admit_who_may(Instant now, MasterActions& out) {
  for (;;) {
    const std::vector<const Peer*> newcomers = admissible(now);
    std::map<std::uint32_t, std::vector<PeerId>> by_group;
    std::vector<std::pair<PeerId, Error>> misfits;
    for (const Peer* const newcomer : newcomers) {
      const View* const view = view_of(newcomer->who.group);
      std::vector<PeerId>& came = by_group[newcomer->who.group];
      const PeerId eldest = view ? view->members.front().id : came.empty() ? newcomer->who.id : came.front();
      const std::size_t before = !view ? 0 : newcomer->who.is_relay ? view->nodes() : view->size();
      if (const auto error = misfit(*newcomer, before + came.size(), eldest, came))
        misfits.emplace_back(newcomer->who.id, *error);
      else
        came.push_back(newcomer->who.id);
    }
    if (misfits.empty() && newcomers.empty()) return;
    if (misfits.empty()) return admit(now, by_group, out);
    for (const auto& [id, error] : misfits) {
      out.emplace_back(LogEvent{LogLevel::notice, "newcomer-refused", name_of(id) + " is refused: " + error.sentence});
      dismiss(id, error, true, out);
    }
  }
}

void MasterMachine::State::admit(Instant now, const std::map<std::uint32_t, std::vector<PeerId>>& by_group,
                                 MasterActions& out) {
  run_has_lived_ = true;
  if (!serves_) {
    serves_ = true;
    known_term_ = term_ = config_.has_lease ? *lease_term_ : known_term_ + 1;
    status_made_.reset();
  }
  for (const auto& [number, ids] : by_group) admit_to(now, number, ids, out);
  for (const auto& [number, ids] : by_group) {
    const Group& group = groups_.at(number);
    const std::uint64_t update_round = group.update_round + (votes_ == 0 ? 0 : 1);
    for (const PeerId id : ids) peers_.at(id).update_rounds = update_round;
    tell_view(group, group.view.members, {Status::success, {}}, update_round, out);
  }
  // First, so that a call that has just ended sees nobody pending whom it admitted.
  news_at_ = now;
  tell_news(now, out);
}

void MasterMachine::State::admit_to(Instant now, std::uint32_t number, const std::vector<PeerId>& ids,
                                    MasterActions& out) {
  Group& group = groups_[number];
  std::vector<Member> members = group.view.members;
  if (group.view.size() > 0) end_view(group, {Status::success, {}});
  for (const PeerId id : ids) {
    Peer& peer = peers_.at(id);
    members.push_back(as_member(peer));
    end_visit(peer);
    --source(peer.source).pending;
    --pending_;
    peer.role = Role::member;
    peer.view_sent = {};
    promote(peer, out);
    // The run's id may have been taken over from members that came back after this newcomer's welcome.
    tell(peer, Welcome{.run = run_, .seen_host = peer.seen_host, .term = term_}, out);
  }
  drop_needless_relays(members, out);
  set_view(group, number, std::move(members));
  totals_.joined += ids.size();
  for (const PeerId id : ids)
    out.emplace_back(LogEvent{LogLevel::notice, "peer-joined",
                              name_of(id) + " joined group " + std::to_string(number) + ", which has " +
                                  std::to_string(group.view.size()) + " members now"});
  warn_of_names(ids, out);
  recount_visits(now, number, out);
}

/// Members of larger groups have not all links, and their plans no relays.
void MasterMachine::State::drop_needless_relays(std::vector<Member>& members, MasterActions& out) {
  put_relays_last(members);
  const View with{.members = members};
  if (with.relays() == 0 || config_.links.has_all_links(with.nodes())) return;
  const Error error{Status::expelled, "the group has grown beyond " + std::to_string(config_.links.all_links_max) +
                                          " members, relays counted, and so large groups use no relays"};
  for (std::uint32_t rank = with.size(); rank < with.nodes(); ++rank) dismiss(with.members[rank].id, error, false, out);
  members.resize(with.size());
}

/// Names are for people: sentences and tables are ambiguous where two members have one.
void MasterMachine::State::warn_of_names(const std::vector<PeerId>& newcomers, MasterActions& out) const {
  std::map<std::string_view, std::size_t> bearers;
  for (const auto& [id, peer] : peers_)
    if (peer.role == Role::member) ++bearers[peer.who.name];
  for (const PeerId id : newcomers) {
    const std::string& name = peers_.at(id).who.name;
    // Once for each name.
    const std::size_t count = std::exchange(bearers.at(name), 1);
    if (count < 2) continue;
    out.emplace_back(LogEvent{LogLevel::warning, "name-twice",
                              std::to_string(count) + " members are called " + name +
                                  ", so that messages cannot tell them apart; give each peer a name of its own"});
  }
}

}  // namespace hawser
