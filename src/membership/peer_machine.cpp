#include "membership/peer_machine.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "membership/sponsors.hpp"

namespace hawser {
namespace {

constexpr Duration kTellDelay = milliseconds(2);
/// Named in one line of the log.
constexpr std::size_t kNamesShown = 4;
/// Versions of measures: commits name the newest, or one that was newest when this peer was away.
constexpr std::size_t kMeasuresKept = 16;

LogEvent info(const char* what, std::string text) { return {LogLevel::info, what, std::move(text)}; }

/// The same members that have tensors, in the same order, and fewer relays: ranks and sizes are as they were.
bool only_relays_have_gone(const View& before, const View& after) {
  const auto same = [](const Member& a, const Member& b) { return a.id == b.id; };
  return before.size() == after.size() && after.relays() < before.relays() &&
         std::equal(before.members.begin(), before.members.begin() + before.size(), after.members.begin(), same);
}

std::string names_in_short(const std::vector<const Member*>& members) {
  std::string names;
  for (std::size_t i = 0; i < members.size() && i < kNamesShown; ++i)
    names += (i == 0 ? "" : ", ") + members[i]->name + " (" + to_string(members[i]->address) + ")";
  if (members.size() > kNamesShown) names += " and " + std::to_string(members.size() - kNamesShown) + " more";
  return names;
}

}  // namespace

Error PeerMachine::not_a_member() const {
  switch (phase_) {
    case Phase::member: return {Status::success, {}};
    case Phase::lost: return lost_error_;
    case Phase::joining: return {Status::invalid_usage, "connect is under way; wait for it, then call"};
    case Phase::idle: break;
  }
  return {Status::invalid_usage, "this communicator is not connected; call connect first"};
}

void PeerMachine::connect(Instant now, Introduction me, bool prefetch, PeerActions& out) {
  HAWSER_ASSERT(phase_ == Phase::idle || phase_ == Phase::lost);
  phase_ = Phase::joining;
  lost_error_ = {Status::success, {}};
  me_ = std::move(me);
  prefetch_ = prefetch;
  prefetch_over_ = false;
  view_ = {};
  world_ = {};
  pending_ = 0;
  in_update_ = false;
  after_error_ = false;
  is_fresh_ = false;
  needs_whole_view_ = false;
  term_ = 0;
  quorums_.clear();
  missed_in_row_ = no_masters_ = 0;
  welcomed_ = false;
  is_known_ = false;
  group_members_.clear();
  visitors_.clear();
  committed_.clear();
  started_.clear();
  next_sequence_.clear();
  connect_by_ = now + bounds_.connect;
  down_since_ = now;
  down_reason_.clear();
  backoff_ = kBackoffMin;
  dial(now, out);
}

void PeerMachine::prefetch_over(PeerActions& out) {
  if (!is_guest() || prefetch_over_) return;
  prefetch_over_ = true;
  if (welcomed_) tell_master(PrefetchOver{}, out);
}

void PeerMachine::dial(Instant now, PeerActions& out) {
  redial_at_.reset();
  dialed_at_ = now;
  master_ = MasterLink::dialing;
  out.emplace_back(DialMaster{master_at_});
}

Result<OpKey> PeerMachine::begin(Instant now, std::uint64_t tag, const Signature& signature,
                                 const std::optional<Contribution>& given, bool needs_relays) {
  if (Error error = not_a_member(); error.status != Status::success) return error;
  if (view_.size() < 2)
    return Error{Status::too_few_peers,
                 "this peer is alone in group " + std::to_string(view_.group) +
                     "; wait until another peer wants to join, call update-topology, then call again"};
  const OpKey key{.epoch = view_.epoch, .view = view_.id, .tag = tag, .sequence = next_sequence_[tag]++};
  ops_[key] = {.signature = signature, .given = given, .needs_relays = needs_relays};
  unannounced_.set(key, given || needs_relays ? now : now + kTellDelay);
  is_fresh_ = false;
  return key;
}

void PeerMachine::update_topology(Instant, PeerActions& out) {
  HAWSER_ASSERT(phase_ == Phase::member);
  was_over_ = update_round_ < rounds_over_;
  if (was_over_) update_round_ = rounds_over_;
  // Who visits may be ready by now.
  const bool some_wait = (pending_ > 0 || !visitors_.empty()) && !planted(PlantedFault::starved_newcomer);
  in_update_ = !was_over_ || some_wait || after_error_;
  tell_master(UpdateCall{.first = is_fresh_,
                         .update_round = update_round_,
                         .was_over = was_over_,
                         .waits = in_update_,
                         .after_error = after_error_},
              out);
  if (in_update_) return;
  is_fresh_ = false;
  out.emplace_back(UpdateEnded{{Status::success, {}}});
}

void PeerMachine::leave(PeerActions& out) {
  if (phase_ == Phase::member || phase_ == Phase::joining) tell_master(Leave{}, out);
  lose({Status::closed, "this communicator was closed while the call waited"}, out);
}

void PeerMachine::result_whole(const OpKey& key, PeerActions& out) {
  const auto found = ops_.find(key);
  HAWSER_ASSERT(found != ops_.end());
  found->second.reported = true;
  unannounced_.clear(key);
  if (found->second.given && !found->second.announced) announce(key, found->second, out);
  tell_master(Report{.key = key, .signature = found->second.signature}, out);
}

void PeerMachine::announce(const OpKey& key, Op& op, PeerActions& out) {
  // Its driver signs it.
  tell_master(Begun{.key = key,
                    .signature = op.signature,
                    .attestation = op.given ? std::optional(Attestation{.given = *op.given}) : std::nullopt,
                    .needs_relays = op.needs_relays},
              out);
  op.announced = true;
}

void PeerMachine::complain(Complaint complaint, PeerActions& out) { tell_master(std::move(complaint), out); }

void PeerMachine::give_up(GiveUp message, PeerActions& out) {
  const auto found = ops_.find(message.key);
  HAWSER_ASSERT(found != ops_.end());
  unannounced_.clear(message.key);
  if (!found->second.announced && !found->second.reported) announce(message.key, found->second, out);
  tell_master(std::move(message), out);
}

void PeerMachine::tell_master(PeerMessage message, PeerActions& out) {
  if (master_ == MasterLink::up) out.emplace_back(SendMaster{std::move(message)});
}

void PeerMachine::master_up(Instant now, Ways ways, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost) {
    out.emplace_back(CloseMaster{"no longer needed"});
    return;
  }
  master_ = MasterLink::up;
  ways_ = std::move(ways);
  welcomed_ = tells_links_ = false;
  heard_at_ = now;
  ping_at_ = now + bounds_.silence / 4;
  redial_at_.reset();
  link_news_.clear();
  tell_links_at_.reset();
  tell_unreached_at_.reset();
  unreached_is_stale_ = true;
  ++me_.connection;
  if (phase_ == Phase::joining) {
    tell_master(Hello{.who = me_, .prefetches = prefetch_}, out);
  } else {
    tell_master(resume(), out);
    unannounced_.clear_all();
    out.emplace_back(info("resume-sent", "the master is back; this peer resumes at epoch " +
                                             std::to_string(view_.epoch.value)));
  }
}

