#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "topology/matrix.hpp"
#include "topology/regions.hpp"

namespace hawser::topology {

inline constexpr std::uint32_t kNoCable = std::numeric_limits<std::uint32_t>::max();

/// A matrix with its gaps filled: a rate and a delay for every pair, limits for every member, and which pairs
/// share a cable. In seconds and bytes per second, as doubles; only + - * / and comparisons are used on them,
/// in a fixed order, so that all members get the same bits (IEEE 754, no contraction).
///
/// What is unknown is estimated. An access limit: the best rate of any pair of that member in that direction.
/// A member of whom nothing is known: the median of all known rates. A pair's rate: what both its ends can
/// do. A pair's delay: the other direction's, or else the median of all known. Traffic from one region to
/// another whose common rate was never observed: the best rate of any of its pairs, since in doubt they share
/// one cable.
///
/// A pair without a way of its own is as slow as the slower half of its detour, and as far as both halves. Where no
/// rate is known at all, all are taken to be equal; within a region four times those between regions.
class Estimates {
 public:
  /// `matrix` has passed check(). O(N^2); with k pairs that are missing
  /// O(N^2 + k N).
  explicit Estimates(const Matrix& matrix);

  std::uint32_t world_size() const { return world_size_; }
  /// Of a pair alone, its ends' limits included.
  double rate(std::uint32_t from, std::uint32_t to) const { return rates_[at(from, to)]; }
  double delay(std::uint32_t from, std::uint32_t to) const { return delays_[at(from, to)]; }
  /// All of them, row by row: of each sender to all, or of all to each receiver. Large ones are slow to go through
  /// across their rows.
  const std::vector<double>& rates_by_receiver() const { return rates_by_receiver_; }
  const std::vector<double>& delays_by_receiver() const { return delays_by_receiver_; }
  const std::vector<double>& rates_by_sender() const { return rates_; }
  const std::vector<double>& delays_by_sender() const { return delays_; }
  double uplink(std::uint32_t rank) const { return uplinks_[rank]; }
  double downlink(std::uint32_t rank) const { return downlinks_[rank]; }
  /// Of the member that is farthest from the master; 0 where unknown.
  double control_round_trip() const { return control_round_trip_; }
  double slowest_rate() const { return slowest_rate_; }
  const Regions& regions() const { return regions_; }
  /// False: rates are all the same, and say nothing.
  bool knows_rates() const { return knows_rates_; }

  /// The pair has a way of its own.
  bool has_link(std::uint32_t a, std::uint32_t b) const { return through(a, b) == kStraight; }
  /// The member by which a pair's data goes; kStraight, or kByAnyone where none has links to both.
  std::uint32_t through(std::uint32_t a, std::uint32_t b) const {
    return through_.empty() ? kStraight : through_[at(a, b)];
  }
  /// Pairs that have no way of their own.
  std::uint32_t missing_pairs() const { return missing_pairs_; }
  /// There are some, and the others join all members: plans do without them.
  bool avoids_pairs() const { return missing_pairs_ > 0 && is_joined_; }
  /// Of all pairs from some members to others together, as far as pairs and cables limit them. O(pairs).
  double rate_between(const std::vector<std::uint32_t>& senders,
                      const std::vector<std::uint32_t>& receivers) const;

  /// The cable that a pair shares with others, or kNoCable.
  std::uint32_t cable(std::uint32_t from, std::uint32_t to) const { return cable_of_[at(from, to)]; }
  const std::vector<double>& cable_rates() const { return cable_rates_; }

 private:
  std::size_t at(std::uint32_t from, std::uint32_t to) const {
    return static_cast<std::size_t>(from) * world_size_ + to;
  }
  void estimate_limits(const Matrix& matrix);
  void estimate_rates(const Matrix& matrix);
  void estimate_delays(const Matrix& matrix);
  void find_detours(const Matrix& matrix);
  void estimate_detours();
  bool links_join_all() const;
  void take_observed_cables(const Matrix& matrix);
  void assume_near_is_fast();
  void assume_cables_between_regions();

  std::uint32_t world_size_;
  std::vector<double> rates_;
  std::vector<double> delays_;
  std::vector<double> rates_by_receiver_;
  std::vector<double> delays_by_receiver_;
  std::vector<double> uplinks_;
  std::vector<double> downlinks_;
  std::vector<std::uint32_t> cable_of_;
  std::vector<double> cable_rates_;
  double control_round_trip_ = 0;
  double slowest_rate_ = 0;
  std::vector<std::uint32_t> through_;  ///< None: all pairs have ways of their own.
  std::uint32_t missing_pairs_ = 0;
  bool is_joined_ = true;
  bool knows_rates_ = true;
  Regions regions_;
};

}  // namespace hawser::topology
