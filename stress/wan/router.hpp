#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "wan/capture.hpp"
#include "wan/host_network.hpp"
#include "wan/network.hpp"
#include "wan/spec.hpp"
#include "wan/trace.hpp"

namespace hawser::wan {

/// How the router itself did; what it could not do in time is not true of the network that it plays.
struct RouterReport {
  Tally tally;
  std::vector<std::pair<std::string, std::uint64_t>> queue_drops;
  double wall_s = 0;
  double cpu_s = 0;
  std::uint64_t frames = 0;      ///< Written to hosts; one may be many segments.
  std::uint64_t refused = 0;     ///< Frames that a host's device did not take.
  std::uint64_t not_for_us = 0;  ///< Frames that were no IPv4 between hosts.
  double late_ms_p99 = 0;        ///< How long after its moment a frame was written: 99 of 100 below.
  double late_ms_max = 0;
  double turn_ms_max = 0;       ///< The longest that one round of reading and writing took.
  double overslept_ms_max = 0;  ///< The longest that the system let it sleep too long.
  bool capture_failed = false;  ///< Not every packet is in the file.
  std::string priority;         ///< "" or why the router has no real-time priority.
};

/// Files that a router writes; "": none.
struct Recordings {
  std::string trace;    ///< See Trace.
  std::string capture;  ///< See Capture.
};

/// The thread that plays the network: reads the hosts' devices, and writes to them what arrives, when it
/// arrives.
class Router {
 public:
  /// `networks` must outlive it. The script begins with start().
  Router(const Spec& spec, std::span<const HostNetwork> networks, Recordings recordings = {});
  ~Router() { stop(); }
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  Result<void> start();
  /// Ends the thread; a second call does nothing. What was under way is gone.
  void stop();
  /// Since start(). From any thread.
  double cpu_s() const { return static_cast<double>(cpu_ns_.load(std::memory_order_relaxed)) / 1e9; }
  /// Only after stop().
  RouterReport report() const;

 private:
  void run();
  Result<void> open_recordings();
  void read_host(Network& network, HostIndex host);
  void write(const Delivery& delivery, Instant now);
  void pause_until(Instant turn);
  void wait(const Network& network);
  void note_overslept(Instant wanted);

  const Spec& spec_;
  std::span<const HostNetwork> networks_;
  Recordings recordings_;
  std::optional<Trace> trace_;
  std::optional<Capture> capture_;
  Instant begin_{};
  FileDescriptor wake_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::int64_t> cpu_ns_ = 0;
  std::shared_ptr<std::byte[]> spare_;  ///< What the next frame is read into.
  std::vector<std::uint64_t> late_us_;  ///< Frames by the power of two of their lateness.
  RouterReport report_;
  std::uint64_t frames_moved_ = 0;
  std::thread thread_;
};

}  // namespace hawser::wan
