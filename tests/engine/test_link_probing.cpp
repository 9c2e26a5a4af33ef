/// Optimize-topology without sockets: members whose frames pass in order, a burst by the clock.
#include "engine/link_probing.hpp"

#include <deque>
#include <functional>
#include <map>

#include "../catch.hpp"

using namespace hawser;

namespace {

constexpr std::uint64_t kBytes = 1 << 20;

struct Members {
  explicit Members(std::uint32_t size, std::uint32_t known_below = 0)
      : Members(size, [known_below](std::uint32_t from, std::uint32_t to) {
          return ProbeLink{.wanted = to >= known_below || from >= known_below, .round_trip = milliseconds(20)};
        }) {}
  Members(std::uint32_t size, const std::function<ProbeLink(std::uint32_t, std::uint32_t)>& link) : calls(size) {
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      calls[rank] = std::make_shared<ProbeCall>();
      calls[rank]->bounds.bytes_max = kBytes;
      LinkProbing::Setting setting{.rank = rank, .world_size = size, .links = {}, .began = now};
      for (std::uint32_t to = 0; to < size; ++to) setting.links.push_back(link(rank, to));
      probings.push_back(std::make_unique<LinkProbing>(calls[rank], std::move(setting)));
    }
    for (std::uint32_t rank = 0; rank < size; ++rank) probings[rank]->start(frames(rank));
    for (std::uint32_t rank = 0; rank < size; ++rank)
      for (const std::uint32_t other : probings[rank]->senders()) probings[rank]->ready(now, other, frames(rank));
  }

  /// What a member says goes on its way.
  Execution::Output& frames(std::uint32_t from) { return said[from]; }

  void deliver() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::uint32_t from = 0; from < probings.size(); ++from) {
        for (const Execution::Send& send : std::exchange(said[from].sends, {})) {
          moved = true;
          if (send.kind == FrameKind::chunk) {
            bursts[{from, send.to}].push_back(send);
            continue;
          }
          REQUIRE(probings[send.to]->control_came(now, from, send.kind, send.chunk, send.count, said[send.to]) ==
                  Execution::Heard::fine);
          take(send.to);
        }
        take(from);
      }
    }
  }

  void take(std::uint32_t rank) {
    for (const LinkProbing::Ended& ended : probings[rank]->take_ended()) {
      bursts.erase({rank, ended.to});  // As the engine does.
      results[{rank, ended.to}] = ended;
    }
  }

  /// A millisecond passes, in which every burst brings a frame to its end.
  void pass() {
    now += milliseconds(1);
    std::map<std::uint32_t, int> senders;
    std::map<std::uint32_t, int> receivers;
    for (auto& [pair, burst] : bursts) {
      if (burst.empty()) continue;
      const Execution::Send send = burst.front();
      burst.pop_front();
      // Each access link has one burst at a time.
      CHECK(++senders[pair.first] == 1);
      CHECK(++receivers[pair.second] == 1);
      REQUIRE(probings[pair.second]->judge(pair.first, send.direction, send.chunk, send.bytes) ==
              Execution::Verdict::discarded);
      CHECK(probings[pair.first]->payload(send.direction, send.chunk, frames(pair.first))->size() == send.bytes);
      probings[pair.second]->came(pair.first, send.bytes);
      probings[pair.first]->sent(pair.second, send.direction, send.chunk, frames(pair.first));
    }
    for (std::uint32_t rank = 0; rank < probings.size(); ++rank)
      if (const auto due = probings[rank]->next_deadline(); due && *due <= now) {
        probings[rank]->tick(now, frames(rank));
        take(rank);
      }
    deliver();
  }

  bool all_complete() const {
    return std::all_of(probings.begin(), probings.end(), [](const auto& one) { return one->complete(); });
  }

  Instant now{seconds(9)};
  std::vector<std::shared_ptr<ProbeCall>> calls;
  std::vector<std::unique_ptr<LinkProbing>> probings;
  std::map<std::uint32_t, Execution::Output> said;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::deque<Execution::Send>> bursts;
  std::map<std::pair<std::uint32_t, std::uint32_t>, LinkProbing::Ended> results;
};

}  // namespace

