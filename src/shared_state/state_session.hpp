#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/digest128.hpp"
#include "base/instant.hpp"
#include "base/result.hpp"
#include "base/thrown.hpp"
#include "shared_state/prefetch.hpp"
#include "shared_state/state_sync.hpp"

namespace hawser {

struct SyncRequest {
  SyncSettings settings;
  bool only_marked = false;  ///< Tensors that were not marked as changed are what they were.
  View view;                 ///< In force.
  PeerId self;
};

struct PrefetchOutcome {
  Error error{Status::success, {}};
  bool complete = false;
  std::uint32_t sources = 0;
  std::uint64_t revision = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_fetched = 0;
  Duration prefetch{};
  Duration join{};
};

/// Everything that a member's shared state goes through. A driver starts one operation, performs the steps that it asks
/// for, and reports each step; the session decides what follows. Pure, so that threads over TCP and the simulator's
/// events drive the same decisions.
///
/// - Getters: content(), revision(), incomplete(), agreed(), offered(), check_may_save(). At any time.
/// - Operations: withdraw() to digest(). Each begins while no other one is under way, and returns the first step.
/// - Steps: the driver performs what next() names, with the data that is named beside it in Next, and calls the
///   function that is named there. That returns the next step. broke_off() takes the place of any of them.
/// - Outcomes: error(), and what else the operation gives, from Next::over until the next operation.
///
/// What is on offer is read by others. So an operation that may change the tensors or the revision first takes the
/// offer back; where that fails, the operation fails and has changed nothing.
class StateSession {
 public:
  enum class Next {
    withdraw,    ///< Take offered() back, so that nobody reads it any more, then withdrawn().
    digest,      ///< Digest content().stale(), then digested().
    collective,  ///< Run step(), then collective_ended().
    connect,     ///< Connect and fetch into prefetch_target(), then connected().
    offer,       ///< Let guests read to_offer(), then offer_ended().
    load,        ///< Read a checkpoint into content().tensors(), with load_touched(), then loaded().
    over,        ///< The outcome is final.
  };

  explicit StateSession(std::unique_ptr<StateContent> content) { record_.content = std::move(content); }
  StateSession(const StateSession&) = delete;
  StateSession& operator=(const StateSession&) = delete;

  StateContent& content() { return *record_.content; }
  const StateContent& content() const { return *record_.content; }
  std::uint64_t revision() const { return record_.revision; }
  /// A transfer broke off: some tensors are neither what they were nor what they shall be.
  bool incomplete() const { return record_.incomplete; }
  /// The last synchronisation that succeeded was one of this peer, and gave the revision in force.
  bool agreed(PeerId self) const { return record_.agreed_as == self && record_.agreed_revision == record_.revision; }
  /// What guests may read now, or null.
  const std::shared_ptr<const StateOffer>& offered() const { return offered_; }
  /// Error: invalid_usage, while the state is incomplete.
  Result<void> check_may_save() const;
  Next next() const { return next_; }

  /// Ends the offer. Steps: withdraw, if there is one.
  Next withdraw(Instant now);
  /// Offers what was synchronised, in place of what is on offer. Error: invalid_usage unless the content is that of the
  /// last synchronisation, which was one of `self`; then the offer before stays. Steps: withdraw, offer.
  Next offer(Instant now, PeerId self);
  /// Steps: withdraw, then those of StateSync. Outcome: take_sync_outcome().
  Next synchronise(Instant now, SyncRequest request);
  /// Fetches the content of members for at most `bound`, then joins. Steps: withdraw, digest, connect. Outcome:
  /// take_prefetch_outcome().
  Next connect(Instant now, Duration bound);
  Next set_revision(Instant now, std::uint64_t revision);
  /// The caller has written to a tensor. Error: invalid_argument for a name that is none, or is unknown.
  Next mark_changed(Instant now, std::string_view name);
  /// The caller has written to all tensors, which are then complete again.
  Next mark_all_changed(Instant now);
  /// Fills the tensors from a checkpoint, and takes its revision. Steps: withdraw, load.
  Next load(Instant now);
  /// Reads all tensors anew. Steps: digest. Outcome: digest_outcome(). The offer stays.
  Next digest();

  /// Error: why the offer could not be taken back.
  Next withdrawn(Instant now, const Error& error);
  Next digested(Instant now);
  const StateSync::Step& step() const;
  /// As StateSync::ended().
  Next collective_ended(Instant now, const Error& error, const CollectiveInfo* info, const View& view);
  const std::shared_ptr<PrefetchTarget>& prefetch_target() const { return target_; }
  /// How connect ended. The target belongs to the session again.
  Next connected(Instant now, const Error& error);
  const std::shared_ptr<const StateOffer>& to_offer() const { return to_offer_; }
  Next offer_ended(const Error& error);
  /// Set by whoever loads, before the first byte of a tensor is written.
  bool& load_touched();
  /// The revision that the checkpoint holds. Error: why the tensors do not hold it whole.
  Next loaded(const Result<std::uint64_t>& revision);
  /// An exception ended the step, which is not under way any more. Puts the tensors in order first, and may then throw
  /// itself; the operation is over even then.
  void broke_off(Instant now, const Thrown& thrown);

  const Error& error() const { return error_; }
  /// With error(). Once.
  SyncOutcome take_sync_outcome();
  PrefetchOutcome take_prefetch_outcome();
  /// Of all tensors that may not differ, as content_digest().
  Digest128 digest_outcome() const { return content_digest(record_.content->manifest()); }

 private:
  struct Withdraw {};
  struct Offer {};
  struct Synchronise {
    SyncRequest request;
    std::unique_ptr<StateSync> sync{};  ///< Once the offer is back.
  };
  struct Connect {
    Duration bound;
    Instant began{};
  };
  struct SetRevision {
    std::uint64_t revision;
  };
  struct MarkChanged {
    std::size_t tensor;
  };
  struct MarkAllChanged {};
  struct Load {
    bool was_incomplete = false;
    bool touched = false;
  };
  struct Digest {};
  using Operation = std::variant<std::monostate, Withdraw, Offer, Synchronise, Connect, SetRevision, MarkChanged,
                                 MarkAllChanged, Load, Digest>;

  void claim(Operation operation);
  Next begin_changing(Instant now, Operation operation);
  Next go(Instant now);
  Next go_on(Instant now, std::monostate);
  Next go_on(Instant now, Withdraw&);
  Next go_on(Instant now, Offer&);
  Next go_on(Instant now, Synchronise& operation);
  Next go_on(Instant now, Connect& operation);
  Next go_on(Instant now, SetRevision& operation);
  Next go_on(Instant now, MarkChanged& operation);
  Next go_on(Instant now, MarkAllChanged&);
  Next go_on(Instant now, Load& operation);
  Next go_on(Instant now, Digest&);
  Next follow(StateSync::Next next);
  Next refuse(Error error);
  Next over();
  void expect(Next step) const;
  Result<void> check_may_offer(PeerId self) const;
  void note_prefetched(Instant now, const Connect& operation);
  void note_loaded(const Load& operation, bool whole);

  StateRecord record_;
  std::optional<Digest128> agreed_content_;  ///< Of the last synchronisation that succeeded.
  std::shared_ptr<const StateOffer> offered_;
  std::shared_ptr<const StateOffer> to_offer_;
  std::shared_ptr<PrefetchTarget> target_;
  Operation operation_;
  Next next_ = Next::over;
  Error error_{Status::success, {}};
  SyncOutcome sync_outcome_;
  PrefetchOutcome prefetch_outcome_;
};

}  // namespace hawser
