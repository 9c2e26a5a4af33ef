#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "membership/master_state.hpp"

/// What members have signed of their contributions to the latest collectives, in the memory of this master.
namespace hawser {

void MasterMachine::State::keep_attestations(const Group& group, const OpKey& key, const Op& op) {
  Attested kept{.what = {.key = key, .signature = op.signature, .group = group.view.group}, .at = op.last_call};
  for (std::uint32_t rank = 0; rank < group.view.size(); ++rank) {
    const auto found = op.attestations.find(rank);
    kept.what.members.push_back(
        {.member = group.view.members[rank],
         .attestation = found == op.attestations.end() ? std::nullopt : std::optional(found->second),
         .is_late = op.attested_late.contains(rank)});
  }
  attestations_kept_ += kept.what.members.size();
  attested_.push_back(std::move(kept));
  while (attested_.size() > limits::kAttestedCollectivesMax || attestations_kept_ > limits::kAttestationsKeptMax)
    forget_attestations();
}

/// The oldest ones of the group that has most: no group takes the place of others.
void MasterMachine::State::forget_attestations() {
  std::map<std::uint32_t, std::size_t> members;
  for (const Attested& one : attested_) members[one.what.group] += one.what.members.size();
  const auto most = std::max_element(members.begin(), members.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto oldest = std::find_if(attested_.begin(), attested_.end(),
                                   [&](const Attested& one) { return one.what.group == most->first; });
  attestations_kept_ -= oldest->what.members.size();
  attested_.erase(oldest);
}

/// It may have been signed in time, and lost with a connection: that cannot be told from one that was not.
void MasterMachine::State::attested_late(PeerId peer, const Begun& message) {
  const auto kept = std::find_if(attested_.rbegin(), attested_.rend(),
                                 [&](const Attested& one) { return one.what.key == message.key; });
  if (kept == attested_.rend() || !message.attestation) return;
  for (AttestedCollective::Entry& one : kept->what.members)
    if (one.member.id == peer && !one.attestation) {
      one.attestation = message.attestation;
      one.is_late = true;
    }
}

std::vector<AttestedCollective> MasterMachine::State::attested() const {
  std::vector<AttestedCollective> all;
  for (const Attested& one : attested_) all.push_back(one.what);
  return all;
}

void MasterMachine::State::tell_attestations(Instant now, ConnectionId connection, std::uint32_t wanted,
                                             MasterActions& out) const {
  std::size_t told = 0;
  for (auto one = attested_.rbegin(); one != attested_.rend() && wanted > 0; ++one, --wanted) {
    told += one->what.members.size();
    if (told > limits::kAttestationsToldMax) return;
    AttestedCollective message = one->what;
    message.age_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(whole_milliseconds(now - one->at), 0));
    out.emplace_back(SendToPeer{connection, std::move(message)});
  }
}

}  // namespace hawser
