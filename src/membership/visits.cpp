#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"
#include "membership/sponsors.hpp"

/// Visits: a newcomer and the members of its group are told of each other, links are opened in the background while the
/// members go on, and both ends say when they are established. Only a newcomer that has links to all members counts for
/// an update-topology, so that call waits for nobody's links. Newcomers open links to each other, too. In a large
/// group, whose members have not all links, a newcomer is proven by its sponsors, and opens its links with the view
/// that it is in.
///
/// A newcomer that prefetches is a visitor all the while, and fetches over these links; its links are counted from the
/// end of its prefetch on. One whose links are not established in time is refused, and waits 10, 20, 40 s before it may
/// try again, as often as it connects. How many visit at once is bounded, by address first.
namespace hawser {
namespace {

constexpr Duration kBackoffFirst = seconds(10);
constexpr Duration kVisitBackoffMax = seconds(40);
/// A failure is forgotten so long after its pause.
constexpr Duration kBackoffKept = seconds(120);
constexpr std::size_t kBackoffsMax = 1024;
constexpr std::size_t kMissingNamesShown = 3;

}  // namespace

/// Whether an update-topology would admit it, its links apart.
bool MasterMachine::State::waits_for_admission(const Peer& peer) {
  return peer.role == Role::pending && peer.prefetch != Prefetch::under_way;
}

/// Both ends say so.
bool MasterMachine::State::links_established(const Peer& a, const Peer& b) const {
  return a.linked.contains(b.who.id) && b.linked.contains(a.who.id);
}

/// It has links to all members of its group, or to its sponsors, or the group has no members.
bool MasterMachine::State::is_proven(const Peer& peer) const {
  if (!peer.visit.announced) return false;
  const View* const view = view_of(peer.who.group);
  if (!view || planted(PlantedFault::unproven_newcomer)) return true;
  if (config_.links.has_all_links(view->size())) return peer.visit.links_to_members == view->size();
  return std::all_of(peer.visit.sponsors.begin(), peer.visit.sponsors.end(), [&](PeerId id) {
    const auto sponsor = peers_.find(id);
    return sponsor != peers_.end() && links_established(peer, sponsor->second);
  });
}

/// In the view in force; true if they are others than before.
bool MasterMachine::State::find_sponsors(Peer& peer) const {
  std::vector<PeerId> found;
  if (const View* const view = view_of(peer.who.group); view && !config_.links.has_all_links(view->size()))
    for (const Member& member : sponsors_of(config_.links, view->members, peer.who.id)) found.push_back(member.id);
  return std::exchange(peer.visit.sponsors, found) != found;
}

void MasterMachine::State::said(Instant now, PeerId id, const PrefetchOver&, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.role != Role::pending) return;
  Peer& peer = found->second;
  if (peer.prefetch != Prefetch::under_way) return;
  if (peer.badge && peer.badge->role == hawser::Role::reader) {
    dismiss(
        id,
        {Status::refused, "the state is whole; the key of " + peer.badge->name + " is a reader's, which is no member"},
        true, out);
    return maybe_bootstrap(now, out);
  }
  peer.prefetch = Prefetch::over;
  const std::uint64_t arrival = std::exchange(peer.arrival, arrivals_++);
  VisitorList& visitors = visitors_[peer.who.group];
  if (visitors.waiting.erase({arrival, id}) > 0) visitors.waiting.insert({peer.arrival, id});
  out.emplace_back(LogEvent{LogLevel::info, "prefetch-over", name_of(peer) + " waits for admission"});
  if (peer.visit.announced) count_unproven(peer, true);
  proof_may_have_changed(now, peer, out);
  maybe_bootstrap(now, out);
}

std::string MasterMachine::State::backoff_key(const Peer& peer) {
  return peer.seen_host + " " + to_string(peer.who.address);
}

void MasterMachine::State::begin_visit(Instant now, Peer& peer, MasterActions& out) {
  visitors_[peer.who.group].waiting.insert({peer.arrival, peer.who.id});
  if (const auto found = backoffs_.find(backoff_key(peer)); found != backoffs_.end() && now < found->second.until) {
    peer.visit.not_before = found->second.until;
    arm_visit(peer);
    tell(peer,
         Notice{"this peer's links are tried again in " +
                std::to_string(whole_milliseconds(found->second.until - now) / 1000 + 1) +
                " s, since they failed before: " + found->second.reason},
         out);
  }
  // Those who flood the master have no turn: to look through all who wait would be in vain.
  if (has_turn(now, visitors_[peer.who.group], peer)) announce_more(now, peer.who.group);
}

