// A master with real members, among strangers that lie together. The input is a script: members call things, lose
// their connections, find the master restarted; strangers connect, claim each other's views, the members' ids and
// parties, and say whatever the decoder lets through. After each step: no bug is found in the machines, no member is
// out or beside strangers in its view, epochs go up and have room, and what the master holds stays bounded. At the
// end the strangers go, and the run still works.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "membership/run_bench.hpp"
#include "script_choices.hpp"
#include "wire/control_codec.hpp"

namespace {

using namespace hawser;
using testing::bytes_held;
using testing::Choices;

using Numbers = std::vector<std::uint64_t>;

/// Members of group 0 and of group 1; one of each are a party.
const Numbers kMembers[] = {{1, 2, 3, 4}, {5, 6, 7}};
constexpr Party kParty{.id = {77}, .size = 2};
/// It comes later, perhaps.
constexpr std::uint64_t kNewcomer = 8;
constexpr std::uint64_t kStrangerIds = 100;
constexpr std::size_t kOpenMax = 24;
/// Strangers that are fewer than the members of any group decide nothing for them.
constexpr std::size_t kClaimantsMax = 2;
constexpr std::uint64_t kEpochsMax = std::uint64_t{1} << 40;
constexpr std::size_t kBytesHeldMax = 64 << 20;

class Script {
 public:
  explicit Script(std::span<const std::byte> input) : choices_(input), bytes_before_(bytes_held()), run_({}, 1) {
    for (const std::uint32_t group : {0, 1})
      for (const auto number : kMembers[group])
        run_.connect(number, false, group, number == 4 || number == 5 ? kParty : Party{});
    run_.pass(seconds(2));
    check();
    // At the master's birth all were strangers.
    for (const auto number : members()) HAWSER_ASSERT(run_.machine(number).phase() == PeerMachine::Phase::member);
    invent();
  }

  void play() {
    while (!choices_.done()) {
      act();
      check();
    }
    if (!run_.has_master()) run_.start_master(++seed_);
    for (const ConnectionId connection : open_) run_.close_stranger(connection);
    // Those that were taken for members of groups of their own are missed for a while.
    run_.pass(seconds(20));
    check();
    for (const auto& group : kMembers) {
      std::vector<OpKey> keys;
      for (const auto number : group)
        if (!run_.machine(number).in_update()) keys.push_back(run_.begin(number, 99));
      for (std::size_t i = 0; keys.size() == group.size() && i < keys.size(); ++i) run_.result_whole(group[i], keys[i]);
      for (std::size_t i = 0; keys.size() == group.size() && i < keys.size(); ++i)
        HAWSER_ASSERT(group.size() != run_.machine(group[i]).view().size() ||
                      run_.peer(group[i]).committed.contains(keys[i]));
    }
    check();
  }

 private:
  // ------------------------------------------------------------------------------------ what happens

  void act() {
    switch (choices_.below(18)) {
      case 0: return open();
      case 1: return close();
      case 2: return pass();
      case 3: return say_raw();
      case 4: return say(Hello{.who = introduction(), .prefetches = choices_.below(2) == 1});
      case 5: return claim();
      case 6: return say(ViewPresented{lie()});
      case 7: return say(outcomes());
      case 8: return invent();
      case 9: return say_in_view();
      case 10:
        return say(
            Linked{.all = choices_.below(2) == 1, .up = some_peers(), .down = some_peers(), .refused = some_peers()});
      case 11: return say_in_passing();
      case 12: return member_calls();
      case 13: return everybody_calls(choices_.below(3));
      case 14: return cut();
      case 15: return restart();
      case 16: return newcomer();
      default: return conspire();
    }
  }

  void pass() {
    static constexpr int kPasses_ms[] = {0, 1, 10, 100, 500, 1000, 1001, 3000, 5000, 6000, 12000};
    run_.pass(milliseconds(kPasses_ms[choices_.below(std::size(kPasses_ms))]));
  }

  void say_in_passing() {
    const auto others = some_peers();
    switch (choices_.below(4)) {
      case 0:
        return say(Ways{.port = static_cast<std::uint16_t>(choices_.below(3)),
                        .hosts = {"192.168.1.2"},
                        .is_from_port = choices_.below(2) == 1});
      case 1: return say(BothDial{.to = others.empty() ? PeerId{} : others.front(), .why = "no answer"});
      default: return say(StatusRequest{.matrix = choices_.below(2) == 1});
    }
  }