Resume PeerMachine::resume() const {
  return {.who = me_,
          .run = run_,
          .view = {.epoch = view_.epoch, .id = view_.id, .size = view_.size(), .fingerprint = fingerprint(view_)},
          .in_update = in_update_,
          .first = in_update_ && is_fresh_,
          .was_over = in_update_ && was_over_,
          .after_error = in_update_ && after_error_,
          .update_round = planted(PlantedFault::forgotten_round) ? update_round_ : rounds_over_,
          .updates_made = update_round_,
          .whole = needs_whole_view_,
          .term = term_,
          .quorums = quorums_};
}

void PeerMachine::said(Instant, const Present& message, PeerActions& out) {
  if (phase_ != Phase::member) return;
  if (message.view) tell_master(ViewPresented{view_}, out);
  if (!message.outcomes) return;
  OutcomesPresented outcomes;
  for (const auto& [key, op] : ops_)
    outcomes.undecided.push_back({.key = key, .signature = op.signature, .reported = op.reported});
  outcomes.committed.assign(committed_.begin(), committed_.end());
  outcomes.views.assign(started_.begin(), started_.end());
  tell_master(std::move(outcomes), out);
  // What was told over the connection before may be lost.
  for (auto& [key, op] : ops_)
    if (op.given || op.needs_relays) announce(key, op, out);
  tell_all_links(out);
}

