#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/attestation.hpp"
#include "base/deadlines.hpp"
#include "base/signature.hpp"
#include "membership/blame.hpp"
#include "membership/rank_set.hpp"
#include "membership/straggler.hpp"

namespace hawser {

/// A collective that is neither committed nor aborted, as the master knows it.
struct OpInFlight {
  Signature signature;                                 ///< As the first of its members called it.
  RankSet called;
  RankSet reported;                                    ///< Whose result is whole.
  std::map<std::uint32_t, Signature> called_otherwise; ///< By rank, where it is not `signature`.
  Instant first_call;
  Instant last_call;
  std::map<PeerId, Grievance> grievances;
  std::optional<Instant> moved_at;  ///< When it last was known to go on.
  std::optional<Instant> judge_at;  ///< When the grievances shall be looked at.
  struct Suspect {
    Straggler found;
    Instant since;
  };
  SlowLinks slow_links;
  std::optional<Suspect> straggler;     ///< By the slow links, as they were last told.
  std::optional<Instant> lone_since{};  ///< Since when all but one have reported.
  RankSet stragglers_announced{};             ///< Who was reported as holding it up.
  std::map<std::uint32_t, Attestation> attestations{};  ///< By rank,
  RankSet attested_late{};                              ///< and those that came after their member's report.

  bool needs_relays = false;  ///< And these have been told.

  struct GivenUp {
    PeerId by;
    std::uint64_t after_ms = 0;
    bool was_cancelled = false;
    Instant since{};
  };
  std::optional<GivenUp> given_up{};  ///< By whoever was first.

  bool differs() const { return !called_otherwise.empty(); }
  const Signature& called_by(std::uint32_t rank) const {
    const auto other = called_otherwise.find(rank);
    return other == called_otherwise.end() ? signature : other->second;
  }
};

/// The collectives in flight in one view, with what must be known of all of them kept as counts: a message about one
/// costs the same however many there are.
class OpTable {
 public:
  using Ops = std::map<OpKey, OpInFlight>;

  /// For a view of so many members. Forgets all collectives.
  void begin(std::uint32_t view_size);

  /// That member has called it, or has called it before.
  OpInFlight& call(Instant now, std::uint32_t rank, const OpKey& key, const Signature& signature);
  void erase(const OpKey& key);
  /// All bounds of what was called begin anew.
  void restart_bounds(Instant now);
  OpInFlight* find(const OpKey& key);

  const Ops& ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }
  std::uint32_t view_size() const { return static_cast<std::uint32_t>(open_calls_.size()); }
  bool called_by_all(const OpInFlight& op) const { return op.called.size() == view_size(); }

  /// Collectives in flight that this member has called.
  std::size_t open_calls(std::uint32_t rank) const { return open_calls_.at(rank); }
  /// Members that have called some.
  std::uint32_t callers() const { return callers_; }
  /// Whether some were called differently by two members, some is an optimize-topology, some was called by all.
  bool any_differs() const { return differing_ > 0; }
  bool any_optimizes() const { return optimizing_ > 0; }
  bool any_called_by_all() const { return full_ > 0; }
  /// When a member last called one that it had not called before.
  Instant last_call() const { return last_call_; }

  /// When a collective is to be looked at; its owner decides, and clears it with the collective.
  Deadlines<OpKey> due;

 private:
  Ops ops_;
  std::vector<std::size_t> open_calls_;  ///< By rank.
  std::uint32_t callers_ = 0;
  std::size_t differing_ = 0;
  std::size_t optimizing_ = 0;
  std::size_t full_ = 0;
  Instant last_call_{};
};

}  // namespace hawser
