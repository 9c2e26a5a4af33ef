#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// A newcomer says hello: whether it may wait for admission at all, and what it should know of its own settings before
/// anybody dials it.
namespace hawser {
namespace {

/// Whether a peer of that address, which the master sees at `seen`, can be dialled from another machine. One that
/// reached the master over loopback is on its machine: others dial it where they dial the master.
bool can_be_dialled(const Address& address, const std::string& seen) {
  return kind_of(address.host) != HostKind::loopback || kind_of(seen) == HostKind::loopback;
}

/// Terms that differ, with both values; empty if none do.
std::string differing(const std::vector<Term>& mine, const std::vector<Term>& theirs) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string* my_value, const std::string* their_value) {
    const auto quoted = [](const std::string* value) { return value ? "\"" + *value + "\"" : std::string("nothing"); };
    text +=
        (text.empty() ? "" : "; ") + name + " is " + quoted(my_value) + " here and " + quoted(their_value) + " there";
  };
  auto a = mine.begin();
  auto b = theirs.begin();
  while (a != mine.end() || b != theirs.end()) {
    if (b == theirs.end() || (a != mine.end() && a->name < b->name)) {
      add(a->name, &a->value, nullptr);
      ++a;
    } else if (a == mine.end() || b->name < a->name) {
      add(b->name, nullptr, &b->value);
      ++b;
    } else {
      if (a->value != b->value) add(a->name, &a->value, &b->value);
      ++a;
      ++b;
    }
  }
  return text;
}

}  // namespace

void MasterMachine::State::hello(Instant now, ConnectionId connection, const Hello& message, MasterActions& out) {
  const Connection& link = connections_.at(connection);
  if (is_outdated(message.who)) return drop_connection(connection, "the peer has opened a newer connection", out);
  if (const auto known = peers_.find(message.who.id);
      known != peers_.end() && known->second.role != Role::recovering && known->second.who.is_same_peer(message.who))
    return hello_again(now, connection, known->second, message.who, out);
  if (!serves_ && !may_begin(now)) return stand_by(connection, {}, out);
  if (const auto why = hello_comes_too_early(now, message.who)) return drop_connection(connection, *why, out);
  if (const auto error = key_refusal(message.who, link, message.prefetches)) return turn_away(connection, *error, out);
  if (const auto error = newcomer_refusal(message.who)) return turn_away(connection, *error, out);
  if (const auto error = hello_refusal(message.who, link)) return turn_away(connection, *error, out);
  if (message.who.is_relay && message.prefetches)
    return turn_away(connection, {Status::refused, "a relay has no state to prefetch"}, out);
  Peer peer{.who = message.who,
            .seen_host = link.host,
            .source = link.source,
            .connection = {},
            .role = Role::pending,
            .prefetch = message.prefetches ? Prefetch::under_way : Prefetch::none,
            .came_at = now,
            .arrival = arrivals_++};
  const bool is_given = !peer.who.address.host.empty();
  if (!is_given) peer.who.address.host = link.host;
  peer.advertises = is_given;
  if (const auto error = address_refusal(peer)) return turn_away(connection, *error, out);
  ++source(link.source).pending;
  ++pending_;
  Peer& kept = keep_peer(std::move(peer));
  attach(now, connection, kept, out);
  set_role(connection, ConnectionRole::newcomer, out);
  tell(kept, Welcome{.run = run_, .seen_host = kept.seen_host, .term = term_}, out);
  out.emplace_back(LogEvent{LogLevel::info, message.prefetches ? "peer-prefetches" : "peer-pending",
                            name_of(kept) + (message.prefetches ? " fetches state before its admission"
                                                                : " waits for admission")});
  advise_on_address(kept, is_given, out);
  let_party_go(now, message.who, out);
  // Which may have cost this one, too.
  if (const auto found = peers_.find(message.who.id); found != peers_.end()) begin_visit(now, found->second, out);
  maybe_bootstrap(now, out);
}

/// Its connection broke: it keeps its place and its links, or it has been admitted and that message was lost.
void MasterMachine::State::hello_again(Instant now, ConnectionId connection, Peer& peer, const Introduction& who,
                                       MasterActions& out) {
  peer.who.connection = who.connection;
  attach(now, connection, peer, out);
  if (peer.role == Role::pending) set_role(connection, ConnectionRole::newcomer, out);
  tell(peer, Welcome{.run = run_, .seen_host = peer.seen_host}, out);
  if (peer.role == Role::pending) return proof_may_have_changed(now, peer, out);
  promote(peer, out);
  withdraw_vote(peer);
  const Group& group = groups_.at(peer.who.group);
  tell_view(group, {as_member(peer)}, {Status::success, {}}, group.update_round, out);
}

