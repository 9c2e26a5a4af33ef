#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/instant.hpp"
#include "shared_state/swarm.hpp"

namespace hawser {

/// One member of a simulated transfer.
struct SwarmMember {
  Duration up = milliseconds(10);  ///< For a slice to leave it; slices leave one after another.
  Duration down{};                 ///< For a slice to come in.
  Instant ready_at{};              ///< For the others.
  /// Nothing leaves it or is heard by it in between.
  Instant stops_at = Instant::max();
  Instant goes_on_at = Instant::max();
  Instant gone_at = Instant::max();   ///< For good, and the others know.
  std::vector<bool> has;              ///< Empty: nothing.
  std::set<std::uint64_t> damaged{};  ///< Its copies of these are.
};

/// A transfer in virtual time. Words and slices go in order per pair, slices through one uplink for each
/// member, its links in turn, and one downlink.
class SwarmSimulation {
 public:
  std::vector<Swarm> swarms;
  std::vector<std::uint64_t> sent;      ///< Slices by each member.
  std::vector<std::uint64_t> repeated;  ///< Slices that came to each member for nothing.
  std::vector<std::string> wrong;       ///< What must not happen.
  std::vector<std::optional<Instant>> complete_at;
  std::map<std::pair<std::uint32_t, std::uint64_t>, int> asked;  ///< Of anybody, by a member, of a slice.
  Instant now{};
  std::uint64_t events = 0;

  SwarmSimulation(std::vector<SwarmMember> members, const std::vector<SwarmPart>& parts,
                  Duration latency = milliseconds(1), SwarmLimits limits = {})
      : members_(std::move(members)), latency_(latency), parts_(parts) {
    const auto count = static_cast<std::uint32_t>(members_.size());
    std::uint64_t slices = 0;
    for (const SwarmPart& part : parts) slices += part.slices;
    sent.resize(count);
    repeated.resize(count);
    complete_at.resize(count);
    ticks_.resize(count);
    ways_.resize(count);
    for (std::uint32_t self = 0; self < count; ++self) {
      for (std::uint32_t peer = 0; peer < count; ++peer)
        if (peer != self && members_[peer].gone_at != Instant::max())
          post(members_[peer].gone_at, {.kind = Event::gone, .at = self, .from = peer});
      auto has = members_[self].has;
      has.resize(slices);
      swarms.emplace_back(self, count, parts, std::move(has), limits);
      ways_[self].queues.resize(count);
      for (std::uint32_t peer = 0; peer < count; ++peer)
        if (peer != self)
          post(std::max(members_[self].ready_at, members_[peer].ready_at),
               {.kind = Event::ready, .at = self, .from = peer});
    }
  }

  /// Until all of these are complete, or the time is over. True if they are.
  bool run(const std::vector<std::uint32_t>& wanted, Duration limit = seconds(600)) {
    for (std::uint32_t self = 0; self < swarms.size(); ++self) after(self);
    while (wrong.empty() && !events_.empty()) {
      if (std::all_of(wanted.begin(), wanted.end(), [&](auto self) { return complete_at[self].has_value(); }))
        return true;
      const Event event = events_.top();
      events_.pop();
      if (event.when > Instant{} + limit) return false;
      now = event.when;
      const SwarmMember& member = members_[event.at];
      const bool from_gone = event.kind != Event::gone && now >= members_[event.from].gone_at;
      if (from_gone || now >= member.gone_at) continue;
      if (now >= member.stops_at && now < member.goes_on_at) {
        if (member.goes_on_at == Instant::max()) continue;
        Event later = event;
        later.when = member.goes_on_at;
        events_.push(later);
        continue;
      }
      ++events;
      happen(event);
    }
    return false;
  }
  bool run(Duration limit = seconds(600)) {
    std::vector<std::uint32_t> all;
    for (std::uint32_t self = 0; self < swarms.size(); ++self) all.push_back(self);
    return run(all, limit);
  }
  /// When the last of them was complete.
  Duration took() const {
    Instant last{};
    for (const auto& at : complete_at) last = std::max(last, at.value_or(last));
    return last - Instant{};
  }

 private:
  struct Event {
    enum Kind : std::uint8_t { ready, gone, word, coming_in, slice, acknowledged, uplink_free, tick };
    Instant when{};
    std::uint64_t number = 0;
    Kind kind = tick;
    std::uint32_t at = 0;
    std::uint32_t from = 0;
    SwarmMessage said{};
    bool operator>(const Event& other) const {
      return std::pair(when, number) > std::pair(other.when, other.number);
    }
  };
  struct Ways {
    std::vector<std::deque<std::uint64_t>> queues;  ///< To each other member.
    std::uint32_t last = 0;
    bool up_busy = false;
    Instant down_free_at{};
  };

