#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/digest128.hpp"
#include "base/result.hpp"
#include "shared_state/manifest.hpp"

/// Which content becomes everybody's. Pure functions of what all members presented: every member computes
/// the same from the same input.
///
/// 1. *Shape.* All members name the same tensors with the same types, counts and flags.
/// 2. *Who offers.* Members that are neither receive_only nor incomplete. The agreed revision is the highest one that
///    any member brings from a synchronisation before; a revision grows by one at most, so a member that was in
///    one and offers more is an error. A newcomer that offers more does not count as offering: it came from
///    somewhere else, and takes the run's content. Where no member has an agreed revision (a new run, or one
///    that starts again from checkpoints) any revision is good. Going back is always allowed.
/// 3. *Revision.* The highest one on offer is elected.
/// 4. *Content* among the offers of that revision. A send_only member can take no other, so its content is
///    elected; otherwise the content that most members hold; among equally many, that of the lowest rank.
///    The lowest rank with the elected content is the *model*. Content is told apart by content_digest(),
///    without the tensors that allow inequality.
/// 5. *send_only* members with other content than the model, or another revision, are an error.
/// 6. *Who takes what.* A member takes every tensor whose digest is not the model's; but members of the
///    elected revision keep their tensors that allow inequality. Sources of a tensor are all members with
///    the model's digest of it that are not receive_only, whatever their revision: the bytes are the same.
namespace hawser {

/// What one member says of its state.
struct SharedStateMember {
  std::string peer;   ///< As sentences shall name it.
  Manifest manifest;  ///< Checked (make_manifest() or decode_manifest()).
};

/// A tensor that somebody lacks.
struct TensorFetch {
  std::uint32_t tensor = 0;              ///< Index in the manifests.
  Digest128 digest;                      ///< Of the elected content.
  std::vector<std::uint32_t> holders;    ///< Ranks that have it and may send it, ascending; at least one.
  std::vector<std::uint32_t> receivers;  ///< Ranks that must fetch it, ascending; at least one.
  friend bool operator==(const TensorFetch&, const TensorFetch&) = default;
};

struct Election {
  std::uint64_t revision = 0;        ///< Everybody's after the synchronisation.
  std::uint32_t model = 0;           ///< The lowest rank with the elected content.
  std::uint32_t supporters = 0;      ///< How many offered that content at that revision.
  std::vector<TensorFetch> fetches;  ///< In order of the tensors; empty if nobody lacks anything.
  friend bool operator==(const Election&, const Election&) = default;
};

/// Members in rank order, at least one. Errors, all of them mismatch: a member in trouble (in its words), another
/// shape, a revision out of turn,
/// send_only members that contradict what was elected, nobody who offers. The sentence names the tensor
/// where there is one, and both peers; the same for everybody.
Result<Election> elect(std::span<const SharedStateMember> members);

/// Tensors that this rank must fetch, ascending.
std::vector<std::uint32_t> tensors_to_fetch(const Election& election, std::uint32_t rank);

/// Whether elect() would succeed, with nothing to fetch by anybody, at the revision that all summaries have:
/// then no manifest need be exchanged. False says nothing: exchange the manifests. In rank order or not.
bool settled_by_summaries(std::span<const ManifestSummary> summaries);

}  // namespace hawser
