#include "bench/master_bench.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "bench/master_rig.hpp"
#include "bench/planning_cost.hpp"

namespace hawser::bench {
namespace {

/// Newcomers that say hello together: fewer than a group's members open links to at one time.
constexpr std::uint64_t kJoinAtOnce = 64;
constexpr std::uint32_t kGroupSizeMin = 8;
constexpr Duration kNewsApart = milliseconds(100);
constexpr Signature kCalled{.count = 1 << 20};

void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void print_head() {
  std::printf("%-52s %9s %9s %9s %9s %9s %9s %11s\n", "", "CPU ms", "decode", "machine", "encode", "received", "sent",
              "sent KiB");
}

/// Means over so many.
void print(const char* what, const MasterCost& cost, double count = 1) {
  const double ms = 1e3 / count;
  std::printf("%-52s %9.3f %9.3f %9.3f %9.3f %9.0f %9.0f %11.1f\n", what, cost.cpu_s() * ms, cost.decode_s * ms,
              cost.machine_s * ms, cost.encode_s * ms, static_cast<double>(cost.messages_in) / count,
              static_cast<double>(cost.messages_out) / count, static_cast<double>(cost.bytes_out) / 1024 / count);
  std::fflush(stdout);
}

/// The one of the median CPU time.
MasterCost median(std::vector<MasterCost> costs) {
  const auto middle = costs.begin() + static_cast<std::ptrdiff_t>(costs.size() / 2);
  std::nth_element(costs.begin(), middle, costs.end(),
                   [](const MasterCost& a, const MasterCost& b) { return a.cpu_s() < b.cpu_s(); });
  return *middle;
}

/// A run that grows to its size, and what happens to it then.
class MasterBench {
 public:
  explicit MasterBench(const MasterBenchOptions& options) : options_(options) {}

  void run() {
    std::printf("the master of %u members in %u group%s, without sockets: CPU time of its codec and its machine\n\n",
                options_.members, options_.groups, options_.groups == 1 ? "" : "s");
    print_head();
    grow();
    one_more();
    commit(false);
    commit(true);
    measure();
    heartbeat();
    tell_flows();
    mismatch();
    reconnect();
    stall();
    one_less();
    die();
    restart();
  }

 private:
  using Say = std::function<PeerMessage(const MasterRig::Peer& peer)>;
  MasterRig::Words of_all(const Say& say) const {
    MasterRig::Words words;
    for (const auto& [number, peer] : rig_.peers())
      if (peer.is_member()) words.emplace_back(number, say(peer));
    return words;
  }
  void link() {
    for (int quiet = 0; quiet < 2;) {
      rig_.pass(kNewsApart);
      quiet = rig_.say_links() ? 0 : quiet + 1;
    }
  }
  void be_heard() {
    rig_.say(rig_.members(), Ping{});
    rig_.take_cost();
  }

  /// To all members but the last, which one_more() brings in.
  void grow() {
    const std::uint64_t all = options_.members - 1;
    std::vector<std::uint64_t> wanted(options_.groups);
    for (std::uint64_t i = 0; i < all; ++i) ++wanted[(i + 1) % options_.groups];
    while (next_ <= all) {
      for (std::uint32_t group = 0; group < options_.groups; ++group) {
        MasterRig::Numbers newcomers;
        for (; newcomers.size() < kJoinAtOnce && wanted[group] > 0; --wanted[group]) newcomers.push_back(next_++);
        rig_.hello(newcomers, group);
      }
      link();
      const MasterRig::Numbers members = rig_.members();
      if (members.empty())
        rig_.pass(MasterRig::kConfig.bootstrap);  // The first ones come in without a vote.
      else
        rig_.say(members, UpdateCall{});
    }
    expect(rig_.members().size() == all, "not all came in");
    print("newcomer, while the run grows", rig_.take_cost(), static_cast<double>(all));
  }

  void one_more() {
    const MasterRig::Numbers members = rig_.members();
    rig_.hello({next_++}, 0);
    link();
    print("newcomer says hello and has its links", rig_.take_cost());
    rig_.say({members.begin(), members.end() - 1}, UpdateCall{});
    print("update-topology, called by all but one", rig_.take_cost());
    rig_.say({members.back()}, UpdateCall{});
    expect(rig_.members().size() == members.size() + 1, "the newcomer did not come in");
    print("view change: the last one calls it, one comes in", rig_.take_cost());
  }

  void commit(bool lasts) {
    std::vector<MasterCost> costs;
    for (std::uint32_t round = 0; round < options_.rounds; ++round) {
      const std::uint64_t before = rig_.told().committed;
      const std::uint64_t tag = ++tags_;
      if (lasts) rig_.hear(of_all([&](const auto& peer) { return Begun{.key = peer.key(tag), .signature = kCalled}; }));
      rig_.hear(of_all([&](const auto& peer) { return Report{.key = peer.key(tag), .signature = kCalled}; }));
      expect(rig_.told().committed - before == options_.members, "not all were told of the commit");
      costs.push_back(rig_.take_cost());
    }
    print(lasts ? "collective that lasts and is committed" : "collective that is committed", median(costs));
  }

  void measure() {
    rig_.hear(of_all([](const MasterRig::Peer& peer) {
      const std::size_t size = peer.view.size() <= limits::kMeasuredGroupMax ? peer.view.size() : 0;
      return Measured{.view = peer.view.id, .row = {.bytes_per_second = std::vector<std::uint64_t>(size, 125'000'000),
                                                    .delay_ns = std::vector<std::uint64_t>(size, 20'000'000)}};
    }));
    rig_.take_cost();
    const std::uint64_t tag = ++tags_;
    rig_.hear(of_all([&](const auto& peer) { return Report{.key = peer.key(tag), .signature = kCalled}; }));
    if (rig_.told().measures > 0) print("collective that is committed, with measures", rig_.take_cost());
  }

