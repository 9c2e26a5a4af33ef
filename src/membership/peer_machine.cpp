#include "membership/peer_machine.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/planted_fault.hpp"

namespace hawser {
namespace {

constexpr Duration kTellDelay = milliseconds(2);
constexpr Duration kBackoffMin = milliseconds(50);
constexpr Duration kBackoffMax = milliseconds(500);
/// Versions of measures: commits name the newest, or one that was newest when this peer was away.
constexpr std::size_t kMeasuresKept = 16;

LogEvent info(const char* what, std::string text) { return {LogLevel::info, what, std::move(text)}; }

}  // namespace

Error PeerMachine::not_a_member() const {
  switch (phase_) {
    case Phase::member: return {Status::success, {}};
    case Phase::lost: return lost_error_;
    case Phase::idle:
    case Phase::joining: break;
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
  pending_told_ = false;
  proposed_.reset();
  prepare_by_.reset();
  committed_.clear();
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
  if (pending_told_) tell_master(PrefetchOver{}, out);
}

void PeerMachine::dial(Instant now, PeerActions& out) {
  redial_at_.reset();
  dialed_at_ = now;
  master_ = MasterLink::dialing;
  out.emplace_back(DialMaster{});
}

Result<OpKey> PeerMachine::begin(Instant now, std::uint64_t tag, const Signature& signature) {
  if (Error error = not_a_member(); error.status != Status::success) return error;
  if (view_.size() < 2)
    return Error{Status::too_few_peers,
                 "this peer is alone in group " + std::to_string(view_.group) +
                     "; call update-topology until another peer has joined, then call again"};
  const OpKey key{.epoch = view_.epoch, .view = view_.id, .tag = tag, .sequence = next_sequence_[tag]++};
  ops_[key] = {.signature = signature, .tell_at = now + kTellDelay};
  return key;
}

void PeerMachine::update_topology(Instant, PeerActions& out) {
  HAWSER_ASSERT(phase_ == Phase::member);
  in_update_ = true;
  tell_master(UpdateCall{}, out);
}

void PeerMachine::leave(PeerActions& out) {
  if (phase_ == Phase::member || phase_ == Phase::joining) tell_master(Leave{}, out);
  lose({Status::closed, "this communicator was closed while the call waited"}, out);
}

void PeerMachine::result_whole(const OpKey& key, PeerActions& out) {
  const auto found = ops_.find(key);
  HAWSER_ASSERT(found != ops_.end());
  found->second.reported = true;
  found->second.told = true;
  tell_master(Report{.key = key, .signature = found->second.signature}, out);
}

void PeerMachine::complain(Complaint complaint, PeerActions& out) { tell_master(std::move(complaint), out); }

void PeerMachine::tell_master(PeerMessage message, PeerActions& out) {
  if (master_ == MasterLink::up) out.emplace_back(SendMaster{std::move(message)});
}

void PeerMachine::master_up(Instant now, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost) {
    out.emplace_back(CloseMaster{"no longer needed"});
    return;
  }
  master_ = MasterLink::up;
  heard_at_ = now;
  ping_at_ = now + bounds_.silence / 4;
  redial_at_.reset();
  if (phase_ == Phase::joining) {
    tell_master(Hello{.who = me_, .prefetches = prefetch_}, out);
  } else {
    tell_master(resume(), out);
    for (auto& [key, op] : ops_) op.told = true;
    out.emplace_back(info("resume-sent", "the master is back; this peer resumes at epoch " +
                                             std::to_string(view_.epoch.value)));
  }
}

Resume PeerMachine::resume() const {
  Resume message{.who = me_, .run = run_, .view = view_, .undecided = {}, .committed = {}, .in_update = in_update_, .update_round = update_round_};
  for (const auto& [key, op] : ops_)
    message.undecided.push_back({.key = key, .signature = op.signature, .reported = op.reported});
  message.committed.assign(committed_.begin(), committed_.end());
  return message;
}

void PeerMachine::master_down(Instant now, const std::string& reason, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost || master_ == MasterLink::down) return;
  if (master_ == MasterLink::up) {
    out.emplace_back(info("master-connection-lost", "the connection to the master broke: " + reason));
    backoff_ = kBackoffMin;
  }
  if (!down_since_) down_since_ = now;
  down_reason_ = reason;
  master_ = MasterLink::down;
  pending_told_ = false;
  // A prepared view dies with the master that proposed it.
  proposed_.reset();
  prepare_by_.reset();
  redial_at_ = now + backoff_;
  backoff_ = std::min(backoff_ * 2, kBackoffMax);
}

void PeerMachine::master_said(Instant now, const MasterMessage& message, PeerActions& out) {
  if (master_ != MasterLink::up) return;
  heard_at_ = now;
  std::visit([&](const auto& one) { said(now, one, out); }, message);
}

