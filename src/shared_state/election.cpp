#include "shared_state/election.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/assert.hpp"

namespace hawser {
namespace {

using Members = std::span<const SharedStateMember>;

Error mismatch(std::string sentence) { return {Status::mismatch, std::move(sentence)}; }

std::string describe(const TensorEntry& entry) {
  return std::to_string(entry.count) + " " + to_string(entry.type) +
         (entry.allow_content_inequality ? " that may differ" : "");
}

Error shape_mismatch(const std::string& tensor, const std::string& what) {
  return mismatch("the shared states do not fit together: the tensor \"" + tensor + "\" " + what +
                  "; all members must name the same tensors with the same types, counts and flags");
}

bool same_shape(const TensorEntry& a, const TensorEntry& b) {
  return a.type == b.type && a.count == b.count && a.allow_content_inequality == b.allow_content_inequality;
}

/// The first tensor by name in which the two differ.
Result<void> check_shapes(const SharedStateMember& a, const SharedStateMember& b) {
  auto of_a = a.manifest.tensors.begin();
  auto of_b = b.manifest.tensors.begin();
  const auto end_a = a.manifest.tensors.end();
  const auto end_b = b.manifest.tensors.end();
  for (; of_a != end_a && of_b != end_b && of_a->name == of_b->name; ++of_a, ++of_b)
    if (!same_shape(*of_a, *of_b))
      return shape_mismatch(of_a->name, "is " + describe(*of_a) + " at peer " + a.peer + " and " +
                                            describe(*of_b) + " at peer " + b.peer);
  if (of_a == end_a && of_b == end_b) return {};
  const bool only_a = of_b == end_b || (of_a != end_a && of_a->name < of_b->name);
  return shape_mismatch(
      only_a ? of_a->name : of_b->name,
      "is there at peer " + (only_a ? a : b).peer + " and missing at peer " + (only_a ? b : a).peer);
}

/// The rank whose agreed revision is the run's: the highest, the lowest rank among equals. None in a new run.
template <class Statements, class GetAgreed>
std::optional<std::size_t> keeper_of_agreed(const Statements& statements, GetAgreed agreed_of) {
  std::optional<std::size_t> keeper;
  for (std::size_t rank = 0; rank < statements.size(); ++rank) {
    const std::optional<std::uint64_t>& agreed = agreed_of(statements[rank]);
    if (agreed && (!keeper || *agreed > *agreed_of(statements[*keeper]))) keeper = rank;
  }
  return keeper;
}

bool is_ahead(std::uint64_t revision, std::uint64_t agreed) {
  return revision > agreed && revision - agreed > 1;
}

/// Ranks whose content counts, by rule 2.
Result<std::vector<std::uint32_t>> find_offers(Members members) {
  const auto keeper = keeper_of_agreed(
      members,
      [](const SharedStateMember& member) -> const auto& { return member.manifest.agreed_revision; });
  std::vector<std::uint32_t> offers;
  bool left_out = false;
  std::optional<std::uint32_t> incomplete;
  for (std::uint32_t rank = 0; rank < members.size(); ++rank) {
    const Manifest& manifest = members[rank].manifest;
    if (manifest.strategy == SyncStrategy::receive_only) continue;
    if (manifest.incomplete) {
      incomplete = rank;
      continue;
    }
    if (!keeper || !is_ahead(manifest.revision, *members[*keeper].manifest.agreed_revision)) {
      offers.push_back(rank);
    } else if (manifest.agreed_revision || manifest.strategy == SyncStrategy::send_only) {
      return mismatch("peer " + members[rank].peer + " offers revision " + std::to_string(manifest.revision) +
                      " of the shared state, but the last one agreed on is " +
                      std::to_string(*members[*keeper].manifest.agreed_revision) + " (peer " +
                      members[*keeper].peer + "): a revision may grow by one at most");
    } else {
      left_out = true;
    }
  }
  if (!offers.empty()) return offers;
  if (incomplete)
    return mismatch("nobody offers a complete shared state: whoever had it was lost while peer " +
                    members[*incomplete].peer +
                    " was receiving it; load a checkpoint or fill the tensors anew, mark them as changed, and "
                    "synchronise again");
  return mismatch("nobody offers a shared state: " +
                  std::string(left_out ? "the only members that are not receive_only are newcomers that are "
                                         "more than one revision ahead of the run"
                                       : "every member is receive_only") +
                  " (first peer " + members.front().peer + ", last peer " + members.back().peer + ")");
}

/// By rules 3 and 4: revision, model and supporters.
Election elect_content(Members members, const std::vector<std::uint32_t>& offers) {
  const auto revision_of = [&](std::uint32_t rank) { return members[rank].manifest.revision; };
  const auto is_send_only = [&](std::uint32_t rank) {
    return members[rank].manifest.strategy == SyncStrategy::send_only;
  };
  Election election;
  for (const std::uint32_t rank : offers) election.revision = std::max(election.revision, revision_of(rank));

  std::map<Digest128, std::vector<std::uint32_t>> ranks_with;
  std::optional<Digest128> imposed;
  for (const std::uint32_t rank : offers) {
    if (revision_of(rank) != election.revision) continue;
    const Digest128 content = content_digest(members[rank].manifest);
    ranks_with[content].push_back(rank);
    if (!imposed && is_send_only(rank)) imposed = content;
  }
  const std::vector<std::uint32_t>* winners = nullptr;
  for (const auto& [content, ranks] : ranks_with) {
    const bool beats = winners == nullptr || ranks.size() > winners->size() ||
                       (ranks.size() == winners->size() && ranks.front() < winners->front());
    if (imposed ? content == *imposed : beats) winners = &ranks;
  }
  HAWSER_ASSERT(winners != nullptr);
  election.model = winners->front();
  election.supporters = static_cast<std::uint32_t>(winners->size());
  return election;
}

/// Rule 5. The member that the sentence sets against: one that insists on the elected content, if any does.
Result<void> check_send_only(Members members, const Election& election) {
  const Manifest& model = members[election.model].manifest;
  const Digest128 content = content_digest(model);
  const SharedStateMember* agreeing = nullptr;
  const SharedStateMember* contradicting = nullptr;
  for (const SharedStateMember& member : members) {
    if (member.manifest.strategy != SyncStrategy::send_only) continue;
    const bool agrees =
        member.manifest.revision == election.revision && content_digest(member.manifest) == content;
    const SharedStateMember*& first = agrees ? agreeing : contradicting;
    if (first == nullptr) first = &member;
  }
  if (contradicting == nullptr) return {};
  const SharedStateMember& elected = agreeing != nullptr ? *agreeing : members[election.model];
  const bool other_revision = contradicting->manifest.revision != election.revision;
  return mismatch("peer " + contradicting->peer + " is send_only with " +
                  (other_revision ? "revision " + std::to_string(contradicting->manifest.revision)
                                  : "content of its own at revision " + std::to_string(election.revision)) +
                  ", but peer " + elected.peer + (agreeing != nullptr ? ", send_only as well," : "") +
                  " offers " +
                  (other_revision ? "revision " + std::to_string(election.revision) : "other content") +
                  ": send_only members must all hold what is elected");
}

/// Rule 6.
std::optional<TensorFetch> find_fetch(Members members, const Election& election, std::uint32_t tensor) {
  const TensorEntry& elected = members[election.model].manifest.tensors[tensor];
  TensorFetch fetch{.tensor = tensor, .digest = elected.digest};
  for (std::uint32_t rank = 0; rank < members.size(); ++rank) {
    const Manifest& manifest = members[rank].manifest;
    const bool keeps = elected.allow_content_inequality && manifest.revision == election.revision;
    if (manifest.tensors[tensor].digest != elected.digest) {
      if (!keeps) fetch.receivers.push_back(rank);
    } else if (manifest.strategy != SyncStrategy::receive_only) {
      fetch.holders.push_back(rank);
    }
  }
  if (fetch.receivers.empty()) return std::nullopt;
  return fetch;
}

}  // namespace

Result<Election> elect(std::span<const SharedStateMember> members) {
  HAWSER_ASSERT(!members.empty());
  for (const SharedStateMember& member : members)
    if (!member.manifest.trouble.empty()) return mismatch("peer " + member.peer + ": " + member.manifest.trouble);
  for (const SharedStateMember& member : members.subspan(1))
    if (const auto fit = check_shapes(members.front(), member); !fit.ok()) return fit.error();
  const auto offers = find_offers(members);
  if (!offers.ok()) return offers.error();
  Election election = elect_content(members, *offers);
  if (const auto agree = check_send_only(members, election); !agree.ok()) return agree.error();
  for (std::uint32_t tensor = 0; tensor < members[election.model].manifest.tensors.size(); ++tensor)
    if (auto fetch = find_fetch(members, election, tensor)) election.fetches.push_back(std::move(*fetch));
  return election;
}

std::vector<std::uint32_t> tensors_to_fetch(const Election& election, std::uint32_t rank) {
  std::vector<std::uint32_t> tensors;
  for (const TensorFetch& fetch : election.fetches)
    if (std::binary_search(fetch.receivers.begin(), fetch.receivers.end(), rank))
      tensors.push_back(fetch.tensor);
  return tensors;
}

bool settled_by_summaries(std::span<const ManifestSummary> summaries) {
  if (summaries.empty()) return false;
  const ManifestSummary& first = summaries.front();
  const auto keeper = keeper_of_agreed(
      summaries, [](const ManifestSummary& summary) -> const auto& { return summary.agreed_revision; });
  const auto alike = [&](const ManifestSummary& other) {
    return !other.unsettled && other.revision == first.revision && other.shape == first.shape &&
           other.content == first.content;
  };
  const auto offers = [](const ManifestSummary& summary) {
    return summary.strategy != SyncStrategy::receive_only;
  };
  return std::all_of(summaries.begin(), summaries.end(), alike) &&
         std::any_of(summaries.begin(), summaries.end(), offers) &&
         !(keeper && is_ahead(first.revision, *summaries[*keeper].agreed_revision));
}

}  // namespace hawser