void PeerMachine::said(Instant, const Notice& message, PeerActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "notice", message.sentence});
}

void PeerMachine::master_down(Instant now, const std::string& reason, bool is_no_master, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost || master_ == MasterLink::down) return;
  if (is_no_master && phase_ == Phase::joining && ++no_masters_ >= bounds_.masters) {
    lose({Status::master_unreachable, reason}, out);
    return;
  }
  if (master_ == MasterLink::up) {
    const LogLevel level = phase_ == Phase::member && welcomed_ ? LogLevel::notice : LogLevel::info;
    out.emplace_back(LogEvent{level, "master-connection-lost", "the connection to the master broke: " + reason});
    if (welcomed_ || stay_until_) backoff_ = kBackoffMin;
  }
  if (!down_since_) down_since_ = now;
  down_reason_ = reason;
  master_ = MasterLink::down;
  // Members that gather at one that stands by are not to miss each other because a connection broke.
  const bool was_good = std::exchange(welcomed_, false) || stay_until_;
  dial_later(now, was_good);
}

void PeerMachine::master_said(Instant now, const MasterMessage& message, PeerActions& out) {
  if (master_ != MasterLink::up) return;
  heard_at_ = now;
  std::visit([&](const auto& one) { said(now, one, out); }, message);
}

/// What the master says does not fit to what it said before: begin anew, as after any break.
void PeerMachine::lose_sync(Instant now, const std::string& what, PeerActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "master-out-of-step", what});
  out.emplace_back(CloseMaster{what});
  master_down(now, what, false, out);
}

void PeerMachine::said(Instant now, const Welcome& message, PeerActions& out) {
  if (is_superseded(now, message.term, out)) return;
  term_ = phase_ == Phase::member ? std::max(term_, message.term) : message.term;
  stay_until_.reset();
  missed_in_row_ = no_masters_ = 0;
  tells_links_ = true;
  run_ = message.run;
  down_since_.reset();
  unanswered_ = 0;
  is_known_ = true;
  seen_host_ = message.seen_host;
  const bool again = std::exchange(welcomed_, true);
  if (!again && ways_.port != 0) tell_master(ways_, out);
  if (!unreached_.empty() || !unreached_told_.ways.empty()) note_unreached(now);
  if (phase_ == Phase::member && message.wants_links) tell_all_links(out);
  if (phase_ != Phase::joining) return;
  // A master may welcome a newcomer twice on one connection, but needs this once.
  if (again) return;
  if (prefetch_over_) tell_master(PrefetchOver{}, out);
  if (!links_up_.empty()) tell_all_links(out);
  if (me_.address.host.empty()) me_.address.host = message.seen_host;
  out.emplace_back(info("pending", prefetch_ && !prefetch_over_
                                       ? "known to the master; fetching state before the members admit this peer"
                                       : "known to the master; waiting for the members to admit this peer"));
}

void PeerMachine::said(Instant now, const Refused& message, PeerActions& out) {
  if (!is_superseded(now, message.term, out)) lose(message.error, out);
}

// -------------------------------------------------------------------------------------------------- links