void PeerMachine::said(Instant, const Welcome& message, PeerActions& out) {
  run_ = message.run;
  down_since_.reset();
  if (phase_ != Phase::joining) return;
  // A master may welcome a newcomer twice on one connection, but needs this once.
  if (prefetch_over_ && !pending_told_) tell_master(PrefetchOver{}, out);
  pending_told_ = true;
  if (me_.address.host.empty()) me_.address.host = message.seen_host;
  out.emplace_back(info("pending", prefetch_ && !prefetch_over_
                                       ? "known to the master; fetching state before the members admit this peer"
                                       : "known to the master; waiting for the members to admit this peer"));
}

void PeerMachine::said(Instant, const Refused& message, PeerActions& out) { lose(message.error, out); }

void PeerMachine::said(Instant now, const Prepare& message, PeerActions& out) {
  if (!message.view.find(me_.id)) return;
  if (phase_ == Phase::member && message.view.epoch <= view_.epoch) return;
  proposed_ = message.view;
  prepare_by_ = now + bounds_.link_open;
  want_links(out);
  if (missing_links().empty()) answer_prepare(out);
}

std::vector<PeerId> PeerMachine::missing_links() const {
  std::vector<PeerId> missing;
  for (const Member& member : proposed_->members)
    if (member.id != me_.id && !view_.find(member.id) && !links_up_.contains(member.id))
      missing.push_back(member.id);
  return missing;
}

void PeerMachine::answer_prepare(PeerActions& out) {
  prepare_by_.reset();
  tell_master(Prepared{.view = proposed_->id, .unreachable = missing_links()}, out);
}

void PeerMachine::want_links(PeerActions& out) {
  WantLinks wanted;
  const auto add = [&](const std::vector<Member>& peers) {
    for (const Member& member : peers) {
      const bool known = std::any_of(wanted.peers.begin(), wanted.peers.end(),
                                     [&](const auto& wish) { return wish.peer.id == member.id; });
      if (member.id != me_.id && !known) wanted.peers.push_back({.peer = member, .dial = me_.id < member.id});
    }
  };
  if (is_guest()) {
    wanted.secret = hosts_.link_secret;
    add(hosts_.members);
  }
  if (phase_ == Phase::member) {
    wanted.secret = view_.link_secret;
    add(view_.members);
    add(guests_);
  }
  if (proposed_) {
    wanted.secret = proposed_->link_secret;
    add(proposed_->members);
  }
  const bool secret_changed = secret_ != wanted.secret;
  secret_ = wanted.secret;
  std::erase_if(links_up_, [&](PeerId peer) {
    return secret_changed || std::none_of(wanted.peers.begin(), wanted.peers.end(),
                        [&](const auto& wish) { return wish.peer.id == peer; });
  });
  out.emplace_back(std::move(wanted));
}

void PeerMachine::said(Instant, const StartView& message, PeerActions& out) {
  const View& next = message.view;
  world_ = message.world;
  if (!next.find(me_.id)) return;
  if (phase_ == Phase::member && next.epoch <= view_.epoch) {
    if (next.id != view_.id)
      out.emplace_back(LogEvent{LogLevel::warning, "stale-view", "ignored a view older than the one in force"});
    return;
  }
  abort_ops(message.cause.status == Status::success
                ? Error{Status::peer_lost, "the view changed while the collective was under way; call again"}
                : message.cause,
            out);
  view_ = next;
  next_sequence_.clear();
  measures_.clear();
  basis_ = {};
  basis_of_tag_.clear();
  if (proposed_ && proposed_->epoch <= view_.epoch) {
    proposed_.reset();
    prepare_by_.reset();
  }
  const bool joined = phase_ == Phase::joining;
  const bool was_guest = is_guest();
  hosts_ = {};
  if (joined) update_round_ = message.update_round;
  phase_ = Phase::member;
  connect_by_.reset();
  want_links(out);
  if (was_guest) out.emplace_back(HostsKnown{});
  out.emplace_back(ViewStarted{view_});
  out.emplace_back(info("view-started", "epoch " + std::to_string(view_.epoch.value) + " starts with " +
                                            std::to_string(view_.size()) + " members in group " +
                                            std::to_string(view_.group)));
  if (joined) out.emplace_back(ConnectEnded{{Status::success, {}}});
}

void PeerMachine::abort_ops(const Error& cause, PeerActions& out) {
  if (planted(PlantedFault::lost_abort) && ops_.size() == 1 && cause.status == Status::peer_lost) return;
  for (const auto& [key, op] : ops_) out.emplace_back(OpAborted{key, cause});
  ops_.clear();
}

void PeerMachine::said(Instant, const Committed& message, PeerActions& out) {
  const auto found = ops_.find(message.key);
  if (found == ops_.end()) return;
  const OpKey key = found->first;
  const bool optimizes = found->second.signature.collective == Collective::optimize;
  ops_.erase(found);
  committed_.push_back(key);
  if (committed_.size() > limits::kOutcomesRememberedMax) committed_.pop_front();
  // All members have this from the same word, before they can begin the next one of the tag: of any tag, if it was
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
  update_round_ = message.update_round;
  if (message.error.status == Status::success) {
    basis_ = basis_of(message.measures);
    basis_of_tag_.clear();
  }
  out.emplace_back(UpdateEnded{message.error});
}

