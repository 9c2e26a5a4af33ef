#pragma once

#include <cstdint>
#include <hawser/hawser.hpp>
#include <optional>
#include <string>

#include "bench/options.hpp"

/// What the processes of a measurement of prefetching say, one line each, and the bench reads. Moments are
/// seconds of the steady clock, which all processes of a machine share.
namespace hawser::bench {

/// One step of one member: pause, all-reduce, update-topology.
struct ToldStep {
  std::uint32_t newcomer = 0;  ///< How many newcomers there have been.
  bool quiet = true;           ///< No newcomer's process is running.
  double begin_s = 0, end_s = 0;
  double cpu_s = 0;  ///< Of the member's process, serving newcomers included.

  void say() const;
  static std::optional<ToldStep> parse(const std::string& line);
};

/// The members wait for the newcomer of this number.
struct ToldWaiting {
  std::uint32_t newcomer = 0;

  void say() const;
  static std::optional<ToldWaiting> parse(const std::string& line);
};

/// What a newcomer's joining was for one member.
struct ToldJoin {
  std::uint32_t newcomer = 0;
  double update_ms = 0;  ///< The update-topology that let it in.
  double sync_ms = 0;    ///< The synchronisation after it.
  double sync_digest_ms = 0;
  std::uint64_t sync_fetched_bytes = 0;
  bool right = true;  ///< The content is the one meant, and so are the sums since the newcomer before.
  std::string digest;

  void say() const;
  static std::optional<ToldJoin> parse(const std::string& line);
};

/// And for the newcomer.
struct ToldPrefetch {
  double begin_s = 0, end_s = 0;  ///< From the connect call to the end of fetching.
  bool complete = false;
  std::uint32_t sources = 0;
  std::uint64_t fetched_bytes = 0;
  double join_ms = 0;  ///< From the end of fetching to its admission.
  double cpu_s = 0;    ///< Of its process, during the connect call.
  ToldJoin join;       ///< Without an update-topology.

  void say() const;
  static std::optional<ToldPrefetch> parse(const std::string& line);
};

/// A member's part.
Result<void> reduce_and_offer(const std::string& master, const PrefetchGroup& group);
/// A newcomer's: leaves after the synchronisation.
Result<void> prefetch_and_join(const std::string& master, const PrefetchGroup& group);

}  // namespace hawser::bench