/// The view that this message starts. Errors: invalid_argument, with what is wrong, where it does not fit to the view
/// in force, or comes out otherwise than at the master.
Result<View> PeerMachine::view_after(const StartView& message) const {
  View next{.epoch = message.epoch,
            .id = message.id,
            .group = message.group,
            .link_secret = message.link_secret,
            .members = view_.members};
  const auto wrong = [](const char* what) { return Error{Status::invalid_argument, what}; };
  if (!message.members.whole && message.base != view_.id)
    return wrong("a view came as a change of one that this peer is not in");
  if (planted(PlantedFault::lingering_member) && message.members.gone.size() > 1) {
    MemberChange change = message.members;
    change.gone.pop_back();
    if (hawser::apply(change, next.members)) return next;
  }
  if (!apply(message.members, next.members)) return wrong("a view came as a change that does not fit to its base");
  if (!relays_come_last(next.members)) return wrong("a view has members behind its relays");
  if (fingerprint(next) != message.fingerprint) return wrong("a view has not the members that it has at the master");
  return next;
}

void PeerMachine::said(Instant now, const StartView& message, PeerActions& out) {
  world_ = message.world;
  if (phase_ == Phase::member && message.epoch <= view_.epoch) {
    if (message.id != view_.id)
      out.emplace_back(LogEvent{LogLevel::warning, "stale-view", "ignored a view older than the one in force"});
    return;
  }
  const Result<View> next = view_after(message);
  if (!next) {
    needs_whole_view_ = true;
    return lose_sync(now, next.error().sentence, out);
  }
  if (!next->find(me_.id)) return;
  needs_whole_view_ = false;
  const Error cause = message.cause.status == Status::success
                          ? Error{Status::peer_lost, "the view changed while the collective was under way; call again"}
                          : message.cause;
  const bool calls_go_on = phase_ == Phase::member && only_relays_have_gone(view_, *next) &&
                           (message.calls_since <= view_.epoch || planted(PlantedFault::unseen_view));
  const bool is_at_odds = message.calls_since <= view_.epoch && !calls_go_on;
  calls_since_ = is_at_odds ? message.epoch : std::min(message.calls_since, message.epoch);
  abort_ops(cause, calls_go_on, out);
  const View before = std::exchange(view_, *next);
  started_.push_back(view_.id);
  if (started_.size() > limits::kViewsRememberedMax) started_.pop_front();
  quorums_ = message.quorums;
  if (!quorums_.empty() && !is_relay()) tell_master(ViewTaken{view_.id}, out);
  next_sequence_.clear();
  measures_.clear();
  begin_basis(message.measures);
  const bool joined = phase_ == Phase::joining;
  const bool was_guest = is_guest();
  group_members_.clear();
  if (joined) {
    update_round_ = rounds_over_ = message.update_round;
    is_fresh_ = true;
  }
  if (message.cause.status != Status::success) {
    after_error_ = !joined;
    // One that was elsewhere does not know of all that are over.
    rounds_over_ = std::max(rounds_over_, message.update_round);
  }
  phase_ = Phase::member;
  connect_by_.reset();
  needed_.clear();
  want_links(now, out);
  for (const Member& member : view_.members)
    if (wanted_.contains(member.id) && !links_up_.contains(member.id) && !fresh_.contains(member.id))
      note_link(now, member.id, LinkChange::down);
  if (was_guest) out.emplace_back(GroupMembersKnown{});
  if (joined) out.emplace_back(VisitorsKnown{visitors_});
  out.emplace_back(ViewStarted{view_, calls_go_on, cause});
  tell_of_change(before, message.cause, out);
  if (joined) out.emplace_back(ConnectEnded{{Status::success, {}}});
}

