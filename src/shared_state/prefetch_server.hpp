#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "shared_state/prefetch.hpp"

namespace hawser {

/// How fast this peer's uplink is, as far as traffic has shown: what has been acknowledged in each tenth of a second in
/// which something flowed all the time, faster ones counting more than slower ones. As long as there was none of
/// these, the speed of single slices.
class UplinkMeter {
 public:
  /// So many bytes have been acknowledged.
  void moved(Instant now, std::size_t bytes);
  /// One slice took so long from its sending to its acknowledgement.
  void slice_took(std::size_t bytes, Duration time);
  double bytes_per_second() const;

 private:
  Instant window_began_{};
  Instant moved_at_{};
  bool interrupted_ = true;
  std::size_t window_bytes_ = 0;
  double sustained_ = 0;
  double of_slices_ = 0;
};

/// A member's side of prefetching: serves what it offers to guests, at a share of its uplink. Pure.
class PrefetchServer {
 public:
  /// `share` of the uplink, above 0, at most 1.
  explicit PrefetchServer(double share) : share_(share) {}

  void guests(const std::vector<PeerId>& guests);
  /// Another offer, or (null) none: all guests are told. Answers the key of the one before, whose frames the driver
  /// must drop, if there was one.
  std::optional<OpKey> offer(Instant now, std::shared_ptr<const StateOffer> offer, std::vector<PrefetchSend>& out);

  /// Whether collectives of this member are under way: then guests get a quarter of their share.
  void training(bool busy) { training_ = busy; }

  bool knows(PeerId peer) const { return guests_.contains(peer); }
  /// The guest has said ready.
  void ready(Instant now, PeerId guest, std::vector<PrefetchSend>& out);
  /// It wants a chunk. False: no correct guest wants that.
  bool want(Instant now, PeerId guest, const FrameHeader& frame, std::vector<PrefetchSend>& out);
  void unwant(PeerId guest, const FrameHeader& frame);
  /// A chunk is there.
  void arrived(Instant now, PeerId guest, const FrameHeader& frame, std::vector<PrefetchSend>& out);
  /// For chunks that were sent through `out`, of the offer in force.
  std::span<const std::byte> payload(std::uint64_t chunk) const { return offer_->payload(chunk); }
  std::int32_t device_of(std::uint64_t chunk) const { return offer_->device_of(chunk); }

  UplinkMeter& uplink() { return uplink_; }
  void tick(Instant now, std::vector<PrefetchSend>& out);
  std::optional<Instant> next_deadline() const;

 private:
  struct Guest {
    bool ready = false;
    std::deque<std::uint64_t> wanted;
    std::map<std::uint64_t, Instant> under_way;  ///< Chunks, and when they went.
  };
  OpKey key() const { return prefetch_key(offer_->revision, number_); }
  void tell(PeerId guest, std::vector<PrefetchSend>& out) const;
  bool may_serve(const Guest& guest) const;
  void serve(Instant now, std::vector<PrefetchSend>& out);

  double share_;
  bool training_ = false;
  std::map<PeerId, Guest> guests_;
  std::shared_ptr<const StateOffer> offer_;
  std::uint64_t number_ = 0;
  UplinkMeter uplink_;
  std::optional<PeerId> last_served_;
  std::optional<Instant> next_at_;  ///< When the budget allows the next chunk; none while nobody wants one.
  Instant free_at_{};
};

}  // namespace hawser