  void heartbeat() {
    std::vector<MasterCost> pings;
    MasterCost ticking;
    std::uint64_t ticks = 0;
    const MasterRig::Numbers members = rig_.members();
    be_heard();
    for (std::uint32_t round = 0; round < options_.rounds; ++round) {
      ticks += rig_.pass(MasterRig::kConfig.silence / 4);
      const MasterCost passed = rig_.take_cost();
      ticking.machine_s += passed.machine_s;
      ticking.encode_s += passed.encode_s;
      rig_.say(members, Ping{});
      pings.push_back(rig_.take_cost());
    }
    print("heartbeat: one ping of each member", median(pings));
    print("tick", ticking, static_cast<double>(std::max<std::uint64_t>(ticks, 1)));
  }

  /// A long collective goes on, and one link of each member is slower than was planned.
  void tell_flows() {
    const std::uint64_t tag = ++tags_;
    rig_.hear(of_all([&](const auto& peer) { return Begun{.key = peer.key(tag), .signature = kCalled}; }));
    rig_.take_cost();
    rig_.hear(of_all([&](const MasterRig::Peer& peer) {
      const Member& next = peer.view.members[(*peer.view.rank_of(peer.who.id) + 1) % peer.view.size()];
      return Complaint{.key = peer.key(tag), .period_ms = 3000, .flows = {{.to = next.id, .percent = 20}}};
    }));
    print("each member tells of one slow link", rig_.take_cost());
    rig_.hear(of_all([&](const auto& peer) { return Report{.key = peer.key(tag), .signature = kCalled}; }));
    print("and the collective is committed", rig_.take_cost());
  }

  /// Half of the members call otherwise.
  void mismatch() {
    const std::uint64_t tag = ++tags_;
    const std::uint64_t before = rig_.told().views;
    rig_.hear(of_all([&](const MasterRig::Peer& peer) {
      return Begun{.key = peer.key(tag), .signature = {.count = 1 + peer.who.id.value % 2}};
    }));
    expect(rig_.told().views - before == options_.members, "the mismatch was not told");
    print("view change: members called different things", rig_.take_cost());
  }

  void reconnect() {
    rig_.reconnect();
    print("all connections break, and all members are back", rig_.take_cost());
  }

  /// All wait for the neighbour behind, and the whole ring for one that waits for nobody.
  void stall() {
    const std::uint64_t tag = ++tags_;
    const std::uint64_t before = rig_.told().views;
    const std::uint64_t guilty = rig_.members().back();
    rig_.hear(of_all([&](const auto& peer) { return Begun{.key = peer.key(tag), .signature = kCalled}; }));
    for (Duration stalled{}; stalled <= MasterRig::kConfig.stall + seconds(1); stalled += seconds(1)) {
      rig_.say(rig_.members(), Ping{});
      rig_.pass(seconds(1));
    }
    be_heard();
    rig_.hear(of_all([&](const MasterRig::Peer& peer) -> PeerMessage {
      if (peer.who.id.value == guilty) return Ping{};
      const std::uint32_t rank = *peer.view.rank_of(peer.who.id);
      const Member& behind = peer.view.members[(rank + peer.view.size() - 1) % peer.view.size()];
      return Complaint{.key = peer.key(tag), .stalled_ms = 7000, .waiting_for = {behind.id}};
    }));
    print("each member complains of a stall", rig_.take_cost());
    rig_.pass(MasterRig::kConfig.stall / 4);
    expect(rig_.told().views > before && rig_.members().back() != guilty, "nobody was blamed for the stall");
    print("view change: the stall is judged, one is expelled", rig_.take_cost());
    be_heard();
  }

  void one_less() {
    const std::uint64_t before = rig_.told().views;
    rig_.say({rig_.members().back()}, Leave{});
    expect(rig_.told().views > before, "nobody was told that one had left");
    print("view change: one leaves", rig_.take_cost());
  }

  void die() {
    const std::uint64_t before = rig_.told().views;
    const std::uint64_t number = rig_.members().back();
    rig_.kill({number});
    Linked word;
    word.down.push_back({number});
    rig_.say(rig_.members(), word);
    print("one dies, and all others say that their links broke", rig_.take_cost());
    rig_.pass(seconds(1));
    expect(rig_.told().views > before, "nobody was told of the death");
    print("view change: it is given up", rig_.take_cost());
  }

  void restart() {
    const std::uint64_t before = rig_.told().views;
    const std::size_t members = rig_.members().size();
    rig_.restart_master();
    expect(rig_.told().views - before == members, "the restarted master did not take up the run");
    print("the master is restarted, and all members are back", rig_.take_cost());
  }

  MasterBenchOptions options_;
  MasterRig rig_;
  std::uint64_t next_ = 1;
  std::uint64_t tags_ = 0;
};

}  // namespace

int run_master_bench(const MasterBenchOptions& options) try {
  const std::uint32_t smallest = options.members / options.groups;
  expect(
      smallest >= kGroupSizeMin && smallest + (options.members % options.groups > 0 ? 1 : 0) <= limits::kGroupSizeMax,
      "a group has 8 to 1024 members here; give other numbers of members and groups");
  MasterBench(options).run();
  print_planning_cost((options.members + options.groups - 1) / options.groups);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