/// For a person who watches: who came, and who went and why.
void PeerMachine::tell_of_change(const View& before, const Error& cause, PeerActions& out) const {
  std::vector<const Member*> came;
  std::vector<const Member*> gone;
  for (const Member& member : view_.members)
    if (!before.find(member.id) && before.size() > 0) came.push_back(&member);
  for (const Member& member : before.members)
    if (!view_.find(member.id)) gone.push_back(&member);
  const std::string now_has = "group " + std::to_string(view_.group) + " has " + std::to_string(view_.size()) +
                              " members now, at epoch " + std::to_string(view_.epoch.value);
  if (before.size() == 0) {
    out.emplace_back(LogEvent{LogLevel::notice, "joined", "this peer has joined: " + now_has});
  } else if (!came.empty()) {
    out.emplace_back(LogEvent{LogLevel::notice, "peers-joined", names_in_short(came) + " joined: " + now_has});
  }
  if (!gone.empty())
    out.emplace_back(LogEvent{LogLevel::notice, "peers-lost",
                              "the group lost " + names_in_short(gone) + ": " + now_has +
                                  (cause.status == Status::success ? std::string() : "; " + cause.sentence)});
  if (before.size() > 0 && came.empty() && gone.empty()) {
    const bool is_mismatch = cause.status == Status::mismatch;
    out.emplace_back(LogEvent{is_mismatch ? LogLevel::warning : LogLevel::info,
                              is_mismatch ? "mismatch" : "view-started",
                              is_mismatch ? cause.sentence : now_has + "; " + cause.sentence});
  }
}

void PeerMachine::abort_ops(const Error& cause, bool may_begin_again, PeerActions& out) {
  if (planted(PlantedFault::lost_abort) && ops_.size() == 1 && cause.status == Status::peer_lost) return;
  for (const auto& [key, op] : ops_) out.emplace_back(OpAborted{key, cause, may_begin_again});
  ops_.clear();
  unannounced_.clear_all();
}

void PeerMachine::said(Instant, const RelayCall& message, PeerActions& out) {
  if (phase_ != Phase::member || !is_relay() || message.key.view != view_.id || has_begun(message.key)) return;
  if (ops_.size() >= limits::kOpsInFlightMax) return;
  next_sequence_[message.key.tag] = message.key.sequence + 1;
  ops_[message.key] = {.signature = message.signature, .given = {}};
  out.emplace_back(RelayCalled{message.key, message.signature, basis_of(message.signature.measures)});
}

void PeerMachine::said(Instant, const Committed& message, PeerActions& out) {
  // Of one without relays in its plan it hears nothing else.
  if (is_relay() && message.key.view == view_.id && !has_begun(message.key))
    next_sequence_[message.key.tag] = message.key.sequence + 1;
  const auto found = ops_.find(message.key);
  if (found == ops_.end()) return;
  const OpKey key = found->first;
  const bool optimizes = found->second.signature.collective == Collective::optimize;
  ops_.erase(found);
  unannounced_.clear(key);
  update_round_ = std::max(update_round_, message.updates_made);
  rounds_over_ = std::max({rounds_over_, message.update_round, update_round_});
  after_error_ = false;
  committed_.push_back(key);
  if (committed_.size() > limits::kOutcomesRememberedMax) committed_.pop_front();
  // All members have this from the same commit, before they can begin the next one of the tag: of any tag, if it was
  // an optimize-topology, since nothing runs beside that.
  if (optimizes) {
    basis_ = basis_of(message.measures);
    basis_of_tag_.clear();
  } else if (message.measures == basis_.version) {
    basis_of_tag_.erase(key.tag);
  } else {
    basis_of_tag_[key.tag] = basis_of(message.measures);
  }
  out.emplace_back(OpCommitted{key});
}

void PeerMachine::said(Instant, const UpdateDone& message, PeerActions& out) {
  if (!in_update_) return;
  in_update_ = false;
  is_fresh_ = false;
  update_round_ = message.update_round;
  rounds_over_ = std::max(rounds_over_, update_round_);
  after_error_ = message.error.status != Status::success;
  if (message.error.status == Status::success && !message.was_over) {
    basis_ = basis_of(message.measures);
    basis_of_tag_.clear();
  }
  out.emplace_back(UpdateEnded{message.error});
}

void PeerMachine::said(Instant, const WorldNews& message, PeerActions&) {
  world_ = message.world;
  pending_ = message.pending;
}

void PeerMachine::said(Instant now, const Expelled& message, PeerActions& out) {
  if (!is_superseded(now, message.term, out)) lose(message.error, out);
}

