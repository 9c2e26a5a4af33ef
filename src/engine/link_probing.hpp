#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collective/execution.hpp"
#include "collective/probe_burst.hpp"

namespace hawser {

/// What an optimize-topology call may spend.
struct ProbeBounds {
  std::uint64_t bytes_max = std::uint64_t{64} << 20;  ///< Of one probe, to one member. The same on all members.
  Duration time_max{};                                ///< Of one probe; 0: by its round trip (probe_time_max).
  Duration total = seconds(60);  ///< After so long this member begins no further probe.
};

/// Which links a member asks to be probed.
struct ProbeWishes {
  bool all_pairs = false;             ///< Those that are known too.
  std::optional<Duration> age_max{};  ///< Those whose measurement is older.
};

/// One optimize-topology, and what has become of it. Lives until its caller and its execution are done with it.
struct ProbeCall {
  ProbeBounds bounds;
  ProbeWishes wishes;

  // Written while it runs. Counters may be read at any time, the rest once the call has ended.
  std::atomic<std::uint32_t> pairs_total{0};  ///< Other members with whom this one probes, in either direction.
  std::atomic<std::uint32_t> pairs_done{0};
  std::uint32_t measured = 0;      ///< Links from this member to another.
  std::uint32_t lower_bounds = 0;  ///< Of these.
  std::uint32_t silent = 0;        ///< Over which nothing came through.
};

/// What is known of the link to one member, before it is probed.
struct ProbeLink {
  bool wanted = false;  ///< This member wants to know how fast it is.
  bool widens = false;  ///< This member can give it more connections, and sees to that.
  std::uint32_t connections = 0;
  Duration round_trip{};
};

/// Optimize-topology at one member: probes the links that somebody wants to know of by bursts of frames that carry no
/// tensor. Three steps, in control frames of the kinds that transfers use:
///
/// 1. Each member tells rank 0 of its links (have: chunk = the other's rank, count = round trip and wish).
/// 2. Rank 0 puts the pairs in order (topology/probe_order.hpp) and tells each member its own (have: chunk = position,
///    count = who, which directions, how many).
/// 3. Each goes through its pairs: says want ("send me your burst") once the link has connections enough, and sends its
///    own burst, if the order says so, when the other has said want too. Who receives a burst measures it (ProbeBurst)
///    and says unwant ("enough": count = what it came to), or the sender says decline ("there is none"). The pair is
///    over when both bursts are.
///
/// It is the receiver who measures, since acknowledgements would wait behind the burst that goes the other way.
///
/// Everybody whose order is empty is done at once; whoever is done waits for the commit as in any collective. Pure.
class LinkProbing final : public Execution {
 public:
  struct Setting {
    std::uint32_t rank = 0;
    std::uint32_t world_size = 0;
    std::vector<ProbeLink> links;  ///< By rank; its own means nothing.
    Instant began{};
  };
  LinkProbing(std::shared_ptr<ProbeCall> call, Setting setting);

  /// A burst of this member that has ended: what waits to be sent of it shall not be sent any more.
  struct Ended {
    std::uint32_t to = 0;
    std::uint64_t bytes_per_second = 0;  ///< 0: nothing is known.
    bool is_lower_bound = false;
  };
  /// Those that have ended since it was asked last.
  std::vector<Ended> take_ended();

  /// A link shall have so many connections, 0: as many as before.
  struct Width {
    std::uint32_t with = 0;
    std::uint32_t connections = 0;
  };
  std::vector<Width> take_widths();
  /// So many payload bytes of a probe have come in.
  void came(std::uint32_t from, std::size_t bytes) { others_[from].bytes_came += bytes; }
  /// The link has got so many connections.
  void link_established(Instant now, std::uint32_t with, std::uint32_t connections, Output& out);