TEST_CASE("every link is probed once, and no access link by two bursts") {
  for (const std::uint32_t size : {2U, 3U, 5U, 8U}) {
    Members members(size);
    members.deliver();
    for (int ms = 0; ms < 60'000 && !members.all_complete(); ++ms) members.pass();
    REQUIRE(members.all_complete());
    CHECK(members.results.size() == std::size_t{size} * (size - 1));
    for (const auto& [pair, result] : members.results) CHECK(result.bytes_per_second > 0);
    for (const auto& call : members.calls) {
      CHECK(call->pairs_total == size - 1);
      CHECK(call->pairs_done == size - 1);
      CHECK(call->measured == size - 1);
    }
  }
}

TEST_CASE("what is known is not probed, and all know that there is nothing to do") {
  Members known(4, 4);
  known.deliver();
  CHECK(known.all_complete());
  CHECK(known.results.empty());
  Members partly(4, 3);
  partly.deliver();
  for (int ms = 0; ms < 60'000 && !partly.all_complete(); ++ms) partly.pass();
  REQUIRE(partly.all_complete());
  CHECK(partly.results.size() == 6);  // To and from the last one.
}

TEST_CASE("frames and words that nobody asked for are impossible") {
  Members members(3);
  const auto impossible = [&](std::uint32_t at, std::uint32_t from, FrameKind kind, std::uint64_t chunk,
                              std::uint64_t count) {
    return members.probings[at]->control_came(members.now, from, kind, chunk, count, members.frames(at)) ==
           Execution::Heard::impossible;
  };
  CHECK(members.probings[1]->judge(2, Direction::down, 0, 4096) == Execution::Verdict::impossible);
  CHECK(impossible(0, 1, FrameKind::have, 1, 0));          // Of its link to itself.
  CHECK(impossible(0, 1, FrameKind::have, 3, 0));          // Of a member that there is not.
  CHECK(impossible(0, 1, FrameKind::have, 2, ~0ULL));      // Round trips of years.
  CHECK(impossible(1, 2, FrameKind::have, 0, 0));          // Only rank 0 says who is next.
  CHECK(impossible(1, 0, FrameKind::have, 0, 9ULL << 32)); // More pairs than there are members.
  CHECK(impossible(1, 0, FrameKind::have, 0, (1ULL << 32) | 1));  // With itself.
  CHECK(impossible(1, 0, FrameKind::wish, 0, 0));
  CHECK(impossible(1, 2, FrameKind::unwant, 0, ~0ULL));     // Faster than any way.
}

TEST_CASE("after its time is up a member probes no more, and the others do not wait for it") {
  Members members(4);
  members.calls[2]->bounds.total = Duration{};
  members.deliver();
  for (int ms = 0; ms < 60'000 && !members.all_complete(); ++ms) members.pass();
  REQUIRE(members.all_complete());
  CHECK(members.results.size() == 9);
  CHECK(members.calls[2]->measured == 0);
}

TEST_CASE("who only sends to one member asks the next for its burst when its own is over") {
  Members members(3, [](std::uint32_t from, std::uint32_t to) {
    return ProbeLink{.wanted = (from == 0 && to == 1) || (from == 2 && to == 0), .round_trip = milliseconds(20)};
  });
  members.deliver();
  bool both = false;
  for (int ms = 0; ms < 60'000 && !members.all_complete(); ++ms) {
    both = both || (members.bursts.contains({0, 1}) && members.bursts.contains({2, 0}));
    members.pass();
  }
  REQUIRE(members.all_complete());
  CHECK_FALSE(both);
  CHECK(members.results.size() == 2);
}

TEST_CASE("a link that has connections enough already is not waited for") {
  const auto links = [](std::uint32_t connections) {
    return [connections](std::uint32_t from, std::uint32_t to) {
      return ProbeLink{
          .wanted = true, .widens = from < to, .connections = connections, .round_trip = milliseconds(20)};
    };
  };
  Members wide(2, links(48));
  wide.deliver();
  CHECK(wide.bursts.size() == 2);
  Members thin(2, links(2));
  thin.deliver();
  CHECK(thin.bursts.empty());
  // It may be the last thing to happen, once the link stands or the time is up.
  thin.calls[0]->bounds.total = thin.calls[1]->bounds.total = Duration{};
  thin.probings[0]->link_established(thin.now, 1, 48, thin.frames(0));
  thin.deliver();
  CHECK(thin.all_complete());
}

TEST_CASE("who waits for whom is known") {
  Members members(3);
  CHECK(members.probings[0]->waiting_for() == std::vector<std::uint32_t>{1, 2});
  CHECK(members.probings[2]->waiting_for() == std::vector<std::uint32_t>{0});
}

TEST_CASE("words may overtake each other, or come twice") {
  // Rank 1 has waited in vain, and its first word is still under way: there is nothing to send any more.
  const Instant now{seconds(9)};
  LinkProbing alone(std::make_shared<ProbeCall>(),
                    {.rank = 0, .world_size = 2, .links = {{}, {.wanted = true}}, .began = now});
  Execution::Output said;
  alone.start(said);
  alone.ready(now, 1, said);
  for (int times = 0; times < 2; ++times)
    CHECK(alone.control_came(now, 1, FrameKind::unwant, 0, 0, said) == Execution::Heard::fine);
  CHECK_FALSE(alone.complete());
  CHECK(alone.control_came(now, 1, FrameKind::have, 0, 0, said) == Execution::Heard::fine);
  CHECK(alone.complete());
  CHECK(alone.control_came(now, 1, FrameKind::want, 0, 0, said) == Execution::Heard::fine);
  CHECK(alone.take_ended().size() == 1);
  for (const Execution::Send& send : said.sends) CHECK(send.kind != FrameKind::chunk);
}