void PeerMachine::said(Instant, const Pong&, PeerActions&) {}

/// Of no use to a member, which did not ask.
void PeerMachine::said(Instant, const RunStatus&, PeerActions&) {}

void PeerMachine::said(Instant, const CommandDone&, PeerActions&) {}

void PeerMachine::said(Instant, const AttestedCollective&, PeerActions&) {}

void PeerMachine::said(Instant, const Straggling& message, PeerActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "straggler", message.sentence});
}

void PeerMachine::said(Instant now, const GroupMembers& message, PeerActions& out) {
  if (phase_ != Phase::joining) return;
  if (!apply(message.members, group_members_))
    return lose_sync(now, "members of the group came as a change of others than were known", out);
  group_secret_ = message.link_secret;
  want_links(now, out);
  note_links_to(now, message.members.came);
  // It asks those that it has links to.
  if (!is_guest()) return;
  GroupMembersKnown known{has_all_links() ? group_members_ : sponsors_of(bounds_.links, group_members_, me_.id)};
  std::erase_if(known.members, [](const Member& member) { return member.is_relay; });
  out.emplace_back(std::move(known));
}

void PeerMachine::said(Instant now, const Visitors& message, PeerActions& out) {
  if (phase_ != Phase::joining && phase_ != Phase::member) return;
  if (!apply(message.visitors, visitors_))
    return lose_sync(now, "visitors came as a change of others than were known", out);
  want_links(now, out);
  note_links_to(now, message.visitors.came);
  if (phase_ == Phase::member) out.emplace_back(VisitorsKnown{visitors_});
}

void PeerMachine::said(Instant, const Measures& message, PeerActions&) {
  if (phase_ != Phase::member || message.view != view_.id) {
    coming_ = std::make_shared<const Measures>(message);
    return;
  }
  if (message.rows.size() != view_.nodes()) return;
  measures_[message.version] = std::make_shared<const Measures>(message);
  if (measures_.size() > kMeasuresKept) measures_.erase(measures_.begin());
}

/// A view begins: its first measures came before it.
void PeerMachine::begin_basis(std::uint64_t version) {
  basis_of_tag_.clear();
  if (coming_ && coming_->view == view_.id && coming_->rows.size() == view_.nodes())
    measures_[coming_->version] = std::move(coming_);
  coming_.reset();
  basis_ = basis_of(version);
}

PlanBasis PeerMachine::basis_of(std::uint64_t version) const {
  if (version == 0) return {};
  const auto found = measures_.find(version);
  // Nobody else plans from that: the members are told that their calls differ, instead of waiting for each other.
  if (found == measures_.end()) return {.version = ~std::uint64_t{0}, .measures = nullptr};
  return {.version = version, .measures = found->second};
}

const PlanBasis& PeerMachine::plan_basis(std::uint64_t tag) const {
  const auto found = basis_of_tag_.find(tag);
  return found == basis_of_tag_.end() ? basis_ : found->second;
}

void PeerMachine::measured(LinkRow row, PeerActions& out) {
  if (phase_ != Phase::member || !has_all_links()) return;
  tell_master(Measured{.view = view_.id, .row = std::move(row)}, out);
}

void PeerMachine::lose(const Error& error, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost) return;
  const bool joining = phase_ == Phase::joining;
  const bool was_guest = is_guest();
  phase_ = joining ? Phase::idle : Phase::lost;
  lost_error_ = error;
  if (master_ != MasterLink::down) out.emplace_back(CloseMaster{"this peer is out of the run"});
  master_ = MasterLink::down;
  redial_at_.reset();
  down_since_.reset();
  connect_by_.reset();
  stay_until_.reset();
  quorums_.clear();
  welcomed_ = tells_links_ = false;
  links_up_.clear();
  detours_.clear();
  delays_us_.clear();
  coming_.reset();
  refused_.clear();
  needed_.clear();
  wanted_.clear();
  fresh_.clear();
  had_all_links_ = true;
  link_news_.clear();
  tell_links_at_.reset();
  group_members_.clear();
  group_secret_ = 0;
  const bool had_visitors = !visitors_.empty();
  visitors_.clear();
  for (const auto& [key, op] : ops_) out.emplace_back(OpAborted{key, error});
  ops_.clear();
  unannounced_.clear_all();
  out.emplace_back(WantLinks{});
  if (was_guest) out.emplace_back(GroupMembersKnown{});
  if (had_visitors) out.emplace_back(VisitorsKnown{});
  if (in_update_) out.emplace_back(UpdateEnded{error});
  in_update_ = false;
  if (joining) out.emplace_back(ConnectEnded{error});
}

