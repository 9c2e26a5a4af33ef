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
         .attestation = found == op.attestations.end() ? std::nullopt : std::optional(found->second)});
  }
  attestations_kept_ += kept.what.members.size();
  attested_.push_back(std::move(kept));
  while (attested_.size() > limits::kAttestedCollectivesMax || attestations_kept_ > limits::kAttestationsKeptMax) {
    attestations_kept_ -= attested_.front().what.members.size();
    attested_.pop_front();
  }
}

/// It was signed in time, but what carried it was lost with a connection.
void MasterMachine::State::attested_late(PeerId peer, const Begun& message) {
  const auto kept = std::find_if(attested_.rbegin(), attested_.rend(),
                                 [&](const Attested& one) { return one.what.key == message.key; });
  if (kept == attested_.rend() || !message.attestation) return;
  for (AttestedCollective::Entry& one : kept->what.members)
    if (one.member.id == peer && !one.attestation) one.attestation = message.attestation;
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
