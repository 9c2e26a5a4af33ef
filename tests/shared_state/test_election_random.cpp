#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "shared_state/election.hpp"

// Random groups, and what must hold of every election whatever it comes to.

namespace hawser {
namespace {

using Members = std::vector<SharedStateMember>;

Members random_members(Random& random) {
  const std::uint64_t tensors = random.below(6);
  const std::uint64_t variants = 1 + random.below(3);
  const std::uint64_t base = random.below(20);
  const bool runs_already = random.chance(1, 2);
  const bool plain = random.chance(1, 2);
  std::vector<bool> may_differ(tensors);
  for (std::size_t i = 0; i < tensors; ++i) may_differ[i] = random.chance(1, 4);
  Members members;
  for (std::uint64_t i = 1 + random.below(8); i > 0; --i) {
    Manifest manifest{.revision = base + random.below(plain ? 2 : 4)};
    if (runs_already && random.chance(3, 4)) manifest.agreed_revision = base + random.below(2);
    if (!plain) manifest.strategy = static_cast<SyncStrategy>(random.below(3));
    for (std::size_t tensor = 0; tensor < tensors; ++tensor)
      manifest.tensors.push_back({.name = "t" + std::to_string(tensor),
                                  .count = 1000 * tensor,
                                  .digest = {.low = tensor, .high = random.below(variants)},
                                  .allow_content_inequality = may_differ[tensor]});
    if (tensors > 0 && random.chance(1, 40)) ++manifest.tensors[random.below(tensors)].count;
    members.push_back({.peer = "peer-" + std::to_string(i), .manifest = std::move(manifest)});
  }
  return members;
}

/// What a member believes that has everybody's manifests from the wire.
Members as_received(const Members& members) {
  Members received;
  for (const SharedStateMember& member : members) {
    const auto manifest = decode_manifest(encode_manifest(member.manifest));
    REQUIRE(manifest.ok());
    received.push_back({.peer = member.peer, .manifest = *manifest});
  }
  return received;
}

std::vector<Digest128> strict_content(const Manifest& manifest) {
  std::vector<Digest128> content;
  for (const TensorEntry& entry : manifest.tensors)
    if (!entry.allow_content_inequality) content.push_back(entry.digest);
  return content;
}

/// The digests that a member has after the synchronisation, and what holds of every fetch on the way.
void check_outcome(const Members& members, const Election& election) {
  const Manifest& model = members[election.model].manifest;
  REQUIRE(model.revision == election.revision);
  REQUIRE(model.strategy != SyncStrategy::receive_only);
  auto after = members;
  std::set<std::uint32_t> fetched;
  for (const TensorFetch& fetch : election.fetches) {
    REQUIRE(fetched.insert(fetch.tensor).second);
    REQUIRE_FALSE(fetch.holders.empty());
    REQUIRE_FALSE(fetch.receivers.empty());
    REQUIRE(std::is_sorted(fetch.holders.begin(), fetch.holders.end()));
    REQUIRE(std::is_sorted(fetch.receivers.begin(), fetch.receivers.end()));
    for (const std::uint32_t holder : fetch.holders) {
      REQUIRE(members[holder].manifest.tensors[fetch.tensor].digest == fetch.digest);
      REQUIRE(members[holder].manifest.strategy != SyncStrategy::receive_only);
    }
    for (const std::uint32_t receiver : fetch.receivers) {
      TensorEntry& entry = after[receiver].manifest.tensors[fetch.tensor];
      REQUIRE(members[receiver].manifest.strategy != SyncStrategy::send_only);
      REQUIRE(entry.digest != fetch.digest);
      entry.digest = fetch.digest;
    }
  }
  for (std::uint32_t rank = 0; rank < after.size(); ++rank) {
    const Manifest& manifest = after[rank].manifest;
    REQUIRE(strict_content(manifest) == strict_content(model));
    if (manifest.revision != election.revision) REQUIRE(manifest.tensors == model.tensors);
    REQUIRE((manifest.tensors == members[rank].manifest.tensors) == tensors_to_fetch(election, rank).empty());
  }
}

/// Revision and votes by brute force, where nobody is send_only and nobody has agreed on anything.
void check_popularity(const Members& members, const Election& election) {
  std::uint64_t highest = 0;
  for (const auto& member : members)
    if (member.manifest.strategy != SyncStrategy::receive_only)
      highest = std::max(highest, member.manifest.revision);
  REQUIRE(election.revision == highest);
  std::map<std::vector<Digest128>, std::uint32_t> votes;
  for (const auto& member : members)
    if (member.manifest.strategy != SyncStrategy::receive_only && member.manifest.revision == highest)
      ++votes[strict_content(member.manifest)];
  const auto of_model = votes.at(strict_content(members[election.model].manifest));
  REQUIRE(election.supporters == of_model);
  for (const auto& [content, count] : votes) REQUIRE(count <= of_model);
  for (std::uint32_t rank = 0; rank < election.model; ++rank) {
    const Manifest& manifest = members[rank].manifest;
    if (manifest.strategy != SyncStrategy::receive_only && manifest.revision == highest)
      REQUIRE(votes.at(strict_content(manifest)) < of_model);
  }
}

std::optional<std::uint64_t> agreed_of(const Members& members) {
  std::optional<std::uint64_t> agreed;
  for (const auto& member : members)
    if (member.manifest.agreed_revision)
      agreed = std::max(agreed.value_or(0), *member.manifest.agreed_revision);
  return agreed;
}

}  // namespace

TEST_CASE("every election of random groups holds what it promises, and everybody computes the same") {
  Random random(20262);
  int succeeded = 0;
  int failed = 0;
  int settled = 0;
  for (int round = 0; round < 30000; ++round) {
    const Members members = random_members(random);
    const auto election = elect(members);
    const auto elsewhere = elect(as_received(members));
    REQUIRE(election.ok() == elsewhere.ok());

    std::vector<ManifestSummary> summaries;
    for (const auto& member : members) summaries.push_back(summarize(member.manifest));
    const bool is_settled = settled_by_summaries(summaries);
    settled += is_settled ? 1 : 0;
    if (is_settled) {
      REQUIRE(election.ok());
      REQUIRE(election->fetches.empty());
      REQUIRE(election->revision == summaries.front().revision);
    }
    if (!election.ok()) {
      ++failed;
      REQUIRE(election.error() == elsewhere.error());
      REQUIRE(election.status() == Status::mismatch);
      continue;
    }
    ++succeeded;
    REQUIRE(*election == *elsewhere);
    check_outcome(members, *election);
    const auto agreed = agreed_of(members);
    if (agreed) REQUIRE((election->revision <= *agreed || election->revision - *agreed == 1));
    const bool any_send_only = std::any_of(members.begin(), members.end(), [](const auto& member) {
      return member.manifest.strategy == SyncStrategy::send_only;
    });
    if (!agreed && !any_send_only) check_popularity(members, *election);
  }
  // The generator reaches all of it.
  CHECK(succeeded > 5000);
  CHECK(failed > 5000);
  CHECK(settled > 300);
}

TEST_CASE("whether an election succeeds, and at which revision, does not depend on the ranks") {
  Random random(20263);
  for (int round = 0; round < 5000; ++round) {
    Members members = random_members(random);
    const auto election = elect(members);
    for (std::size_t i = members.size(); i > 1; --i) std::swap(members[i - 1], members[random.below(i)]);
    const auto shuffled = elect(members);
    REQUIRE(election.ok() == shuffled.ok());
    if (!election.ok()) continue;
    REQUIRE(election->revision == shuffled->revision);
    REQUIRE(election->supporters == shuffled->supporters);
    check_outcome(members, *shuffled);
  }
}

TEST_CASE("who has synchronised finds everything settled") {
  Random random(20264);
  for (int round = 0; round < 5000; ++round) {
    Members members = random_members(random);
    const auto election = elect(members);
    if (!election.ok()) continue;
    for (const TensorFetch& fetch : election->fetches)
      for (const std::uint32_t rank : fetch.receivers)
        members[rank].manifest.tensors[fetch.tensor].digest = fetch.digest;
    std::vector<ManifestSummary> summaries;
    for (auto& member : members) {
      member.manifest.agreed_revision = election->revision;
      member.manifest.revision = election->revision;
      summaries.push_back(summarize(member.manifest));
    }
    REQUIRE(settled_by_summaries(summaries));
    for (ManifestSummary& summary : summaries) ++summary.revision;
    REQUIRE(settled_by_summaries(summaries));
    for (ManifestSummary& summary : summaries) ++summary.revision;
    REQUIRE_FALSE(settled_by_summaries(summaries));
  }
}

}  // namespace hawser
