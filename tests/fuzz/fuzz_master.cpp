// The master's state machine among hostile clients. The input is a script: each step opens or closes a
// connection, lets time pass, or says something: raw bytes through the decoder, what an honest peer would say
// (so that deep states are reached), or a well-formed lie about views, epochs and collectives. After each
// step: no bug is found in the machine, every action is about a connection that is open, every message can be
// decoded by its receiver, deadlines lie ahead, and what is held stays bounded.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "membership/master_machine.hpp"
#include "wire/control_codec.hpp"
#include "wire/loggable_text.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#  define HAWSER_SANITIZED 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#    define HAWSER_SANITIZED 1
#  endif
#endif

#if defined(HAWSER_SANITIZED)
// As in <sanitizer/allocator_interface.h>, which GCC's packages don't all have.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#else
#  include <malloc.h>
#endif

namespace {

using namespace hawser;

/// What the program has taken from the allocator and not given back.
std::size_t bytes_held() {
#if defined(HAWSER_SANITIZED)
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

constexpr std::size_t kPeers = 8;
constexpr std::size_t kOpenMax = 300;
constexpr std::size_t kFloodsMax = 2;
constexpr std::size_t kFloodMessages = 100;
constexpr std::size_t kFloodNewcomers = 16;
constexpr std::size_t kTicksAtOneInstantMax = 8;
constexpr Duration kDeadlineAheadMax = std::chrono::hours(24);
/// What the machine may hold at rest and for each connection that is open.
constexpr std::size_t kBytesHeldMax = 32 << 20;
constexpr std::size_t kBytesHeldPerConnectionMax = 8 << 10;

/// The input as choices; zeros when it is used up.
class Choices {
 public:
  explicit Choices(std::span<const std::byte> bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  std::size_t below(std::size_t bound) { return byte() % bound; }
  std::size_t byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::size_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::span<const std::byte> take(std::size_t length) {
    const auto taken = rest_.first(std::min(length, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::byte> rest_;
};

/// What the other end of a connection has learned.
struct Client {
  std::size_t peer = 0;
  View proposed;
  View started;
  std::uint64_t epoch_started = 0;
};

class Script {
 public:
  explicit Script(std::span<const std::byte> input)
      : choices_(input), bytes_before_(bytes_held()), machine_(config(), choices_.byte(), now_) {}

  void play() {
    while (!choices_.done()) act();
    // Left alone, the machine comes to rest: every deadline of a world without events is met in the end.
    for (int i = 0; i < 64 && machine_.next_deadline(); ++i) pass_time_until(*machine_.next_deadline());
  }

 private:
  /// As shipped, but for the wait for calls, which else outlasts every script.
  static MasterConfig config() {
    MasterConfig shipped;
    shipped.call_wait = seconds(20);
    return shipped;
  }

  void act() {
    switch (choices_.below(24)) {
      case 0:
      case 1: return open();
      case 2: return close();
      case 3: return let_time_pass();
      case 4: return say_raw();
      case 5:
      case 6: return say(Hello{introduction()});
      case 7: return answer_prepare();
      case 8: return everybody_answers_prepare();
      case 9: return say(UpdateCall{});
      case 10: return say(Begun{.key = key(), .signature = signature()});
      case 11: return say(Report{.key = key(), .signature = signature()});
      case 12: return say(resume());
      case 13: return say(Complaint{.key = key(), .stalled_ms = number(), .waiting_for = some_peers(), .unresponsive = some_peers()});
      case 14: return say(Prepared{.view = view().id, .unreachable = some_peers()});
      case 15: return choices_.below(2) == 0 ? say(Leave{}) : say(Ping{});
      case 16: return everybody_calls_update();
      case 17: return flood();
      case 18: return let_time_pass_alive();
      case 19: return everybody_begins();
      case 20: return say(Hello{.who = introduction(), .prefetches = true});
      case 21: return say(PrefetchOver{});
      case 22: return say(Complaint{.key = last_key_, .stalled_ms = number(), .waiting_for = some_peers(), .unresponsive = some_peers()});
      default: return ask_for_status();
    }
  }

  // ------------------------------------------------------------------------------------ made-up contents

  static PeerId peer_id(std::size_t peer) { return PeerId{1000 + peer}; }

  std::uint64_t number() {
    static constexpr std::uint64_t kNumbers[] = {0, 1, 2, 3, 1000, 1ULL << 32, 1ULL << 62, ~0ULL - 1, ~0ULL};
    return kNumbers[choices_.below(std::size(kNumbers))];
  }

  /// As far as the decoder lets a claim through.
  Epoch epoch() { return Epoch{std::min(number(), kResumedNumberMax)}; }

  Client* client() {
    if (clients_.empty()) return nullptr;
    auto found = clients_.begin();
    std::advance(found, choices_.below(std::min<std::size_t>(clients_.size(), 16)));
    current_ = found->first;
    return &found->second;
  }

  Introduction introduction() {
    static constexpr const char* kHosts[] = {"", "127.0.0.1", "::1", "host.example"};
    const std::size_t peer = choices_.below(kPeers);
    return {
        .protocol_version = choices_.below(16) == 15 ? 9 : kProtocolVersion,
        .id = peer_id(peer),
        .token = choices_.below(16) == 15 ? number() : 77 + peer,
        .group = static_cast<std::uint32_t>(choices_.below(8) == 7 ? number() : peer / 5),
        .name = "p" + std::to_string(peer),
        .address = {.host = kHosts[choices_.below(4)], .port = static_cast<std::uint16_t>(choices_.byte())},
        .party = {.id = PartyId{choices_.below(3)}, .size = static_cast<std::uint32_t>(choices_.below(4))}};
  }

  std::vector<PeerId> some_peers() {
    std::vector<PeerId> peers;
    for (auto count = choices_.below(4); count > 0; --count)
      peers.push_back(peer_id(choices_.below(kPeers + 1)));
    return peers;
  }

  View view() {
    const auto known = [&](const View& from) { return from; };
    switch (choices_.below(4)) {
      case 0:
        if (const Client* other = client()) return known(other->started);
        break;
      case 1:
        if (const Client* other = client()) return known(other->proposed);
        break;
      case 2: {
        // A known view with a lie in it.
        View lie;
        if (const Client* other = client()) lie = other->started;
        switch (choices_.below(4)) {
          case 0: lie.epoch = epoch(); break;
          case 1: lie.group = static_cast<std::uint32_t>(number()); break;
          case 2:
            if (!lie.members.empty()) lie.members.pop_back();
            break;
          default: std::reverse(lie.members.begin(), lie.members.end()); break;
        }
        return lie;
      }
      default: break;
    }
    View made{.epoch = epoch(), .id = ViewId{number()}, .group = 0, .link_secret = 1, .members = {}};
    const std::size_t from = choices_.below(kPeers);
    for (std::size_t peer = from; peer < std::min(kPeers, from + 3); ++peer)
      made.members.push_back(
          {.id = peer_id(peer), .name = "made-up", .address = {.host = "127.0.0.1", .port = 1}});
    return made;
  }

  OpKey key() {
    const View in = view();
    last_key_ = {.epoch = in.epoch,
                 .view = in.id,
                 .tag = choices_.below(3),
                 .sequence = choices_.below(8) == 7 ? number() : choices_.below(3)};
    return last_key_;
  }

  Signature signature() {
    return {.op = choices_.below(8) == 7 ? ReduceOp::avg : ReduceOp::sum,
            .count = choices_.below(8) == 7 ? number() : 100};
  }

  Resume resume() {
    Resume resume{.who = introduction(),
                  .run = choices_.below(4) == 3 ? RunId{number()} : run_,
                  .view = view(),
                  .undecided = {},
                  .committed = {},
                  .in_update = choices_.below(4) == 3,
                  .update_round = choices_.below(4) == 3 ? epoch().value : choices_.below(3)};
    for (auto count = choices_.below(4); count > 0; --count)
      resume.undecided.push_back(
          {.key = key(), .signature = signature(), .reported = choices_.below(2) == 1});
    for (auto count = choices_.below(3); count > 0; --count) resume.committed.push_back(key());
    return resume;
  }

  // ------------------------------------------------------------------------------------ events

  void open() {
    if (clients_.size() >= kOpenMax) return;
    const ConnectionId connection{++last_connection_};
    clients_[connection] = {};
    step(ConnectionOpened{.connection = connection, .remote_host = "127.0.0.1"});
  }

  void close() {
    if (client() == nullptr) return;
    const ConnectionId connection = current_;
    clients_.erase(connection);
    step(ConnectionClosed{.connection = connection, .reason = "closed by peer"});
  }

  void say(PeerMessage message) {
    if (client() != nullptr) step(PeerSaid{.connection = current_, .message = std::move(message)});
  }

  void ask_for_status() {
    open();
    const ConnectionId connection{last_connection_};
    if (clients_.contains(connection))
      step(PeerSaid{.connection = connection,
                    .message = StatusRequest{.protocol_version = choices_.below(4) == 3 ? 0 : kProtocolVersion}});
  }

  void say_raw() {
    if (auto message = decode_peer_message(choices_.take(choices_.byte())); message.ok())
      say(std::move(message.value()));
  }

  void answer_prepare() {
    const Client* one = client();
    if (one != nullptr && one->proposed.size() > 0)
      step(
          PeerSaid{.connection = current_, .message = Prepared{.view = one->proposed.id, .unreachable = {}}});
  }

  void everybody_answers_prepare() {
    for (const ConnectionId connection : connections_open()) {
      const auto found = clients_.find(connection);
      if (found != clients_.end() && found->second.proposed.size() > 0)
        step(PeerSaid{.connection = connection,
                      .message = Prepared{.view = found->second.proposed.id, .unreachable = {}}});
    }
  }

  void everybody_calls_update() {
    for (const ConnectionId connection : connections_open()) {
      const auto found = clients_.find(connection);
      if (found != clients_.end() && found->second.started.size() > 0)
        step(PeerSaid{.connection = connection, .message = UpdateCall{}});
    }
  }

  /// All members but one, or all, call the same collective.
  void everybody_begins() {
    const OpKey one = key();
    const std::size_t absent = choices_.byte();
    std::size_t index = 0;
    for (const ConnectionId connection : connections_open())
      if (clients_.contains(connection) && index++ != absent)
        step(PeerSaid{.connection = connection, .message = Begun{.key = one, .signature = {.count = 100}}});
  }

  /// Time passes, and everybody pings as an honest peer does.
  void let_time_pass_alive() {
    for (auto times = choices_.below(16); times > 0; --times) {
      pass_time_until(now_ + seconds(3));
      for (const ConnectionId connection : connections_open())
        if (clients_.contains(connection)) step(PeerSaid{.connection = connection, .message = Ping{}});
    }
  }

  void let_time_pass() {
    static constexpr std::int64_t kPasses_ms[] = {0, 1, 50, 999, 1000, 3000, 6000, 20000, 700000};
    const std::size_t choice = choices_.below(std::size(kPasses_ms) + 1);
    if (choice < std::size(kPasses_ms)) return pass_time_until(now_ + milliseconds(kPasses_ms[choice]));
    if (const auto deadline = machine_.next_deadline()) pass_time_until(*deadline);
  }

  void pass_time_until(Instant then) {
    now_ = std::max(now_, then);
    for (std::size_t ticks = 0; ticks == 0 || due(); ++ticks) {
      HAWSER_ASSERT(ticks < kTicksAtOneInstantMax);
      step(Tick{});
    }
  }

  bool due() const {
    const auto deadline = machine_.next_deadline();
    return deadline && *deadline <= now_;
  }

  void flood() {
    if (floods_++ == kFloodsMax || client() == nullptr) return;
    const ConnectionId connection = current_;
    const std::size_t kind = choices_.below(4);
    const OpKey first = key();
    for (std::size_t i = 0; i < kFloodMessages; ++i) {
      OpKey next = first;
      next.tag = i;
      if (kind == 0) {
        open();
        if (clients_.size() >= kOpenMax) return;
      } else if (kind == 1) {
        newcomer(i);
        if (i == kFloodNewcomers || clients_.size() >= kOpenMax) return;
      } else if (!clients_.contains(connection)) {
        return;
      } else if (kind == 2) {
        step(PeerSaid{.connection = connection, .message = Begun{.key = next, .signature = {.count = 1}}});
      } else {
        next.epoch.value += i;
        step(PeerSaid{.connection = connection, .message = Report{.key = next, .signature = {.count = 1}}});
      }
    }
  }

  /// Every other one prefetches.
  void newcomer(std::size_t number) {
    open();
    const ConnectionId connection{last_connection_};
    if (!clients_.contains(connection)) return;
    step(PeerSaid{.connection = connection,
                  .message = Hello{.who = {.id = PeerId{100000 + number},
                                           .token = number,
                                           .group = static_cast<std::uint32_t>(number % 3),
                                           .name = "one of many",
                                           .address = {.host = "", .port = 1}},
                                   .prefetches = number % 2 == 1}});
  }

  std::vector<ConnectionId> connections_open() const {
    std::vector<ConnectionId> open;
    for (const auto& [connection, state] : clients_) open.push_back(connection);
    return open;
  }

  // ------------------------------------------------------------------------------------ the machine's answer

  void step(const MasterEvent& event) {
    MasterActions actions;
    machine_.step(now_, event, actions);
    HAWSER_ASSERT(actions.size() <= 256 + 16 * (clients_.size() + 1) * kPeers);
    for (const MasterAction& action : actions) std::visit([&](const auto& one) { take(one); }, action);
    actions = {};
    check_state();
  }

  void take(const SendToPeer& send) {
    const auto found = clients_.find(send.connection);
    HAWSER_ASSERT(found != clients_.end());
    // What a flood brings about is much alike: a sample will do.
    if (++sent_ % 64 == 0 || sent_ < 100) {
      const std::string encoded = encode(send.message);
      HAWSER_ASSERT(encoded.size() <= limits::kControlMessageBytesMax);
      HAWSER_ASSERT(decode_master_message(std::as_bytes(std::span(encoded))).ok());
    }
    Client& to = found->second;
    if (const auto* welcome = std::get_if<Welcome>(&send.message)) run_ = welcome->run;
    if (const auto* prepare = std::get_if<Prepare>(&send.message)) to.proposed = prepare->view;
    // A guest is no member yet, and a member's guests are none of its view.
    if (std::holds_alternative<Hosts>(send.message)) HAWSER_ASSERT(to.started.size() == 0);
    if (const auto* guests = std::get_if<Guests>(&send.message))
      for (const Member& guest : guests->guests) HAWSER_ASSERT(!to.started.find(guest.id));
    if (const auto* start = std::get_if<StartView>(&send.message)) {
      // Nobody is led back to an older view.
      HAWSER_ASSERT(start->view.epoch.value > to.epoch_started || to.started.size() == 0 ||
                    start->view == to.started);
      to.epoch_started = start->view.epoch.value;
      to.started = start->view;
    }
  }

  void take(const CloseConnection& close) {
    HAWSER_ASSERT(clients_.erase(close.connection) == 1);
    HAWSER_ASSERT(!first_unloggable(close.reason));
  }

  void take(const LogEvent& event) { HAWSER_ASSERT(!first_unloggable(event.text)); }

  void check_state() {
    if (const auto deadline = machine_.next_deadline()) HAWSER_ASSERT(*deadline - now_ <= kDeadlineAheadMax);
    if (++steps_ % 64 != 0 && steps_ > 100) return;
    const MasterMachine::Snapshot snapshot = machine_.snapshot();
    HAWSER_ASSERT(snapshot.connections <= clients_.size());
    HAWSER_ASSERT(snapshot.pending <= limits::kPendingPeersMax);
    HAWSER_ASSERT(snapshot.guests <= snapshot.pending);
    std::set<PeerId> members;
    std::set<ViewId> views;
    for (const View& one : snapshot.views) {
      HAWSER_ASSERT(one.size() <= limits::kGroupSizeMax);
      HAWSER_ASSERT(views.insert(one.id).second);
      for (const Member& member : one.members) HAWSER_ASSERT(members.insert(member.id).second);
    }
    const std::size_t now_held = bytes_held();
    const std::size_t held = now_held - std::min(now_held, bytes_before_);
    HAWSER_ASSERT(held <= kBytesHeldMax + clients_.size() * kBytesHeldPerConnectionMax);
  }

  Choices choices_;
  Instant now_{seconds(1000)};
  std::size_t bytes_before_;
  MasterMachine machine_;
  std::map<ConnectionId, Client> clients_;
  ConnectionId current_;
  RunId run_;
  OpKey last_key_;
  std::uint64_t last_connection_ = 0;
  std::size_t floods_ = 0;
  std::size_t sent_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script(std::as_bytes(std::span(data, size))).play();
  return 0;
}
