#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/instant.hpp"
#include "base/result.hpp"
#include "base/thrown.hpp"
#include "collective/collective_info.hpp"
#include "membership/view.hpp"
#include "shared_state/slice_transfer.hpp"
#include "shared_state/content.hpp"
#include "shared_state/election.hpp"

namespace hawser::limits {

/// The manifests of all members of one synchronisation together.
inline constexpr std::uint64_t kManifestsBytesMax = 512 << 20;

}  // namespace hawser::limits

namespace hawser {

/// What a member keeps of its shared state from one synchronisation to the next.
struct StateRecord {
  std::unique_ptr<StateContent> content;
  std::uint64_t revision = 0;
  /// Of the last synchronisation that succeeded, and as whom.
  std::optional<std::uint64_t> agreed_revision;
  PeerId agreed_as;
  /// A transfer broke off: some tensors are neither what they were nor what they shall be.
  bool incomplete = false;
};

struct SyncSettings {
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  bool compress = false;
  /// What is overwritten is kept until all has come, and put back if it does not.
  bool keep_old_bytes = false;
  /// Copies between the host and a tensor on that device, here and now, and blocks for it. Only where there is one.
  std::function<Result<void>(std::int32_t device, const CopyBytes& copy)> copy_on_device{};
};

struct SyncInfo {
  std::uint64_t revision = 0;
  std::uint64_t tensors = 0;
  std::uint64_t tensors_changed = 0;  ///< Here: content of them was fetched.
  std::uint64_t bytes = 0;            ///< Of all tensors.
  std::uint64_t bytes_fetched = 0;
  std::uint64_t bytes_again = 0;  ///< Fetched in vain and so once more.
  std::uint64_t bytes_sent = 0;   ///< Payload bytes on the wire, all steps.
  std::uint64_t bytes_received = 0;
  std::map<PeerId, std::uint64_t> bytes_from;  ///< Of content, by source.
  std::uint32_t supporters = 0;                ///< Members that held the elected content at the start.
  std::uint32_t world_size = 0;
  std::uint32_t rank = 0;
  Epoch epoch;
  std::uint32_t attempts = 1;
  bool incomplete = false;  ///< After a failure: some tensors are partly overwritten.
  Duration digest{};
  Duration agree{};
  Duration transfer{};
};

struct SyncOutcome {
  Error error{Status::success, {}};
  SyncInfo info{};
  bool began = false;  ///< The info says something.
};

/// One synchronisation at one member, as steps that its driver performs: read stale slices, or run a
/// collective. All members take the same steps, since each depends only on what a committed collective gave to
/// all of them:
///
/// 1. all-gather of summaries: who is settled with everybody else is done;
/// 2. all-gather of manifests, and the election from them (shared_state/election.hpp);
/// 3. broadcast of the elected content's slice digests by its model;
/// 4. transfer of the slices that somebody lacks;
/// 5. from the start, in the same view: now the summaries prove that all hold the same.
///
/// A loss, or a restart of the master, leads to a new attempt in the new view; what came stays. Pure.
class StateSync {
 public:
  enum class Next {
    digest,      ///< Digest record.content->stale(), then digested().
    collective,  ///< Run step(), then ended().
    over,        ///< outcome() is final.
  };
  struct Step {
    Signature signature;
    const std::byte* send = nullptr;
    std::byte* receive = nullptr;
    std::shared_ptr<TransferCall> transfer;
    bool compress = false;
    Epoch epoch;
  };

  StateSync(StateRecord& record, SyncSettings settings) : record_(record), settings_(settings) {}

  Next begin(Instant now, const View& view, PeerId self);
  Next digested(Instant now);
  const Step& step() const { return step_; }
  /// How the step ended; `view`: that in force now, without members if this peer is none any more.
  Next ended(Instant now, const Error& error, const CollectiveInfo* info, const View& view);
  /// An exception ended it; no step is under way. Puts the tensors in order first, and may then throw itself.
  void broke_off(const Thrown& thrown);
  const SyncOutcome& outcome() const& { return outcome_; }
  SyncOutcome outcome() && { return std::move(outcome_); }

 private:
  enum class Phase { summaries, manifests, digests, transfer };

  Next attempt(Instant now);
  Next ask_summaries();
  Next heard_summaries();
  Next ask_manifests();
  Next heard_manifests();
  Next ask_digests();
  Next heard_digests();
  Next transfer();
  Next transferred(Instant now);
  void take_stock();
  Result<void> keep_old();
  Result<void> restore_old();
  Result<void> copy(std::size_t tensor, const CopyBytes& copy) const;
  void account(Instant now, const CollectiveInfo* info);
  Manifest manifest() const;
  Next settle();
  Next fail(Error error);
  Next end();
  Next call(Phase phase, const Signature& signature);
  std::string who(std::uint32_t rank) const;
  Error not_ours(std::uint32_t rank, const Error& error) const;

  StateRecord& record_;
  SyncSettings settings_;
  View view_;
  PeerId self_;
  std::uint32_t rank_ = 0;
  Phase phase_ = Phase::summaries;
  Instant phase_began_{};
  bool transfer_over_ = false;  ///< In this view.
  std::string trouble_;
  Step step_;
  std::vector<std::byte> sent_;
  std::vector<std::byte> received_;
  std::vector<ManifestSummary> summaries_;
  Election election_;
  std::shared_ptr<TransferCall> transfer_;
  struct Kept {
    StateContent::Slice slice;
    std::vector<std::byte> bytes;
  };
  std::vector<Kept> kept_;
  std::set<std::pair<std::size_t, std::uint64_t>> kept_slices_;
  std::uint64_t old_revision_ = 0;
  bool was_incomplete_ = false;
  SyncOutcome outcome_;
};

}  // namespace hawser
