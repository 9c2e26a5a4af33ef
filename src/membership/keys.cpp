#include <algorithm>
#include <vector>

#include "base/limits.hpp"
#include "base/loggable_text.hpp"
#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// Runs with keys: what the holder of a key may do, and what operators change about that. Who holds a key has been
/// proven before the first message (Authenticated). From then on a peer is who it says it is only with the key that it
/// had.
namespace hawser {

void MasterMachine::State::on(Instant, const Authenticated& event, MasterActions& out) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  if (const auto why = denial(rules_, event.badge); why && !planted(PlantedFault::open_ban))
    return turn_away(event.connection, {Status::refused, *why + "; ask the run's operator"}, out);
  found->second.badge = event.badge;
}

/// With what its connection has proven. A key that was issued names its holder: others cannot take that name.
Introduction MasterMachine::State::proven(const Introduction& who, const Connection& connection) const {
  Introduction made = who;
  if (!connection.badge) return made;
  const Badge& badge = *connection.badge;
  if (!planted(PlantedFault::any_key)) made.key = badge.key;
  if (badge.holds_secret || who.name == badge.name) return made;
  made.name = make_loggable(badge.name + "/" + who.name, limits::kNameBytesMax);
  return made;
}

std::optional<Error> MasterMachine::State::key_refusal(const Introduction& who, const Connection& connection,
                                                       bool prefetches) const {
  if (!connection.badge) return std::nullopt;
  const Badge& badge = *connection.badge;
  const auto refused = [](const std::string& why) { return Error{Status::refused, why}; };
  if (badge.role == hawser::Role::observer)
    return refused("the key of " + badge.name + " is an observer's: it may ask for the status, and nothing else");
  const bool only_reads = badge.role == hawser::Role::reader || badge.role == hawser::Role::newcomer;
  if (only_reads && !prefetches && !may_be_member(rules_, badge))
    return refused("the key of " + badge.name + " is a " + role_name(badge.role) +
                   "'s: it may fetch the state (connect with a prefetch), and is no member");
  if (const auto why = denial(rules_, badge, who.group)) return refused(*why + "; ask the run's operator");
  return std::nullopt;
}

/// Of whom this master has not had. Members that a restarted one does not know yet are none: they say Resume.
std::optional<Error> MasterMachine::State::newcomer_refusal(const Introduction& who) const {
  const auto refused = [](const std::string& why) { return Error{Status::refused, why}; };
  const auto known = peers_.find(who.id);
  if (known != peers_.end() && known->second.who.is_same_peer(who)) return std::nullopt;
  if (rules_.draining) return refused("an operator drains this run: it takes no newcomers");
  const std::size_t others = world().size + pending_;
  if (rules_.members_max != 0 && others >= rules_.members_max)
    return refused("this run has its " + std::to_string(rules_.members_max) +
                   " members, newcomers counted; try again later");
  return std::nullopt;
}

bool MasterMachine::State::may_see_status(const Connection& connection) {
  if (!connection.badge) return true;
  const hawser::Role role = connection.badge->role;
  return role == hawser::Role::observer || role == hawser::Role::member || role == hawser::Role::run_operator;
}

bool MasterMachine::State::may_be_admitted(const Peer& peer) const {
  return !peer.badge || may_be_member(rules_, *peer.badge);
}

