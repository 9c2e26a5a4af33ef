#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "base/random.hpp"
#include "wan/bottleneck.hpp"
#include "wan/host_addresses.hpp"
#include "wan/nat_translation.hpp"
#include "wan/packet.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// What became of segments. Each one handed over is delivered, dropped for one reason, or still under way.
struct Tally {
  std::uint64_t entered = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;            ///< By chance.
  std::uint64_t dropped_queue = 0;   ///< At the tail of a full queue.
  std::uint64_t dropped_outage = 0;  ///< Outages and partitions.
  std::uint64_t dropped_nat = 0;
  std::uint64_t dropped_nowhere = 0;  ///< Nobody has the address, or not where it was sent from.
};

struct Delivery {
  Parcel parcel;
  Instant due;
};

/// The wide-area network between the hosts, without thread, clock or socket. A packet passes the uplink of
/// its host, the random loss of its pair, the pair's own rate and the shared cable where there are such, the
/// delay, and the downlink. NATs are between hosts and their access links: a packet is translated before its own
/// uplink, and after the downlink of whom it comes to. Those that hosts share cost nothing besides.
///
/// Links are cut-through at the grain of segments: the first segment of a super-packet goes on while the last
/// is still being sent, so that a packet is late by its length once and not once per link.
class Network {
 public:
  /// The script begins at `start`. All randomness comes from the spec's seed.
  Network(const Spec& spec, Instant start);

  /// A host sends. `now` never goes back. `packet.from` must be a host of the spec; `to` follows from the address.
  void enqueue(Instant now, Packet packet);
  /// All that has arrived by now, in the order of arrival.
  std::vector<Delivery> advance(Instant now);
  /// When `advance` must be called next; none if nothing is under way and the script is over.
  std::optional<Instant> next_deadline() const;

  const HostAddresses& addresses() const { return addresses_; }
  const Tally& tally() const { return tally_; }
  const Bottleneck& uplink(HostIndex host) const { return bottlenecks_[2 * host]; }
  const Bottleneck& downlink(HostIndex host) const { return bottlenecks_[2 * host + 1]; }
  /// Segments that were dropped at the tail of each queue that dropped any, by the link's name.
  std::vector<std::pair<std::string, std::uint64_t>> queue_drops() const;

 private:
  using BottleneckIndex = std::uint32_t;
  struct Path {
    PathSpec spec;
    std::vector<BottleneckIndex> route;  ///< Uplink first, downlink last.
    Random random{0};
    std::uint64_t segments_until_loss = 0;
    FineInstant last_arrival{};
    bool outage = false;
    std::uint32_t passes_bytes = 0;  ///< As PathChange::passes_bytes.
  };
  struct Happening {
    enum class Kind : std::uint8_t { wire_free, arrival, event };
    FineInstant due;
    std::uint64_t order = 0;
    Kind kind = Kind::arrival;
    std::uint32_t index = 0;  ///< Bottleneck or event.
    Bottleneck::Waiting waiting;
  };
  static bool later(const Happening& a, const Happening& b);

  Path& path_of(const Packet& packet) { return paths_[packet.from * spec_.hosts.size() + packet.to]; }
  BottleneckIndex add_bottleneck(std::string name, const Bottleneck::Config& config);
  void build_routes();
  void draw_next_loss(Path& path);
  void schedule(Happening happening);
  void run_until(FineInstant now);
  void run(Happening happening);
  void arrive(FineInstant now, Bottleneck::Waiting waiting);
  void start_if_free(FineInstant now, BottleneckIndex index);
  void leave(const Bottleneck::Sent& sent);
  void leave_with_losses(Path& path, const Bottleneck::Sent& sent);
  void travel(Path& path, const Bottleneck::Sent& sent);
  void deliver(FineInstant now, Parcel parcel);

  // Addresses and NATs (network_nat.cpp).
  enum class Way : std::uint8_t { open, stopped, nowhere };
  Way leave_home(Instant now, Packet& packet);
  bool leave_boxes(Instant now, Packet& packet, std::optional<std::uint32_t> last);
  HostIndex nominal_host(std::uint32_t box, const Flow& flow) const;
  bool enter_home(Instant now, Packet& packet);
  bool cut_off(const Packet& packet) const;

  // The script (network_script.cpp).
  void apply(FineInstant now, const Event& event);
  void change(FineInstant now, const HostChange& change);
  void change(FineInstant now, const PathChange& change);
  void change(FineInstant now, const CableChange& change);
  void change(FineInstant now, const Partition& partition);
  void change(FineInstant now, const Heal& heal);
  void set_outage(BottleneckIndex index, bool outage);

  Spec spec_;
  std::vector<Bottleneck> bottlenecks_;  ///< Up and down of each host, there and back of each cable, pairs.
  std::vector<std::string> names_;
  std::vector<std::uint64_t> tail_drops_;
  std::vector<bool> outages_;   ///< Of bottlenecks.
  std::vector<bool> starting_;  ///< Bottlenecks that have a wire_free under way.
  std::vector<Path> paths_;
  HostAddresses addresses_;
  std::vector<NatTranslation> nats_;  ///< Of addresses_.boxes().
  std::optional<Partition> partition_;
  std::vector<Happening> heap_;
  std::vector<Delivery> deliveries_;
  Tally tally_;
  FineInstant now_{};
  std::uint64_t ordered_ = 0;
};

}  // namespace hawser::wan