/// Now, and beside those of its address.
bool MasterMachine::State::has_turn(Instant now, const VisitorList& visitors, const Peer& peer) {
  if (peer.visit.not_before && now < *peer.visit.not_before) return false;
  const Source& from = source(peer.source);
  if (planted(PlantedFault::crowded_source))
    return !waits_for_admission(peer) || visitors.unproven < limits::kUnprovenMax;
  if (from.visitors >= limits::kVisitorsPerSourceMax) return false;
  return !waits_for_admission(peer) ||
         from.unproven < limits::share_of_one(limits::kUnprovenPerSourceMax, limits::kUnprovenMax, visitors.unproven);
}

/// As many as there is room for, in order of arrival.
void MasterMachine::State::announce_more(Instant now, std::uint32_t group) {
  const auto found = visitors_.find(group);
  if (found == visitors_.end()) return;
  VisitorList& visitors = found->second;
  for (auto next = visitors.waiting.begin(); next != visitors.waiting.end();) {
    if (visitors.announced.size() >= limits::kVisitorsMax) return;
    Peer& peer = peers_.at(next->second);
    if (!has_turn(now, visitors, peer)) {
      ++next;
      continue;
    }
    next = visitors.waiting.erase(next);
    announce(now, visitors, peer);
  }
}

void MasterMachine::State::announce(Instant now, VisitorList& visitors, Peer& peer) {
  visitors.announced.push_back(peer.who.id);
  peer.visit.announced = true;
  find_sponsors(peer);
  peer.visit.not_before.reset();
  ++source(peer.source).visitors;
  if (waits_for_admission(peer)) {
    count_unproven(peer, true);
    if (view_of(peer.who.group)) peer.visit.prove_by = now + config_.link_open;
  }
  arm_visit(peer);
  news_changed();
}

void MasterMachine::State::count_unproven(Peer& peer, bool is_unproven) {
  if (peer.visit.is_counted == is_unproven) return;
  peer.visit.is_counted = is_unproven;
  const std::size_t one = is_unproven ? 1 : -1;
  visitors_[peer.who.group].unproven += one;
  source(peer.source).unproven += one;
  if (!is_unproven) news_changed();
}

/// It is gone, or a member.
void MasterMachine::State::end_visit(Peer& peer) {
  VisitorList& visitors = visitors_[peer.who.group];
  count_unproven(peer, false);
  if (peer.visit.announced) {
    std::erase(visitors.announced, peer.who.id);
    visitors.gone.insert(peer.who.id);
    --source(peer.source).visitors;
  } else {
    visitors.waiting.erase({peer.arrival, peer.who.id});
  }
  peer.visit = {};
  arm_visit(peer);
  news_changed();
}

void MasterMachine::State::arm_visit(const Peer& peer) {
  arm(Timer::visit, peer.who.id.value, peer.visit.announced ? peer.visit.prove_by : peer.visit.not_before);
}

// ------------------------------------------------------------------------------------ established links

void MasterMachine::State::said(Instant now, PeerId id, const Linked& message, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  if (found->second.role == Role::recovering) {
    if (Claim* const claim = claim_of(id)) links_of_claim(now, *claim, message);
    return check_recovery(now, out);
  }
  Peer& from = found->second;
  std::vector<PeerId> waiting;
  std::vector<PeerId> doubted;  ///< Or no more.
  const auto restore = [&](PeerId to) {
    set_down(from, to, std::nullopt);
    doubted.push_back(to);
  };
  if (message.all) {
    if (!from.linked.empty()) {
      const std::set<PeerId> named(message.up.begin(), message.up.end());
      for (const PeerId to : std::set<PeerId>(from.linked))
        if (!named.contains(to)) link_down(now, from, to, false);
    }
    while (!from.down.empty()) restore(from.down.begin()->first);
  }
  const auto waits = [](const Peer* other) { return other != nullptr && other->role == Role::pending; };
  for (const PeerId to : message.up) {
    if (from.down.contains(to)) restore(to);
    if (waits(link_up(from, to))) waiting.push_back(to);
  }
  // A member tells it with its measures, for as long as it should be planned with.
  if (from.role == Role::pending) {
    for (const PeerId to : message.up)
      if (const auto known = from.measured.find(to); known != from.measured.end()) known->second.by.reset();
    for (const Linked::Detour& detour : message.detours)
      if (from.linked.contains(detour.to)) from.measured[detour.to].by = detour.by;
    // What traffic has shown is known better.
    for (std::size_t i = 0; i < message.delays_us.size() && i < message.up.size(); ++i)
      if (message.delays_us[i] != 0 && from.linked.contains(message.up[i]))
        if (MeasuredLink& known = from.measured[message.up[i]]; known.bytes_per_second == 0)
          known.delay_ns = std::uint64_t{1000} * message.delays_us[i];
  }
  const std::set<PeerId> refused(message.refused.begin(), message.refused.end());
  for (const PeerId to : message.down) {
    if (waits(link_down(now, from, to, refused.contains(to)))) waiting.push_back(to);
    doubted.push_back(to);
  }
  proof_may_have_changed(now, from, out);
  for (const PeerId to : waiting) proof_may_have_changed(now, peers_.at(to), out);
  // The last: a loss may cost the one who spoke, too.
  for (const PeerId to : doubted) judge_away(now, to, out);
  maybe_bootstrap(now, out);
}

