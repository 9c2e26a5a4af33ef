#include <algorithm>
#include <map>
#include <set>

#include "base/planted_fault.hpp"
#include "membership/master_state.hpp"

/// Parties: peers of which each is of no use without the others, such as the ranks that hold the shards of one
/// replica. They are admitted together; when a member is lost, so are its companions; and when one of them comes
/// in anew, the others have to, unless nobody of the party is missing. One that leaves by itself takes nobody along:
/// the others are about to.
namespace hawser {

/// Takes up a peer that is not known yet.
MasterMachine::State::Peer& MasterMachine::State::keep_peer(Peer peer) {
  const PeerId id = peer.who.id;
  if (peer.who.party.exists()) parties_[peer.who.party.id].insert(id);
  return peers_[id] = std::move(peer);
}

/// Drops those whose companions are not all among them, or whose party has members.
void MasterMachine::State::keep_whole_parties(std::vector<const Peer*>& newcomers) const {
  std::map<PartyId, std::uint32_t> present;
  for (const Peer* const peer : newcomers)
    if (peer->who.party.exists()) ++present[peer->who.party.id];
  for (auto& [party, count] : present) {
    const std::set<PeerId>& all = parties_.at(party);
    if (std::any_of(all.begin(), all.end(), [&](PeerId id) { return peers_.at(id).role == Role::member; })) count = 0;
  }
  std::erase_if(newcomers, [&](const Peer* peer) {
    const Party& party = peer->who.party;
    return party.exists() && present.at(party.id) < party.size;
  });
}

/// Those of its party that are in a view, or were when the master was lost.
std::vector<PeerId> MasterMachine::State::companions_of(const Introduction& who) const {
  std::vector<PeerId> companions;
  const auto party = who.party.exists() ? parties_.find(who.party.id) : parties_.end();
  if (party == parties_.end()) return companions;
  for (const PeerId id : party->second)
    if (id != who.id && peers_.at(id).role != Role::pending) companions.push_back(id);
  return companions;
}

void MasterMachine::State::add_companions(std::vector<Loss>& losses) const {
  if (planted(PlantedFault::lone_survivor)) return;
  std::set<PeerId> known;
  for (const Loss& loss : losses) known.insert(loss.peer);
  const std::size_t count = losses.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = peers_.find(losses[i].peer);
    // A former member that is not back for good has nobody yet who is lost with it.
    if (found == peers_.end() || found->second.role != Role::member) continue;
    if (losses[i].for_it.status == Status::closed) continue;
    const std::string name = name_of(losses[i].peer);
    const Party& party = found->second.who.party;
    std::vector<PeerId> companions = companions_of(found->second.who);
    std::erase_if(companions, [&](PeerId id) {
      const Peer& other = peers_.at(id);
      return other.role != Role::member || other.who.party != party;
    });
    // Where somebody came back to a restarted master in a party's name, nobody knows whose party it is.
    if (companions.size() >= party.size) continue;
    for (const PeerId companion : companions)
      if (known.insert(companion).second)
        losses.push_back({.peer = companion,
                          .for_it = {Status::expelled, name + ", of this peer's party, was lost: " +
                                                           losses[i].for_others +
                                                           "; a party comes in as a whole: connect again"},
                          .for_others = "its party lost " + name});
  }
}

/// Whether members of its party that are not here may come back. Anybody may name a party: its members are not lost for
/// that.
bool MasterMachine::State::may_be_completed(Instant now, const Introduction& newcomer) const {
  const std::vector<PeerId> companions = companions_of(newcomer);
  if (companions.empty()) return false;
  return recovering_ || now < settled_at_ ||
         std::any_of(companions.begin(), companions.end(), [&](PeerId id) { return !hears(peers_.at(id)); });
}

/// A party of which nobody is missing can't be taken, nor can its size be changed.
std::optional<Error> MasterMachine::State::party_refusal(const Introduction& who) const {
  std::uint32_t present = 0;
  for (const PeerId id : companions_of(who)) {
    const Peer& companion = peers_.at(id);
    if (companion.who.party.size != who.party.size)
      return Error{Status::refused, "this peer's party has " + std::to_string(companion.who.party.size) +
                                        " peers, and this peer says " + std::to_string(who.party.size) +
                                        "; give the same party_size to all peers of a party"};
    ++present;
  }
  if (present < who.party.size || !who.party.exists()) return std::nullopt;
  return Error{Status::refused, "this peer's party has all of its " + std::to_string(who.party.size) +
                                    " peers; draw another number for another party"};
}

/// Somebody of a party comes in anew, for a reason that the master may not know (a former one had lost it).
void MasterMachine::State::let_party_go(Instant now, const Introduction& newcomer, MasterActions& out) {
  std::vector<Loss> losses;
  for (const PeerId companion : companions_of(newcomer))
    losses.push_back({.peer = companion,
                      .for_it = {Status::expelled, newcomer.name + ", of this peer's party, has to come in anew; a "
                                                                   "party comes in as a whole: connect again"},
                      .for_others = newcomer.name + ", of its party, comes in anew"});
  if (!losses.empty()) lose_all(now, std::move(losses), out);
}

/// Nobody comes back to the run of a former master any more. Where a part of a party is back, those of it who came in
/// anew before that was known would wait for ever. So the party comes in as a whole, unless it is whole already.
void MasterMachine::State::settle_parties(Instant now, MasterActions& out) {
  std::vector<PeerId> anew;
  for (const auto& [id, peer] : peers_)
    if (peer.role == Role::pending && !companions_of(peer.who).empty()) anew.push_back(id);
  for (const PeerId id : anew) {
    const auto found = peers_.find(id);
    if (found == peers_.end() || found->second.role != Role::pending) continue;
    const Introduction who = found->second.who;
    if (const auto refusal = party_refusal(who))
      dismiss(id, *refusal, true, out);
    else
      let_party_go(now, who, out);
  }
}

}  // namespace hawser