  void member_calls() {
    const auto number = members()[choices_.below(members().size())];
    if (run_.machine(number).in_update()) return;
    if (choices_.below(4) == 0) return run_.update({number});
    const OpKey key = run_.begin(number, choices_.below(2));
    if (choices_.below(2) == 1) run_.result_whole(number, key);
  }

  void everybody_calls(std::size_t what) {
    for (const auto number : members()) {
      if (run_.machine(number).in_update()) continue;
      if (what == 0) run_.update({number});
      if (what == 1 && run_.machine(number).view().size() > 1) run_.begin(number, 5);
      if (what == 2 && run_.machine(number).view().size() > 1) run_.result_whole(number, run_.begin(number, 5));
    }
  }

  /// One that is cut off while the master looks who is back may rightly be missed.
  void cut() {
    const auto number = members()[choices_.below(members().size())];
    if (run_.has_master() && !run_.snapshot().recovering && run_.now > restarted_at_ + seconds(3)) run_.cut(number);
  }

  /// Members give up a master that they never reach.
  void restart() {
    if (run_.now < restarted_at_ + seconds(1)) return;
    run_.kill_master();
    for (const ConnectionId connection : open_) claims_.erase(connection);
    open_.clear();
    run_.pass(milliseconds(choices_.below(4) * 300));
    run_.start_master(++seed_);
    restarted_at_ = run_.now;
    // Strangers may be faster than members.
    for (auto first = choices_.below(3); first > 0; --first) conspire();
  }

  void newcomer() {
    if (run_.machine(kNewcomer).phase() == PeerMachine::Phase::idle) run_.connect(kNewcomer, choices_.below(2) == 1);
    if (choices_.below(2) == 1) run_.prefetch_over(kNewcomer);
  }

  // ------------------------------------------------------------------------------------ strangers

  void open() {
    if (open_.size() >= kOpenMax) return;
    const auto connection = run_.open_stranger("10.0.1." + std::to_string(choices_.below(4)));
    if (connection && run_.is_open(*connection)) open_.push_back(*connection);
  }

  void close() {
    if (!choose()) return;
    run_.close_stranger(current_);
    forget_closed();
  }

  bool choose() {
    forget_closed();
    if (open_.empty()) return false;
    current_ = open_[choices_.below(open_.size())];
    return true;
  }

  void forget_closed() {
    std::erase_if(open_, [&](ConnectionId connection) { return !run_.is_open(connection); });
    std::erase_if(claims_, [&](ConnectionId connection) { return !run_.is_open(connection); });
  }

  /// Only what the decoder lets through.
  void say(const PeerMessage& message) {
    if (choose()) say_now(message);
  }
  void say_now(const PeerMessage& message) {
    const std::string bytes = encode(message);
    const auto decoded = decode_peer_message(std::as_bytes(std::span(bytes)));
    if (decoded.ok()) run_.stranger_says(current_, decoded.value());
  }
  void say_raw() {
    const auto decoded = decode_peer_message(choices_.take(choices_.byte()));
    if (decoded.ok() && !std::holds_alternative<Resume>(decoded.value())) say(decoded.value());
  }

  void claim() {
    if (!choose()) return;
    if (!claims_.contains(current_) && claims_.size() >= kClaimantsMax) return;
    claims_.insert(current_);
    say_now(Resume{.who = introduction(),
                   .run = run_id(),
                   .view = mark_of(lie()),
                   .in_update = choices_.below(4) == 3,
                   .first = choices_.below(4) == 3,
                   .update_round = number()});
  }

  /// Some claim the invented view at once, tell it, and have known the same outcomes.
  void conspire() {
    for (std::uint64_t one = 0; one < kClaimantsMax; ++one) {
      open();
      if (open_.empty() || claims_.size() >= kClaimantsMax) return;
      current_ = open_.back();
      claims_.insert(current_);
      Introduction who = stranger(one);
      if (choices_.below(4) == 3) who.id = {members()[choices_.below(members().size())]};
      if (choices_.below(4) == 3) who.party = kParty;
      who.group = invented_.group;
      say_now(Resume{.who = who, .run = run_id(), .view = mark_of(invented_)});
      say_now(ViewPresented{invented_});
      say_now(outcomes());
    }
  }

