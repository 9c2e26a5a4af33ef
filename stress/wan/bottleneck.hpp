#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "wan/fine_instant.hpp"
#include "wan/packet.hpp"

namespace hawser::wan {

/// One direction of a link: a rate, and before it a first-in-first-out queue that drops what does not fit at
/// its tail. A state machine: whoever has it calls `start_next` whenever `next_start` is due.
class Bottleneck {
 public:
  struct Config {
    std::uint64_t bits_per_s = 0;
    std::uint64_t queue_bytes = 0;  ///< Bound on what waits, the unsent rest of what is being sent included.
  };
  /// A parcel and how far along it is: where it goes next is its owner's business.
  struct Waiting {
    Parcel parcel;
    std::uint32_t stage = 0;
  };
  struct Sent {
    Waiting waiting;
    FineInstant begin;  ///< Of its first bit on the wire.
    FineInstant end;    ///< Of its last.
  };

  explicit Bottleneck(const Config& config) : config_(config) {}

  /// Takes the leading segments for which there is room, and returns how many that are.
  std::uint32_t offer(FineInstant now, const Waiting& waiting);
  /// When the wire is free for the head of the queue; none if nothing waits.
  std::optional<FineInstant> next_start() const;
  /// Puts the head on the wire. Only when something waits.
  Sent start_next();
  /// What is on the wire goes on at the new rate; what waits, waits.
  void set_rate(FineInstant now, std::uint64_t bits_per_s);
  /// An outage: forgets what waits. Returns how many segments that were.
  std::uint64_t flush();

  std::uint64_t backlog_bytes(FineInstant now) const;
  const Config& config() const { return config_; }
  std::uint64_t queued_bytes() const { return queued_bytes_; }
  std::uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  struct Entry {
    Waiting waiting;
    FineInstant arrival;
  };
  Config config_;
  std::deque<Entry> queue_;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t sent_bytes_ = 0;
  FineInstant free_at_{};
};

}  // namespace hawser::wan