void PeerMachine::said(Instant, const WorldNews& message, PeerActions&) {
  world_ = message.world;
  pending_ = message.pending;
}

void PeerMachine::said(Instant, const Expelled& message, PeerActions& out) { lose(message.error, out); }

void PeerMachine::said(Instant, const Pong&, PeerActions&) {}

/// Of no use to a member, which did not ask.
void PeerMachine::said(Instant, const RunStatus&, PeerActions&) {}

void PeerMachine::said(Instant, const Straggling& message, PeerActions& out) {
  out.emplace_back(LogEvent{LogLevel::warning, "straggler", message.sentence});
}

void PeerMachine::said(Instant, const Hosts& message, PeerActions& out) {
  if (!is_guest()) return;
  // A view proposed under another secret is of a run that the master has given up for one that came back.
  if (proposed_ && proposed_->link_secret != message.link_secret) {
    proposed_.reset();
    prepare_by_.reset();
  }
  hosts_ = message;
  want_links(out);
  out.emplace_back(HostsKnown{hosts_.members});
}

void PeerMachine::said(Instant, const Guests& message, PeerActions& out) {
  if (phase_ != Phase::member) return;
  guests_ = message.guests;
  want_links(out);
  out.emplace_back(GuestsKnown{guests_});
}

void PeerMachine::said(Instant, const Measures& message, PeerActions&) {
  if (phase_ != Phase::member || message.view != view_.id || message.rows.size() != view_.size()) return;
  measures_[message.version] = std::make_shared<const Measures>(message);
  if (measures_.size() > kMeasuresKept) measures_.erase(measures_.begin());
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
  if (phase_ != Phase::member || view_.size() > limits::kMeasuredGroupMax) return;
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
  proposed_.reset();
  prepare_by_.reset();
  links_up_.clear();
  hosts_ = {};
  const bool had_guests = !guests_.empty();
  guests_.clear();
  for (const auto& [key, op] : ops_) out.emplace_back(OpAborted{key, error});
  ops_.clear();
  out.emplace_back(WantLinks{});
  if (was_guest) out.emplace_back(HostsKnown{});
  if (had_guests) out.emplace_back(GuestsKnown{});
  if (in_update_) out.emplace_back(UpdateEnded{error});
  in_update_ = false;
  if (joining) out.emplace_back(ConnectEnded{error});
}

void PeerMachine::link_changed(PeerId peer, bool up, PeerActions& out) {
  if (up)
    links_up_.insert(peer);
  else
    links_up_.erase(peer);
  if (proposed_ && prepare_by_ && missing_links().empty()) answer_prepare(out);
}

void PeerMachine::tick(Instant now, PeerActions& out) {
  if (phase_ == Phase::idle || phase_ == Phase::lost) return;
  if (connect_by_ && now >= *connect_by_) {
    lose({Status::timeout, pending_told_ ? "the members did not admit this peer within the connect bound; they "
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
  if (master_ == MasterLink::up) {
    if (now >= heard_at_ + bounds_.silence) {
      out.emplace_back(CloseMaster{"the master is silent"});
      out.emplace_back(LogEvent{LogLevel::warning, "master-silent",
                                "the master said nothing for " +
                                    std::to_string(whole_milliseconds(now - heard_at_)) + " ms; redialling"});
      master_down(now, "it said nothing for too long", out);
    } else if (now >= ping_at_) {
      ping_at_ = now + bounds_.silence / 4;
      tell_master(Ping{}, out);
    }
  }
  if (master_ == MasterLink::dialing && now >= dialed_at_ + bounds_.silence) {
    out.emplace_back(CloseMaster{"the master does not answer"});
    master_down(now, "it does not answer", out);
  }
  if (master_ == MasterLink::down && redial_at_ && now >= *redial_at_) dial(now, out);
  if (prepare_by_ && now >= *prepare_by_) answer_prepare(out);
  for (auto& [key, op] : ops_) {
    if (op.told || now < op.tell_at) continue;
    op.told = true;
    tell_master(Begun{.key = key, .signature = op.signature}, out);
  }
}

std::optional<Instant> PeerMachine::next_deadline() const {
  if (phase_ == Phase::idle || phase_ == Phase::lost) return std::nullopt;
  std::optional<Instant> next = earlier(connect_by_, prepare_by_);
  if (down_since_) next = earlier(next, *down_since_ + bounds_.master_redial);
  if (master_ == MasterLink::up) next = earlier(next, earlier(ping_at_, heard_at_ + bounds_.silence));
  if (master_ == MasterLink::down) next = earlier(next, redial_at_);
  if (master_ == MasterLink::dialing) next = earlier(next, dialed_at_ + bounds_.silence);
  for (const auto& [key, op] : ops_)
    if (!op.told) next = earlier(next, op.tell_at);
  return next;
}

}  // namespace hawser