void MasterMachine::State::said(Instant, PeerId id, const Unreached& message, MasterActions&) {
  const auto found = peers_.find(id);
  if (found != peers_.end() && found->second.role != Role::recovering) found->second.unreached = message.ways;
}

/// The other one, if there is one of this group.
MasterMachine::State::Peer* MasterMachine::State::link_up(Peer& from, PeerId to) {
  const auto found = peers_.find(to);
  if (found == peers_.end() || found->second.who.group != from.who.group || found->second.role == Role::recovering ||
      to == from.who.id)
    return nullptr;
  Peer& other = found->second;
  if (from.role == Role::member && other.role == Role::member) return &other;
  if (from.linked.insert(to).second && other.linked.contains(from.who.id)) count_link(from, other, true);
  // Of those who were not linked both ways nobody took note when they went.
  if (from.linked.size() > 2 * (limits::kVisitorsMax + limits::kGroupSizeMax))
    std::erase_if(from.linked, [&](PeerId peer) { return !peers_.contains(peer); });
  return &other;
}

/// As link_up.
MasterMachine::State::Peer* MasterMachine::State::link_down(Instant now, Peer& from, PeerId to, bool refused) {
  const auto found = peers_.find(to);
  if (found == peers_.end()) {
    from.linked.erase(to);
    return nullptr;
  }
  Peer& other = found->second;
  const bool is_of_group = other.who.group == from.who.group;
  if (from.role == Role::member && other.role == Role::member && is_of_group) {
    if (are_neighbours(groups_.at(from.who.group), from, other))
      set_down(from, to, LinkDown{.at = now, .refused = refused});
  } else if (from.linked.erase(to) > 0 && other.linked.contains(from.who.id)) {
    count_link(from, other, false);
  }
  return is_of_group ? &other : nullptr;
}

/// Nobody needs a link to a relay to come in.
void MasterMachine::State::count_link(Peer& a, Peer& b, bool is_established) {
  const std::uint32_t one = is_established ? 1 : -1;
  const bool both_wait = a.role == Role::pending && b.role == Role::pending;
  for (const auto& [peer, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    if (peer->role == Role::pending && (both_wait || !other->who.is_relay))
      (both_wait ? peer->visit.links_to_visitors : peer->visit.links_to_members) += one;
}

void MasterMachine::State::forget_links(Peer& peer) {
  for (const PeerId to : std::set<PeerId>(peer.linked))
    if (const auto other = peers_.find(to); other != peers_.end()) {
      if (links_established(peer, other->second)) count_link(peer, other->second, false);
      other->second.linked.erase(peer.who.id);
    }
  peer.linked.clear();
}

void MasterMachine::State::proof_may_have_changed(Instant now, Peer& peer, MasterActions& out) {
  if (peer.role != Role::pending || !peer.visit.announced || !waits_for_admission(peer)) return;
  Visit& visit = peer.visit;
  if (!view_of(peer.who.group)) {
    visit.prove_by.reset();
    arm_visit(peer);
    if (visit.links_to_visitors + 1 >= visitors_.at(peer.who.group).announced.size()) count_unproven(peer, false);
    return;
  }
  if (is_proven(peer)) {
    visit.prove_by.reset();
    if (visit.is_counted) {
      const bool to_all = config_.links.has_all_links(view_of(peer.who.group)->size());
      out.emplace_back(LogEvent{LogLevel::info, "newcomer-linked",
                                name_of(peer) + " has its links to " + (to_all ? "all members" : "its sponsors")});
      backoffs_.erase(backoff_key(peer));
    }
    count_unproven(peer, false);
    news_changed();
  } else if (!visit.prove_by) {
    visit.prove_by = now + config_.link_open;
    news_changed();
  }
  arm_visit(peer);
}

/// The members of a group are others now.
void MasterMachine::State::recount_visits(Instant now, std::uint32_t group, MasterActions& out) {
  const auto found = visitors_.find(group);
  if (found == visitors_.end()) return;
  const View* const view = view_of(group);
  const std::vector<PeerId> announced = found->second.announced;
  const auto is_pending = [&](PeerId id) {
    const auto peer = peers_.find(id);
    return peer != peers_.end() && peer->second.role == Role::pending;
  };
  if (view)
    for (const Member& member : view->members)
      std::erase_if(peers_.at(member.id).linked, [&](PeerId id) { return !is_pending(id); });
  for (const PeerId id : announced) {
    Peer& peer = peers_.at(id);
    peer.visit.links_to_members = peer.visit.links_to_visitors = 0;
    if (view)
      for (const Member& member : view->members)
        if (!member.is_relay) peer.visit.links_to_members += links_established(peer, peers_.at(member.id)) ? 1 : 0;
    for (const PeerId other : announced)
      if (other != id) peer.visit.links_to_visitors += links_established(peer, peers_.at(other)) ? 1 : 0;
    if (find_sponsors(peer) && peer.visit.prove_by) peer.visit.prove_by = now + config_.link_open;
  }
  for (const PeerId id : announced) proof_may_have_changed(now, peers_.at(id), out);
  news_changed();
}

// -------------------------------------------------------------------------------------------- failures

void MasterMachine::State::visit_due(Instant now, PeerId id, MasterActions& out) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.role != Role::pending) return;
  Peer& peer = found->second;
  if (!peer.visit.announced) {
    announce_more(now, peer.who.group);
    return maybe_bootstrap(now, out);
  }
  if (!peer.visit.prove_by || now < *peer.visit.prove_by || is_proven(peer)) return;
  fail_visit(now, peer, out);
}