void PeerMachine::tick(Instant now, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost) return;
  if (connect_by_ && now >= *connect_by_) {
    lose({Status::timeout, welcomed_ ? "the members did not admit this peer within the connect bound; they "
                                           "do so when all of them call update-topology"
                                         : "the master did not answer within the connect bound" +
                                               (down_reason_.empty() ? "" : ": " + down_reason_)},
         out);
    return;
  }
  if (down_since_ && now >= *down_since_ + bounds_.master_redial) {
    lose({Status::master_unreachable,
          "the master could not be reached for " + std::to_string(whole_milliseconds(bounds_.master_redial)) +
              " ms" + (down_reason_.empty() ? "" : " (" + down_reason_ + ")") +
              "; check that it runs and that its address is right, then connect again"},
         out);
    return;
  }
  if (master_ == MasterLink::up && stay_until_ && now >= *stay_until_) {
    out.emplace_back(info("standby-left", "too few members have come to this master; looking for another one"));
    leave_master(now, "too few members have come to this master", out);
  }
  if (master_ == MasterLink::up) {
    if (now >= silent_at()) {
      out.emplace_back(CloseMaster{"the master is silent"});
      out.emplace_back(LogEvent{LogLevel::info, "master-silent",
                                "the master said nothing for " +
                                    std::to_string(whole_milliseconds(now - heard_at_)) + " ms; dialling it anew"});
      const bool was_good = welcomed_;
      if (!was_good) ++unanswered_;
      master_down(now, "it said nothing for too long", false, out);
      if (was_good) dial(now, out);
    } else if (now >= ping_at_) {
      ping_at_ = now + bounds_.silence / 4;
      tell_master(Ping{}, out);
    }
  }
  if (master_ == MasterLink::dialing && now >= dialed_at_ + dial_patience()) {
    out.emplace_back(CloseMaster{"the master does not answer"});
    master_down(now, "it does not answer", false, out);
  }
  if (master_ == MasterLink::down && redial_at_ && now >= *redial_at_) dial(now, out);
  if (tell_links_at_ && now >= *tell_links_at_) tell_links(out);
  if (tell_unreached_at_ && now >= *tell_unreached_at_) tell_unreached(out);
  while (const auto key = unannounced_.pop_due(now))
    announce(*key, ops_.at(*key), out);
}

/// Well before the master would call this peer silent: a connection that has died is replaced in time, and a new one
/// that is not answered even sooner.
Instant PeerMachine::silent_at() const {
  const Duration longest = bounds_.silence / 2;
  return heard_at_ + (welcomed_ || stay_until_ ? longest : std::min(longest, bounds_.silence / 4 * (1 << std::min(unanswered_, 2))));
}

std::optional<Instant> PeerMachine::next_deadline() const {
  if (phase_ == Phase::idle || phase_ == Phase::lost) return std::nullopt;
  std::optional<Instant> next = earlier(connect_by_, earlier(tell_links_at_, tell_unreached_at_));
  if (down_since_) next = earlier(next, *down_since_ + bounds_.master_redial);
  if (master_ == MasterLink::up) next = earlier(next, earlier(stay_until_, earlier(ping_at_, silent_at())));
  if (master_ == MasterLink::down) next = earlier(next, redial_at_);
  if (master_ == MasterLink::dialing) next = earlier(next, dialed_at_ + dial_patience());
  return earlier(next, unannounced_.next());
}

}  // namespace hawser