  /// What strangers agree on from now on.
  void invent() {
    static constexpr std::uint64_t kEpochs[] = {0, 1, 2, 1000, (1ULL << 62) - 1, 1ULL << 62, ~0ULL};
    invented_ = {.epoch = {kEpochs[choices_.below(std::size(kEpochs))]}, .id = {4711 + choices_.below(2)},
                 .group = static_cast<std::uint32_t>(choices_.below(3)), .link_secret = 666, .members = {}};
    const std::size_t strangers = 1 + choices_.below(3);
    for (std::uint64_t one = 0; one < strangers; ++one) invented_.members.push_back(as_member(stranger(one)));
    for (auto others = choices_.below(4); others > 0; --others) {
      Member member{
          .id = {members()[choices_.below(members().size())]}, .name = "m", .address = {.host = "10.0.1.1", .port = 1}};
      if (choices_.below(2) == 1) member.address.host = RunBench::host(member.id.value);
      if (!invented_.find(member.id)) invented_.members.push_back(member);
    }
  }

  Introduction stranger(std::uint64_t one) {
    return {.id = {kStrangerIds + one}, .token = 666, .connection = ++dials_, .group = 0, .name = "stranger",
            .address = {.host = "10.0.1." + std::to_string(one), .port = 6}};
  }
  static Member as_member(const Introduction& who) { return {.id = who.id, .name = who.name, .address = who.address}; }

  Introduction introduction() {
    Introduction who = stranger(choices_.below(4));
    if (choices_.below(2) == 1) who.id = peer_id();
    who.token = choices_.below(8) == 7 ? 667 : 666;
    who.group = static_cast<std::uint32_t>(choices_.below(4) == 3 ? number() : choices_.below(2));
    if (choices_.below(4) == 3)
      who.party = {.id = kParty.id, .size = static_cast<std::uint32_t>(1 + choices_.below(3))};
    if (choices_.below(8) == 7) who.address.host = RunBench::host(1);
    if (choices_.below(8) == 7) who.connection = number();
    return who;
  }

  // Tokens and the secret of the links are all that strangers do not know.
  RunId run_id() { return choices_.below(2) == 1 ? RunId{5} : last_run_; }
  View lie() {
    View view = choices_.below(3) == 0 ? run_.machine(members()[choices_.below(members().size())]).view() : invented_;
    switch (choices_.below(8)) {
      case 0: view.epoch = {number()}; break;
      case 1: view.members.pop_back(); break;
      case 2:
        view.members.push_back({.id = {number()}, .name = "m", .address = {.host = "10.0.1.3", .port = 1}});
        break;
      case 3: view.group = static_cast<std::uint32_t>(number()); break;
      case 4: view.members.front().address.host = "10.0.1.2"; break;
      default: break;
    }
    return view;
  }
  static ViewMark mark_of(const View& view) {
    return {.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)};
  }

  OpKey key() {
    const View& view = run_.machine(members()[choices_.below(members().size())]).view();
    return {.epoch = view.epoch, .view = choices_.below(4) == 3 ? invented_.id : view.id, .tag = choices_.below(3),
            .sequence = choices_.below(8) == 7 ? number() : choices_.below(2)};
  }
  OutcomesPresented outcomes() {
    OutcomesPresented outcomes;
    for (auto count = choices_.below(3); count > 0; --count)
      outcomes.undecided.push_back({.key = key(), .signature = {.count = 10}, .reported = choices_.below(2) == 1});
    for (auto count = choices_.below(3); count > 0; --count) outcomes.committed.push_back(key());
    return outcomes;
  }

  void say_in_view() {
    switch (choices_.below(10)) {
      case 0: return say(Begun{.key = key(), .signature = {.count = number()}});
      case 1: return say(Report{.key = key(), .signature = {.count = 10}});
      case 2:
        return say(
            Complaint{.key = key(), .stalled_ms = number(), .waiting_for = some_peers(), .unresponsive = some_peers()});
      case 3: return say(Complaint{.key = key(), .period_ms = number(), .flows = {{.to = peer_id(), .percent = 1}}});
      case 4:
        return say(UpdateCall{.first = choices_.below(2) == 1,
                              .update_round = choices_.below(4),
                              .was_over = choices_.below(2) == 1,
                              .waits = choices_.below(2) == 1,
                              .after_error = choices_.below(2) == 1});
      case 5:
        return say(Measured{.view = key().view,
                            .row = {.bytes_per_second = {number(), 1}, .delay_ns = {1, number()}, .probed = {1}}});
      case 6: return say(PrefetchOver{});
      case 7: return say(Leave{});
      case 8: return say(GiveUp{.key = key(), .after_ms = number(), .cancelled = choices_.below(2) == 1});
      default: return say(Ping{});
    }
  }

