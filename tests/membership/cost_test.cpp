#include <algorithm>
#include <ctime>
#include <functional>

#include "membership/master_machine.hpp"
#include "catch.hpp"
#include "membership/master_bench.hpp"

/// What messages cost the master must not grow with what else is in flight. Only ratios are compared, of this process's
/// own CPU time, with much room.
namespace hawser {
namespace {

/// A master alone: what it does is thrown away.
class LoneMaster {
 public:
  LoneMaster() : master_(kPatient, 1, now) {}
  Instant now{};

  void step(const MasterEvent& event) {
    actions_.clear();
    master_.step(now, event, actions_);
    // As a driver does after each event.
    next_ = master_.next_deadline();
  }
  void say(std::uint64_t peer, PeerMessage message) { step(PeerSaid{{peer}, std::move(message)}); }
  MasterActions actions() const { return one_by_one(actions_); }

 private:
  MasterMachine master_;
  MasterActions actions_;
  std::optional<Instant> next_;
};

/// The least CPU time of some runs, in seconds.
double seconds_of(const std::function<void()>& what) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const std::clock_t begun = std::clock();
    what();
    best = std::min(best, static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
  }
  return best;
}

Introduction introduction(std::uint64_t peer) {
  return {.id = {peer}, .token = peer, .connection = 1, .group = 0, .name = "p" + std::to_string(peer),
          .address = {.host = MasterBench::host(peer), .port = 1}};
}

/// Members 1 to n in a view, of which the key names a collective.
OpKey found(LoneMaster& master, std::uint64_t n) {
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    master.step(ConnectionOpened{.connection = {peer}, .remote_host = MasterBench::host(peer)});
    master.say(peer, Hello{introduction(peer)});
  }
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    Linked word;
    for (std::uint64_t other = 1; other <= n; ++other)
      if (other != peer) word.up.push_back({other});
    master.say(peer, word);
  }
  master.now += seconds(1);
  master.step(Tick{});
  for (const MasterAction& action : master.actions())
    if (const auto* const send = std::get_if<SendToPeer>(&action))
      if (const auto* const start = std::get_if<StartView>(&send->message))
        return {.epoch = start->epoch, .view = start->id, .tag = 0, .sequence = 0};
  FAIL("no view was started");
  return {};
}

/// Members 1 to n, taken up by a restarted master, so that there may be any number of them. Of their view a key.
OpKey take_up(LoneMaster& master, std::uint64_t n) {
  View view{.epoch = {7}, .id = {8}, .group = 0, .link_secret = 9, .members = {}};
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    const Introduction who = introduction(peer);
    view.members.push_back({.id = who.id, .name = who.name, .address = who.address});
  }
  const ViewMark mark = mark_of(view);
  // One is missed until the last moment.
  for (std::uint64_t peer = 1; peer <= n; ++peer) {
    if (peer == n / 2) master.now += seconds(2);
    master.step(ConnectionOpened{.connection = {peer}, .remote_host = MasterBench::host(peer)});
    master.say(peer, Resume{.who = introduction(peer), .run = {5}, .view = mark});
    if (peer == 1) master.say(peer, ViewPresented{view});
  }
  for (std::uint64_t peer = 1; peer <= n; ++peer) master.say(peer, OutcomesPresented{});
  std::size_t started = 0;
  OpKey key;
  for (const MasterAction& action : master.actions())
    if (const auto* const send = std::get_if<SendToPeer>(&action))
      if (const auto* const start = std::get_if<StartView>(&send->message)) {
        key = {.epoch = start->epoch, .view = start->id, .tag = 0, .sequence = 0};
        ++started;
      }
  CHECK(started == n);
  return key;
}

/// The seconds of one of n members' words.
double seconds_per_word(std::uint64_t n, const std::function<PeerMessage(std::uint64_t, const OpKey&)>& word) {
  LoneMaster master;
  const OpKey key = take_up(master, n);
  for (std::uint64_t peer = 1; peer <= n; ++peer) master.say(peer, Begun{.key = key, .signature = {.count = 10}});
  return seconds_of([&] {
           for (std::uint64_t peer = 1; peer <= n; ++peer) master.say(peer, word(peer, key));
         }) /
         static_cast<double>(n);
}

}  // namespace