/// Members that it needs a link to, and lacks it.
std::vector<Member> MasterMachine::State::unlinked(const Peer& peer) const {
  const View& view = *view_of(peer.who.group);
  const bool of_all = config_.links.has_all_links(view.size());
  const auto& sponsors = peer.visit.sponsors;
  std::vector<Member> missing;
  for (const Member& member : view.members) {
    const bool needs = of_all || std::find(sponsors.begin(), sponsors.end(), member.id) != sponsors.end();
    if (needs && !member.is_relay && !links_established(peer, peers_.at(member.id))) missing.push_back(member);
  }
  return missing;
}

/// How both sides' last dials of each other ended, as far as they have told.
std::string MasterMachine::State::tries_between(const Peer& newcomer, const Member& member) const {
  const auto try_of = [](const Peer& from, PeerId to) -> std::string {
    for (const Unreached::Way& way : from.unreached)
      if (way.to == to) return way.why;
    return {};
  };
  const std::string there = try_of(newcomer, member.id);
  const std::string back = try_of(peers_.at(member.id), newcomer.who.id);
  std::string text;
  if (!there.empty()) text += "; this peer: " + there;
  if (!back.empty()) text += "; " + member.name + ": " + back;
  return text;
}

void MasterMachine::State::fail_visit(Instant now, Peer& peer, MasterActions& out) {
  std::vector<Member> missing = unlinked(peer);
  // Whoever was away learnt of it late, or could tell nothing of its links.
  const Group& group = groups_.at(peer.who.group);
  const Instant all_there = group.absent > 0 || !peer.connection ? now : group.complete_since;
  if (now < all_there + config_.link_open) {
    peer.visit.prove_by = all_there + config_.link_open;
    return arm_visit(peer);
  }
  const std::size_t others = missing.size() > kMissingNamesShown ? missing.size() - kMissingNamesShown : 0;
  missing.resize(missing.size() - others);
  const std::string names =
      names_of(missing) + (others > 0 ? " and " + std::to_string(others) + " more members" : std::string());
  std::erase_if(backoffs_, [&](const auto& entry) { return entry.second.until + kBackoffKept < now; });
  if (backoffs_.size() >= kBackoffsMax) backoffs_.erase(backoffs_.begin());
  Backoff& backoff = backoffs_[backoff_key(peer)];
  backoff.until = now + std::min(kVisitBackoffMax, kBackoffFirst * (1 << std::min<std::uint32_t>(backoff.failures, 8)));
  ++backoff.failures;
  backoff.reason = "no link to " + names;
  std::string tries;
  for (const Member& member : missing) tries += tries_between(peer, member);
  const std::string log = name_of(peer) + " is refused: no link between it and " + names + " could be established, ";
  const std::string at = "no link between this peer, at " + to_string(peer.who.address) + ", and " + names +
                         " could be established within " + std::to_string(whole_milliseconds(config_.link_open)) +
                         " ms, ";
  if (config_.links.has_all_links(group.view.size())) {
    out.emplace_back(LogEvent{LogLevel::notice, "newcomer-refused", log + "whichever side dialled"});
    return dismiss(peer.who.id,
                   {Status::refused, at + "whichever side dialled; check both addresses (advertise_address) and "
                                          "firewalls, then connect again" + tries},
                   true, out);
  }
  out.emplace_back(LogEvent{LogLevel::notice, "newcomer-refused", log + "and it must be dialled in so large a group"});
  dismiss(peer.who.id,
          {Status::refused, at + "by dialling this peer; in groups of more than " +
                                std::to_string(config_.links.all_links_max) +
                                " members all must be reachable, so check its address (advertise_address) and "
                                "firewalls, then connect again" + tries},
          true, out);
}

}  // namespace hawser