/// What is in its way may be gone soon. It is not told so, and comes again.
std::optional<std::string> MasterMachine::State::hello_comes_too_early(Instant now, const Introduction& who) const {
  if (const auto known = peers_.find(who.id); known != peers_.end() && known->second.role == Role::recovering)
    return "another one came back under that id";
  if (may_be_completed(now, who)) return "its party may be complete again soon, without it";
  return std::nullopt;
}

std::optional<Error> MasterMachine::State::hello_refusal(const Introduction& who, const Connection& connection) const {
  if (auto error = refusal(who)) return error;
  if (peers_.contains(who.id)) return Error{Status::refused, "a peer of the same id is connected; connect again"};
  const auto from = sources_.find(connection.source);
  if (pending_ >= limits::kPendingPeersMax)
    return Error{Status::refused, "too many peers wait for admission; try again later"};
  if (from != sources_.end() &&
      from->second.pending >= limits::share_of_one(limits::kPendingPerSourceMax, limits::kPendingPeersMax, pending_))
    return Error{Status::refused, "too many peers of the address " + connection.host +
                                      " wait for admission; try again later"};
  if (who.is_relay && who.party.exists())
    return Error{Status::refused, "a relay is of no party: it has no tensors"};
  if (const auto error = party_refusal(who)) return error;
  if (who.is_relay) return std::nullopt;
  if (const View* const view = view_of(who.group)) return terms_refusal(who, peers_.at(view->members.front().id).who);
  return std::nullopt;
}

/// What all members of a group have alike is compared with its eldest member.
std::optional<Error> MasterMachine::State::terms_refusal(const Introduction& who, const Introduction& eldest) {
  const std::string text = differing(who.terms, eldest.terms);
  if (text.empty()) return std::nullopt;
  return Error{Status::refused, "this peer has other settings than the members of group " +
                                    std::to_string(who.group) + " (" + eldest.name + "): " + text +
                                    "; give all of them the same settings"};
}

/// Nobody need dial where it is clear that nothing comes of it.
std::optional<Error> MasterMachine::State::address_refusal(const Peer& newcomer) const {
  const Address& address = newcomer.who.address;
  if (kind_of(address.host) == HostKind::any)
    return Error{Status::refused, "this peer's advertise_address is " + address.host +
                                      ", which means every interface of a machine and can't be dialled; give the "
                                      "address by which other machines reach this one, or none"};
  const View* const view = view_of(newcomer.who.group);
  if (!view || can_be_dialled(address, newcomer.seen_host)) return std::nullopt;
  for (const Member& member : view->members) {
    const bool one_machine = member.machine == newcomer.who.machine || member.machine == 0 || newcomer.who.machine == 0;
    if (one_machine || can_be_dialled(member.address, peers_.at(member.id).seen_host)) continue;
    return Error{Status::refused, "this peer, at " + to_string(address) + ", and " + member.name + ", at " +
                                      to_string(member.address) +
                                      ", are on different machines, and each gives an address that only its own can "
                                      "dial; give an advertise_address that other machines reach"};
  }
  return std::nullopt;
}

/// Its settings work, but perhaps not as they were meant.
void MasterMachine::State::advise_on_address(const Peer& newcomer, bool is_given, MasterActions& out) const {
  if (!is_given) return;
  const std::string& host = newcomer.who.address.host;
  const HostKind kind = kind_of(host);
  const HostKind seen = kind_of(newcomer.seen_host);
  std::string what;
  if (!can_be_dialled(newcomer.who.address, newcomer.seen_host))
    what = "can be dialled on this machine only";
  else if (kind == HostKind::local && seen == HostKind::global)
    what = "is of a private network, and the master sees this peer at " + newcomer.seen_host;
  else
    return;
  tell(newcomer,
       Notice{
           "the advertise_address " + host + " " + what +
           ": peers elsewhere can't dial it, and are dialled by this one; where that fails too, it is refused. Give an "
           "advertise_address that other machines reach, or none"},
       out);
}

}  // namespace hawser