  void start(Output& out) override;
  std::optional<std::span<const std::byte>> payload(Direction direction, std::uint64_t chunk, Output& out) override;
  void sent(std::uint32_t to, Direction direction, std::uint64_t chunk, Output& out) override;
  std::optional<std::uint32_t> worked(Instant, std::uint64_t, const WorkResult&, Output&) override {
    return std::nullopt;
  }
  std::uint64_t chunks() const override;
  Verdict judge(std::uint32_t from, Direction direction, std::uint64_t chunk, std::size_t bytes) const override;
  std::size_t payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const override;
  std::size_t stride(std::uint64_t, std::size_t) const override { return 1; }
  std::byte* landing(std::uint64_t, Output&) override { return nullptr; }
  void arrived(Instant now, std::uint32_t from, Direction direction, std::uint64_t chunk, Payload payload,
               Output& out) override;
  void ready(Instant now, std::uint32_t member, Output& out) override;
  Heard control_came(Instant now, std::uint32_t from, FrameKind kind, std::uint64_t chunk, std::uint64_t count,
                  Output& out) override;
  void tick(Instant now, Output& out) override;
  std::optional<Instant> next_deadline() const override;
  bool complete() const override { return ordered_ && at_ == turns_.size(); }
  Work settle(std::size_t) override { return {}; }
  Work undo(std::size_t) override { return {}; }
  void undo_now() noexcept override {}
  std::vector<std::uint32_t> waiting_for() const override;
  std::vector<std::uint32_t> senders() const override;
  PlanKind plan_kind() const override { return PlanKind::direct; }
  const std::string& plan_reason() const override;

 private:
  /// A pair, as this member sees it.
  struct Turn {
    std::uint32_t with = 0;
    bool sends = false;
    bool receives = false;
    std::optional<Instant> wide_by{};  ///< How long it waits for more connections, once it does.
  };
  /// What is known of one other member.
  struct Other {
    bool ready = false;
    bool asked = false;       ///< It was told to send its burst.
    bool asks = false;        ///< It has said so to this one.
    bool sends = false;       ///< By the order, it sends a burst.
    bool has_enough = false;  ///< It has said what this member's burst came to.
    bool declines = false;    ///< It has said that it sends no burst.
    bool widened = false;
    std::uint32_t connections = 0;  ///< Of the link.
    std::uint64_t bytes_came = 0;   ///< Of its burst, here.
    std::vector<Send> unsaid;       ///< Until it is ready.
  };

  void say(std::uint32_t to, FrameKind kind, std::uint64_t chunk, std::uint64_t count, Output& out);
  bool report_came(std::uint32_t from, std::uint64_t about, std::uint64_t report);
  bool turn_came(std::uint64_t position, std::uint64_t packed);
  void put_in_order(Output& out);
  void ordered();
  void go_on(Instant now, Output& out);
  bool ask(Instant now, Turn& turn, Output& out);
  bool is_wide(Instant now, Turn& turn);
  void widen(const Turn& turn);
  void narrow(const Turn& turn);
  void begin_bursts(Instant now, const Turn& turn, Output& out);
  void burst_came(const Turn& turn, Output& out);
  bool enough_said(std::uint32_t from, std::uint64_t result);

  std::shared_ptr<ProbeCall> call_;
  Setting setting_;
  std::uint64_t frames_;  ///< Of one burst at most.
  std::vector<Other> others_;
  /// At rank 0: what each member has told of each.
  std::vector<std::vector<std::optional<std::uint64_t>>> reports_;
  std::size_t reports_missing_ = 0;
  std::vector<std::optional<Turn>> heard_turns_;
  std::vector<Turn> turns_;
  bool ordered_ = false;
  std::size_t at_ = 0;                ///< The pair whose turn it is.
  bool under_way_ = false;            ///< The bursts of the pair whose turn it is.
  std::optional<ProbeBurst> coming_;  ///< The one that comes in, while it does.
  std::vector<Ended> ended_;
  std::vector<Width> widths_;
};

}  // namespace hawser