TEST_CASE("what a collective costs the master does not grow with the number of collectives in flight") {
  const auto seconds_per_tag = [](std::uint64_t tags, bool differ) {
    return seconds_of([&] {
             LoneMaster master;
             OpKey key = found(master, 3);
             // One that waits for a member, so that a mismatch is looked for all the while.
             if (differ)
               for (const std::uint64_t peer : {1, 2}) {
                 OpKey other = key;
                 other.tag = 1000000;
                 master.say(peer, Begun{.key = other, .signature = {.count = peer}});
               }
             for (const std::uint64_t peer : {1, 2})
               for (key.tag = 0; key.tag < tags; ++key.tag)
                 master.say(peer, Begun{.key = key, .signature = {.count = 10}});
             for (const std::uint64_t peer : {1, 2})
               for (key.tag = 0; key.tag < tags; ++key.tag)
                 master.say(peer, Report{.key = key, .signature = {.count = 10}});
             for (key.tag = 0; key.tag < tags; ++key.tag)
               master.say(3, Report{.key = key, .signature = {.count = 10}});
             CHECK_FALSE(master.actions().empty());
           }) /
           static_cast<double>(tags);
  };
  const bool differ = GENERATE(false, true);
  const double few = seconds_per_tag(250, differ);
  const double many = seconds_per_tag(8000, differ);
  INFO(few * 1e6 << " and " << many * 1e6 << " us per tag");
  CHECK(many < 8 * few);
}

TEST_CASE("what a ping or a status costs the master does not grow with the number of collectives in flight") {
  const auto seconds_of_pings = [](std::uint64_t tags) {
    LoneMaster master;
    OpKey key = found(master, 3);
    for (key.tag = 0; key.tag < tags; ++key.tag) master.say(1, Begun{.key = key, .signature = {.count = 10}});
    return seconds_of([&] {
      for (int i = 0; i < 20000; ++i) master.say(1 + i % 3, Ping{});
    });
  };
  CHECK(seconds_of_pings(4000) < 20 * seconds_of_pings(40));
}

TEST_CASE("what one former member costs a restarted master hardly grows with their number") {
  const auto seconds_per_claim = [](std::uint64_t members) {
    // The shortest of some: the machine does other things, too.
    double least = 1e9;
    for (int i = 0; i < 3; ++i)
      least = std::min(least, seconds_of([&] {
        LoneMaster master;
        take_up(master, members);
      }));
    return least / static_cast<double>(members);
  };
  const double few = seconds_per_claim(125);
  const double many = seconds_per_claim(1000);
  INFO(few * 1e6 << " and " << many * 1e6 << " us per claim");
  // Its view has eight times as many members, of which caches hold less; with the square of them it would be 64.
  CHECK(many < 32 * few);
}

TEST_CASE("what a member's word costs hardly grows with the number of members") {
  const auto compare = [](const std::function<PeerMessage(std::uint64_t, const OpKey&)>& word) {
    const double few = seconds_per_word(60, word);
    const double many = seconds_per_word(960, word);
    INFO(few * 1e6 << " and " << many * 1e6 << " us per word");
    CHECK(many < 8 * few);
  };
  SECTION("on slow links") {
    compare([](std::uint64_t peer, const OpKey& key) {
      const PeerId to{peer == 1 ? 2 : peer - 1};
      return Complaint{.key = key, .period_ms = 3000, .flows = {{.to = to, .percent = 10}}};
    });
  }
  SECTION("on slow links to one member") {
    compare([](std::uint64_t peer, const OpKey& key) {
      return Complaint{.key = key, .period_ms = 3000, .flows = {{.to = {peer == 1 ? 2ULL : 1ULL}, .percent = 10}}};
    });
  }
  SECTION("on links that stand") {
    compare([](std::uint64_t peer, const OpKey&) { return Linked{.up = {{peer == 1 ? 2ULL : 1ULL}}}; });
  }
}

TEST_CASE("what a member's word on its link to one that has gone costs hardly grows with their number") {
  // As many that stay away, fewer than half of them with a word against them, so that nobody is lost meanwhile.
  const auto seconds_per_word_of = [](std::uint64_t members) {
    LoneMaster master;
    take_up(master, members);
    for (std::uint64_t gone = 1; gone <= 8; ++gone) master.step(ConnectionClosed{{gone}, "closed"});
    Linked word;
    for (std::uint64_t gone = 1; gone <= 8; ++gone) word.down.push_back({gone});
    return seconds_of([&] {
             for (std::uint64_t peer = members / 2 + 10; peer <= members; ++peer) master.say(peer, word);
           }) /
           static_cast<double>(members / 2);
  };
  const double few = seconds_per_word_of(60);
  const double many = seconds_per_word_of(960);
  INFO(few * 1e6 << " and " << many * 1e6 << " us per word");
  CHECK(many < 8 * few);
}

}  // namespace hawser