  std::uint64_t number() {
    static constexpr std::uint64_t kNumbers[] = {0, 1, 2, 3, 1000, 1ULL << 32, (1ULL << 62) - 1, 1ULL << 62, ~0ULL};
    return kNumbers[choices_.below(std::size(kNumbers))];
  }
  PeerId peer_id() {
    return {choices_.below(2) == 0 ? 1 + choices_.below(kNewcomer) : kStrangerIds + choices_.below(4)};
  }
  std::vector<PeerId> some_peers() {
    std::vector<PeerId> peers;
    for (auto count = choices_.below(4); count > 0; --count) peers.push_back(peer_id());
    return peers;
  }

  // ------------------------------------------------------------------------------------ what must hold

  static const Numbers& members() {
    static const Numbers all{1, 2, 3, 4, 5, 6, 7};
    return all;
  }

  void check() {
    forget_closed();
    for (std::uint64_t number = 1; number <= kNewcomer; ++number) {
      const PeerMachine& machine = run_.machine(number);
      std::uint64_t& epoch = epochs_[number];
      // Where the master went while it told that the newcomer is in, those who had not heard of it yet go on without
      // it.
      if (number == kNewcomer && machine.phase() != PeerMachine::Phase::member &&
          (epoch == 0 || seed_ != newcomers_seed_)) {
        epoch = 0;
        continue;
      }
      if (number == kNewcomer && epoch == 0) newcomers_seed_ = seed_;
      HAWSER_ASSERT(machine.phase() == PeerMachine::Phase::member);
      const View& view = machine.view();
      HAWSER_ASSERT(view.epoch.value >= epoch && view.epoch.value < kEpochsMax);
      epoch = view.epoch.value;
      const Numbers& own = kMembers[view.group];
      HAWSER_ASSERT(std::all_of(own.begin(), own.end(), [&](std::uint64_t other) { return view.find({other}); }));
      HAWSER_ASSERT(std::all_of(view.members.begin(), view.members.end(),
                                [](const Member& member) { return member.id.value <= kNewcomer; }));
    }
    for (const auto& [connection, message] : run_.told_to_strangers()) {
      if (const auto* const welcome = std::get_if<Welcome>(&message); welcome && welcome->run.value != 5)
        last_run_ = welcome->run;
      if (const auto* const status = std::get_if<RunStatus>(&message)) last_run_ = status->run;
      const std::string bytes = encode(message);
      HAWSER_ASSERT(bytes.size() <= limits::kControlMessageBytesMax);
      HAWSER_ASSERT(decode_master_message(std::as_bytes(std::span(bytes))).ok());
    }
    if (run_.has_master()) {
      const auto snapshot = run_.snapshot();
      HAWSER_ASSERT(snapshot.connections <= open_.size() + kNewcomer);
      HAWSER_ASSERT(snapshot.pending <= limits::kPendingPeersMax && snapshot.guests <= snapshot.pending);
    }
    if (++checks_ % 64 != 0) return;
    const std::size_t held = bytes_held();
    HAWSER_ASSERT(held <= bytes_before_ + kBytesHeldMax);
  }

  Choices choices_;
  std::size_t bytes_before_;
  RunBench run_;
  std::uint64_t newcomers_seed_ = 0;  ///< Of the master that let it in.
  std::uint64_t seed_ = 1;
  Instant restarted_at_{};
  std::vector<ConnectionId> open_;
  std::set<ConnectionId> claims_;
  ConnectionId current_{};
  View invented_;
  RunId last_run_;
  std::uint64_t dials_ = 0;
  std::map<std::uint64_t, std::uint64_t> epochs_;
  std::size_t checks_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script(std::as_bytes(std::span(data, size))).play();
  return 0;
}