  void post(Instant when, Event event) {
    event.when = when;
    event.number = ++numbers_;
    events_.push(event);
  }
  void check(bool good, const std::string& what, const Event& event) {
    if (good) return;
    wrong.push_back(what + " at " + std::to_string(event.at) + " from " + std::to_string(event.from) +
                    " slice " + std::to_string(event.said.slice) + " at " +
                    std::to_string((now - Instant{}).count()) + " us");
  }

  void happen(const Event& event) {
    std::vector<SwarmMessage> out;
    Swarm& swarm = swarms[event.at];
    switch (event.kind) {
      case Event::ready: swarm.peer_ready(now, event.from, out); break;
      case Event::gone:
        swarm.peer_gone(now, event.from, out);
        ways_[event.at].queues[event.from].clear();
        break;
      case Event::word: hear(event, out); break;
      case Event::coming_in: {
        Instant& free_at = ways_[event.at].down_free_at;
        free_at = std::max(free_at, now) + members_[event.at].down;
        Event in = event;
        in.kind = Event::slice;
        post(free_at, in);
        break;
      }
      case Event::slice: slice_arrives(event, out); break;
      case Event::acknowledged: swarm.served(event.from, event.said.slice); break;
      case Event::uplink_free: ways_[event.at].up_busy = false; break;
      case Event::tick:
        ticks_[event.at].reset();
        swarm.tick(now, out);
        check(swarm.next_deadline().value_or(Instant::max()) > now, "a deadline that is over", event);
        break;
    }
    for (const SwarmMessage& word : out) {
      if (word.kind == SwarmMessage::Kind::want || word.kind == SwarmMessage::Kind::wish)
        ++asked[{event.at, word.slice}];
      post(now + latency_, {.kind = Event::word, .at = word.to, .from = event.at, .said = word});
    }
    send(event.at);
    after(event.at);
  }

  void after(std::uint32_t self) {
    const bool complete = swarms[self].complete();
    if (!complete) complete_at[self].reset();
    if (complete && !complete_at[self]) complete_at[self] = now;
    const auto due = swarms[self].next_deadline();
    if (!due || (ticks_[self] && *ticks_[self] <= *due)) return;
    ticks_[self] = *due;
    post(std::max(now, *due), {.kind = Event::tick, .at = self, .from = self});
  }

  void hear(const Event& event, std::vector<SwarmMessage>& out) {
    Swarm& swarm = swarms[event.at];
    const SwarmMessage& said = event.said;
    auto& queue = ways_[event.at].queues[event.from];
    switch (said.kind) {
      case SwarmMessage::Kind::want:
      case SwarmMessage::Kind::wish: {
        const auto answer = swarm.want_came(event.from, said.slice, said.kind == SwarmMessage::Kind::wish, out);
        check(answer != Swarm::Answer::impossible, "an impossible wish", event);
        if (answer == Swarm::Answer::send) queue.push_back(said.slice);
        break;
      }
      case SwarmMessage::Kind::unwant:
        if (swarm.unwant_came(event.from, said.slice)) std::erase(queue, said.slice);
        break;
      case SwarmMessage::Kind::decline:
        check(swarm.decline_came(now, event.from, said.slice, out), "an impossible decline", event);
        break;
      case SwarmMessage::Kind::have:
        check(swarm.have_came(now, event.from, said.slice, said.count, out), "an impossible have", event);
        break;
    }
  }

  void send(std::uint32_t self) {
    Ways& ways = ways_[self];
    const auto count = static_cast<std::uint32_t>(ways.queues.size());
    for (std::uint32_t tried = 1; tried <= count && !ways.up_busy; ++tried) {
      const std::uint32_t to = (ways.last + tried) % count;
      auto& queue = ways.queues[to];
      if (queue.empty()) continue;
      const std::uint64_t slice = queue.front();
      queue.pop_front();
      ways.last = to;
      ways.up_busy = true;
      ++sent[self];
      const Instant left = now + members_[self].up;
      post(left, {.kind = Event::uplink_free, .at = self, .from = self});
      post(left + latency_, {.kind = Event::coming_in, .at = to, .from = self, .said = {.slice = slice}});
    }
  }

  void slice_arrives(const Event& event, std::vector<SwarmMessage>& out) {
    Swarm& swarm = swarms[event.at];
    const std::uint64_t slice = event.said.slice;
    post(now + latency_,
         {.kind = Event::acknowledged, .at = event.from, .from = event.at, .said = event.said});
    const auto arrival = swarm.judge(event.from, slice);
    check(arrival != Swarm::Arrival::impossible, "an impossible slice", event);
    if (arrival == Swarm::Arrival::repeated) ++repeated[event.at];
    if (arrival != Swarm::Arrival::expected) return;
    if (members_[event.from].damaged.contains(slice))
      swarm.slice_bad(now, event.from, slice, out);
    else
      swarm.slice_came(now, event.from, slice, out);
  }

  std::vector<SwarmMember> members_;
  Duration latency_;
  std::vector<SwarmPart> parts_;
  std::vector<Ways> ways_;
  std::vector<std::optional<Instant>> ticks_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t numbers_ = 0;
};

}  // namespace hawser