void MasterMachine::State::carry_out(Instant now, ConnectionId connection, const OperatorCommand& command,
                                     MasterActions& out) {
  if (const auto error = version_refusal("the operator's command", command.protocol_version))
    return turn_away(connection, *error, out);
  const auto& badge = connections_.at(connection).badge;
  if (!badge)
    return turn_away(connection,
                     {Status::refused,
                      "this run has no keys, so it has no operators: start the master with "
                      "a secret_file"},
                     out);
  if (badge->role != hawser::Role::run_operator)
    return turn_away(connection, {Status::refused, "the key of " + badge->name + " has the role " +
                                                       role_name(badge->role) + "; commands need an operator's key"},
                     out);
  const std::string by = badge->name + " (key " + to_string(badge->key) + ")";
  const AdmissionRules before = rules_;
  const std::size_t first = out.size();
  const auto done = apply_command(now, command, by, out);
  // What is answered outlives the master: the rules are kept first.
  if (rules_ != before) out.insert(out.begin() + static_cast<std::ptrdiff_t>(first), KeepRules{rules_});
  const std::size_t answer_at = first + (rules_ != before ? 1 : 0);
  if (!connections_.contains(connection)) return;
  if (!done)
    return turn_away(connection,
                     {Status::refused, "'" + command.argument + "' is no key: a key has 64 hexadecimal digits; hawser "
                                       "status shows those of all peers"},
                     out);
  // Before those that it removes are told, so that an operator who removes itself hears of it.
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(answer_at), SendToPeer{connection, CommandDone{*done}});
  out.emplace_back(LogEvent{LogLevel::notice, "operator-command", by + ": " + *done});
  out.emplace_back(CloseConnection{connection, "its command was carried out"});
  detach(connection);
}

/// What it came to; none: its argument is no key.
std::optional<std::string> MasterMachine::State::apply_command(Instant now, const OperatorCommand& command,
                                                               const std::string& by, MasterActions& out) {
  std::string done;
  const auto key = parse_key_id(command.argument);
  const auto count_text = [](std::size_t count) {
    return count == 1 ? std::string("1 peer was removed") : std::to_string(count) + " peers were removed";
  };
  switch (command.verb) {
    case OperatorVerb::kick: {
      const std::string& name = command.argument;
      const auto named = [&](const Peer& peer) {
        return peer.who.name == name || (peer.badge && peer.badge->name == name) || (key && peer.who.key == *key);
      };
      const std::size_t removed = remove_holders(
          now, named, {Status::expelled, "an operator, " + by + ", removed this peer; connect again to rejoin"},
          "an operator removed it", out);
      done = "kick " + name + ": " + count_text(removed);
      break;
    }
    case OperatorVerb::ban: {
      if (!key) return std::nullopt;
      rules_.denied_keys.insert(*key);
      rules_.admitted_keys.erase(*key);
      const std::size_t removed = remove_holders(
          now, [&](const Peer& peer) { return peer.who.key == *key; },
          {Status::expelled, "an operator, " + by + ", banned the key of this peer"}, "an operator banned its key",
          out);
      drop_unintroduced(*key, out);
      return "ban " + command.argument + ": " + count_text(removed);
    }
    case OperatorVerb::unban:
      if (!key) return std::nullopt;
      done = "unban " + command.argument + (rules_.denied_keys.erase(*key) > 0 ? "" : ": it was not banned");
      break;
    case OperatorVerb::admit:
      if (!key) return std::nullopt;
      rules_.admitted_keys.insert(*key);
      done = "admit " + command.argument;
      // A run that waits for its first members may have them now.
      maybe_bootstrap(now, out);
      break;
    case OperatorVerb::drain:
      rules_.draining = true;
      done = "drain: no newcomers from now on";
      break;
    case OperatorVerb::end_drain:
      rules_.draining = false;
      done = "drain --end: newcomers are taken again";
      break;
  }
  return done;
}

/// Members, peers that wait, and those that come back.
std::size_t MasterMachine::State::remove_holders(Instant now, const std::function<bool(const Peer&)>& which,
                                                 const Error& error, const std::string& for_others,
                                                 MasterActions& out) {
  std::vector<Loss> losses;
  for (const auto& [id, peer] : peers_)
    if (which(peer)) losses.push_back({.peer = id, .for_it = error, .for_others = for_others});
  const std::size_t count = losses.size();
  if (count > 0) lose_all(now, std::move(losses), out);
  return count;
}

/// Connections of that key that are no peer's yet.
void MasterMachine::State::drop_unintroduced(const KeyId& key, MasterActions& out) {
  std::vector<ConnectionId> dropped;
  for (const auto& [id, connection] : connections_)
    if (!connection.peer && connection.badge && connection.badge->key == key &&
        connection.badge->role != hawser::Role::run_operator)
      dropped.push_back(id);
  for (const ConnectionId id : dropped) drop_connection(id, "its key was banned", out);
}

}  // namespace hawser
