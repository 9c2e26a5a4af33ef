#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "engine/message_exchange.hpp"

namespace hawser {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kSmall = 100;
constexpr std::size_t kLarge = 600 << 10;

PeerId id(std::uint64_t peer) { return {peer}; }

std::string name_of(PeerId peer) { return "p" + std::to_string(peer.value); }

Bytes pattern(std::size_t bytes, std::uint64_t seed) {
  Bytes made(bytes);
  Random random(seed);
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(made.data() + i, &word, std::min<std::size_t>(8, bytes - i));
  }
  return made;
}

/// Peers whose frames are delivered when the test says so, in any order, as over links of many connections.
class Net {
 public:
  struct Call {
    std::uint64_t peer = 0;
    Bytes memory;
    bool ended = false;
    Error error;
    MessageInfo info;
  };
  struct Wire {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    FrameHeader frame;
    Bytes payload{};
  };

  Instant now{};
  std::map<std::uint64_t, MessageExchange> peers;
  std::map<std::uint64_t, Call> calls;
  std::vector<Wire> wires;
  std::vector<std::string> misdeeds;
  std::set<std::uint64_t> strangers;  ///< No members, in the view that the others have.

  explicit Net(std::uint64_t count) {
    for (std::uint64_t peer = 1; peer <= count; ++peer) peers.emplace(peer, MessageExchange(name_of));
  }

  std::uint64_t send(std::uint64_t from, std::uint64_t to, std::uint64_t tag, Bytes data,
                     Duration bound = seconds(600)) {
    Call& call = calls[++made_];
    call.peer = from;
    call.memory = std::move(data);
    MessageExchange::Output out;
    peers.at(from).send(now, CallId{made_}, id(to), tag, call.memory, now + bound, out);
    const std::uint64_t number = made_;
    follow(from, out);
    return number;
  }
  /// `from` 0: of anybody.
  std::uint64_t receive(std::uint64_t peer, std::uint64_t from, std::uint64_t tag, std::size_t bytes,
                        Duration bound = seconds(600)) {
    Call& call = calls[++made_];
    call.peer = peer;
    call.memory.resize(bytes);
    MessageExchange::Output out;
    peers.at(peer).receive(now, CallId{made_}, from == 0 ? std::nullopt : std::optional(id(from)), tag, call.memory,
                           now + bound, out);
    const std::uint64_t number = made_;
    follow(peer, out);
    return number;
  }
  void deliver(std::size_t which, bool keep = false) {
    const Wire wire = wires[which];
    if (!keep) wires.erase(wires.begin() + static_cast<std::ptrdiff_t>(which));
    const auto found = peers.find(wire.to);
    if (found == peers.end()) return;
    MessageExchange& peer = found->second;
    MessageExchange::Output out;
    if (wire.frame.kind != FrameKind::chunk) {
      const auto heard = peer.control_came(now, id(wire.from), is_member(wire.from), wire.frame, out);
      if (heard == MessageExchange::Heard::impossible)
        misdeeds.push_back("control");
      return follow(wire.to, out);
    }
    const auto landing = peer.chunk_begins(now, id(wire.from), is_member(wire.from), wire.frame, out);
    using Use = MessageExchange::Landing::Use;
    if (landing.use == Use::impossible) misdeeds.push_back("chunk");
    if (landing.use == Use::place) std::memcpy(landing.into, wire.payload.data(), wire.payload.size());
    if (landing.use == Use::place || landing.use == Use::stage)
      peer.chunk_came(now, id(wire.from), wire.frame, landing.use == Use::place ? nullptr : wire.payload.data(), out);
    follow(wire.to, out);
    // Acknowledged, which the sender hears once.
    if (keep || !peers.contains(wire.from)) return;
    MessageExchange::Output back;
    peers.at(wire.from).arrived(now, id(wire.to), wire.frame, back);
    follow(wire.from, back);
  }
  void deliver_all() {
    while (!wires.empty()) deliver(0);
  }
  void pass(Duration time) {
    now += time;
    for (auto& [number, peer] : peers) {
      MessageExchange::Output out;
      peer.tick(now, out);
      follow(number, out);
    }
  }
  void cancel(std::uint64_t peer, std::uint64_t call) {
    MessageExchange::Output out;
    peers.at(peer).cancel(now, CallId{call}, out);
    follow(peer, out);
  }
  void lose(std::uint64_t peer) {
    MessageExchange::Output out;
    peers.at(peer).end_all(now, {Status::closed, "closed"}, out);
    peers.erase(peer);
    std::erase_if(wires, [&](const Wire& wire) { return wire.from == peer || wire.to == peer; });
    begin_view();
  }

  /// A view has begun, with all that are no strangers.
  void begin_view() {
    for (auto& [number, other] : peers) {
      MessageExchange::Output told;
      other.members(
          now, [&](PeerId one) { return peers.contains(one.value) && is_member(one.value); },
          peers.size() - strangers.size() < 2, told);
      follow(number, told);
    }
  }

 private:
  bool is_member(std::uint64_t peer) const { return !strangers.contains(peer); }
  void follow(std::uint64_t from, MessageExchange::Output& out) {
    for (const auto& [to, key] : out.sent)
      std::erase_if(wires, [&](const Wire& wire) {
        return wire.from == from && wire.to == to.value && wire.frame.key == key;
      });
    for (const auto& one : out.sends) {
      Wire wire{.from = from, .to = one.to.value, .frame = one.frame};
      if (one.frame.kind == FrameKind::chunk) {
        const auto payload = peers.at(from).payload(one.to, one.frame);
        wire.payload.assign(payload.begin(), payload.end());
      }
      wires.push_back(std::move(wire));
    }
    for (const auto& one : out.ended) {
      Call& call = calls.at(one.call.value);
      REQUIRE_FALSE(call.ended);
      REQUIRE(call.peer == from);
      call.ended = true;
      call.error = one.error;
      call.info = one.info;
    }
  }
  std::uint64_t made_ = 0;
};

}  // namespace

TEST_CASE("messages come whole, once and in the order of their sending, in whatever order their frames come") {
  const std::size_t sizes[] = {0, 1, kSmall, 64 << 10, (64 << 10) + 1, kLarge};
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random(seed);
    Net net(3);
    std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>, std::vector<std::uint64_t>> lanes;
    // Sends, and receives with the right sizes in their order, at random moments.
    std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::size_t>> receives;
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t from = 1 + random.below(3);
      const std::uint64_t to = 1 + (from + random.below(2)) % 3;
      const std::uint64_t tag = random.below(2);
      const std::size_t bytes = sizes[random.below(std::size(sizes))];
      const std::uint64_t call = net.send(from, to, tag, pattern(bytes, seed * 100 + static_cast<std::uint64_t>(i)));
      lanes[{from, to, tag}].push_back(call);
      receives.emplace_back(to, from, tag, bytes);
      while (!net.wires.empty() && random.below(3) == 0)
        net.deliver(random.below(net.wires.size()), random.below(5) == 0);
    }
    std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>, std::size_t> next;
    std::map<std::uint64_t, std::uint64_t> expected;
    while (!receives.empty() || !net.wires.empty()) {
      if (!receives.empty() && (net.wires.empty() || random.below(3) == 0)) {
        // Any lane, but each in its order.
        const std::size_t at = random.below(receives.size());
        const auto lane = std::tuple(std::get<1>(receives[at]), std::get<0>(receives[at]), std::get<2>(receives[at]));
        const auto first = std::find_if(receives.begin(), receives.end(), [&](const auto& one) {
          return std::tuple(std::get<1>(one), std::get<0>(one), std::get<2>(one)) == lane;
        });
        const auto [peer, from, tag, bytes] = *first;
        receives.erase(first);
        expected[net.receive(peer, from, tag, bytes)] = lanes.at(lane)[next[lane]++];
      } else {
        net.deliver(random.below(net.wires.size()), random.below(5) == 0);
      }
    }
    INFO("seed " << seed);
    CHECK(net.misdeeds.empty());
    for (const auto& [number, call] : net.calls) {
      CHECK(call.ended);
      CHECK(call.error.status == Status::success);
    }
    for (const auto& [received, sent] : expected) CHECK(net.calls.at(received).memory == net.calls.at(sent).memory);
    for (const auto& [number, peer] : net.peers) CHECK(peer.in_flight() == 0);
  }
}

TEST_CASE("a small message is sent before it is received, a large one when it is") {
  Net net(2);
  const auto small = net.send(1, 2, 7, pattern(kSmall, 1));
  const auto large = net.send(1, 2, 7, pattern(kLarge, 2));
  net.deliver_all();
  CHECK(net.calls.at(small).ended);
  CHECK_FALSE(net.calls.at(large).ended);
  const auto first = net.receive(2, 1, 7, kSmall);
  const auto second = net.receive(2, 1, 7, kLarge);
  CHECK(net.calls.at(first).ended);
  net.deliver_all();
  CHECK(net.calls.at(large).ended);
  CHECK(net.calls.at(second).memory == net.calls.at(large).memory);
  CHECK(net.calls.at(second).info.other == id(1));
  CHECK(net.calls.at(second).info.bytes == kLarge);
}

TEST_CASE("what is sent before it is received is bounded, and all of it comes when it is received") {
  Net net(2);
  std::vector<std::uint64_t> sent;
  constexpr int kCount = 1500;
  constexpr std::size_t kBytes = 4 << 10;
  for (int i = 0; i < kCount; ++i) sent.push_back(net.send(1, 2, 0, pattern(kBytes, static_cast<std::uint64_t>(i))));
  net.deliver_all();
  const auto ended = [&] {
    return std::count_if(sent.begin(), sent.end(), [&](std::uint64_t call) { return net.calls.at(call).ended; });
  };
  CHECK(ended() == static_cast<std::ptrdiff_t>(limits::kMessageEagerBytesOfAll / kBytes));
  for (int i = 0; i < kCount; ++i) {
    const auto received = net.receive(2, 1, 0, kBytes);
    net.deliver_all();
    REQUIRE(net.calls.at(received).memory == net.calls.at(sent[static_cast<std::size_t>(i)]).memory);
  }
  CHECK(ended() == kCount);
  CHECK(net.misdeeds.empty());
}

TEST_CASE("a message of another size than the buffer is left for the next receive") {
  Net net(2);
  (void)net.send(1, 2, 0, pattern(kSmall, 1));
  net.deliver_all();
  const auto wrong = net.receive(2, 1, 0, kSmall + 1);
  CHECK(net.calls.at(wrong).error.status == Status::mismatch);
  CHECK(net.calls.at(wrong).error.sentence ==
        "p1 has sent a message of 100 bytes with tag 0, and the buffer that receives it has 101 bytes. The message "
        "waits: receive it with a buffer of its size");
  const auto right = net.receive(2, 1, 0, kSmall);
  CHECK(net.calls.at(right).memory == pattern(kSmall, 1));
}

TEST_CASE("a receive from anybody takes what was announced first") {
  Net net(3);
  (void)net.send(3, 1, 0, pattern(kSmall, 3));
  net.deliver_all();
  (void)net.send(2, 1, 0, pattern(kSmall, 2));
  net.deliver_all();
  const auto first = net.receive(1, 0, 0, kSmall);
  const auto second = net.receive(1, 0, 0, kSmall);
  CHECK(net.calls.at(first).info.other == id(3));
  CHECK(net.calls.at(second).info.other == id(2));
}

TEST_CASE("sends of one tag end in their order: what comes behind one that never comes is received by nobody") {
  Net net(2);
  const auto first = net.send(1, 2, 0, pattern(kSmall, 1), seconds(10));
  const auto second = net.send(1, 2, 0, pattern(kSmall, 2));
  const auto other = net.send(1, 2, 1, pattern(kSmall, 3));
  // The frames of the first one are held up.
  REQUIRE(net.wires.size() == 6);
  for (int frame = 0; frame < 4; ++frame) net.deliver(2);
  CHECK(net.calls.at(other).ended);
  CHECK_FALSE(net.calls.at(second).ended);
  SECTION("it comes late") {
    net.deliver_all();
    CHECK(net.calls.at(first).error.status == Status::success);
    CHECK(net.calls.at(second).error.status == Status::success);
  }
  SECTION("its sender goes") {
    net.lose(1);
    CHECK_FALSE(net.calls.at(second).ended);
    const auto received = net.receive(2, 1, 0, kSmall);
    CHECK(net.calls.at(received).error.status == Status::peer_lost);
  }
  SECTION("it times out, and the receiver passes it") {
    net.pass(seconds(11));
    CHECK(net.calls.at(first).error.status == Status::timeout);
    CHECK_FALSE(net.calls.at(second).ended);
    net.deliver_all();
    CHECK(net.calls.at(second).error.status == Status::success);
    const auto received = net.receive(2, 1, 0, kSmall);
    CHECK(net.calls.at(received).memory == pattern(kSmall, 2));
  }
  SECTION("both time out") {
    net.pass(seconds(601));
    CHECK(net.calls.at(second).error.status == Status::timeout);
    CHECK(net.calls.at(second).error.sentence.find("before this one") != std::string::npos);
    net.deliver_all();
    const auto third = net.send(1, 2, 0, pattern(kSmall, 4));
    net.deliver_all();
    CHECK(net.calls.at(third).error.status == Status::success);
    const auto received = net.receive(2, 1, 0, kSmall);
    CHECK(net.calls.at(received).memory == pattern(kSmall, 4));
  }
  CHECK(net.misdeeds.empty());
}

TEST_CASE("a cancelled message ends at once, whichever side and state it is in") {
  Net net(2);
  const auto cancel = [&](std::uint64_t peer, std::uint64_t call) {
    net.cancel(peer, call);
    REQUIRE(net.calls.at(call).ended);
    CHECK(net.calls.at(call).error.status == Status::timeout);
    CHECK(net.calls.at(call).error.sentence.rfind("cancelled after", 0) == 0);
  };
  const auto patient = net.receive(2, 0, 9, kSmall);
  cancel(2, net.receive(2, 1, 0, kSmall));
  cancel(1, net.send(1, 2, 0, pattern(kSmall, 1)));
  const auto large = net.send(1, 2, 0, pattern(kLarge, 2));
  net.deliver_all();
  cancel(2, net.receive(2, 1, 0, kLarge));
  net.deliver_all();
  CHECK(net.calls.at(large).ended);
  net.cancel(1, large);
  CHECK_FALSE(net.calls.at(patient).ended);
}

TEST_CASE("a send that timed out is skipped by whoever receives after that") {
  Net net(2);
  const bool is_announced = GENERATE(false, true);
  const std::size_t bytes = GENERATE(kSmall, kLarge);
  const auto given_up = net.send(1, 2, 0, pattern(bytes == kSmall ? 70'000 : kLarge, 1), seconds(1));
  if (is_announced) net.deliver_all();
  const auto other = net.send(1, 2, 0, pattern(kSmall, 2));
  net.pass(seconds(2));
  CHECK(net.calls.at(given_up).error.status == Status::timeout);
  CHECK(net.calls.at(given_up).error.sentence.find("timed out after 2000 ms: p2 has not received") == 0);
  net.deliver_all();
  const auto received = net.receive(2, 1, 0, kSmall);
  net.deliver_all();
  CHECK(net.calls.at(received).memory == pattern(kSmall, 2));
  CHECK(net.calls.at(other).error.status == Status::success);
  CHECK(net.misdeeds.empty());
}

TEST_CASE("a send that times out in the middle of a message ends its receive, and later ones have what they had") {
  Net net(2);
  const auto given_up = net.send(1, 2, 0, pattern(kLarge, 1), seconds(1));
  (void)net.send(1, 2, 0, pattern(kLarge, 2));
  const auto first = net.receive(2, 1, 0, kLarge);
  const auto second = net.receive(2, 1, 0, kLarge);
  while (net.wires.size() < 4) net.deliver(0);
  net.pass(seconds(2));
  CHECK(net.calls.at(given_up).error.status == Status::timeout);
  net.deliver_all();
  CHECK(net.calls.at(first).error.status == Status::timeout);
  CHECK(net.calls.at(first).error.sentence.find("receive again") != std::string::npos);
  CHECK(net.calls.at(second).memory == pattern(kLarge, 2));
  CHECK(net.misdeeds.empty());
}

TEST_CASE("a receive that times out in the middle of a message tells its sender, and the next one is the next") {
  Net net(2);
  const auto sent = net.send(1, 2, 0, pattern(kLarge, 1));
  const auto next = net.send(1, 2, 0, pattern(kSmall, 2));
  net.deliver(0);
  const auto received = net.receive(2, 1, 0, kLarge, seconds(1));
  while (net.calls.at(sent).ended == false && net.wires.size() > 2) net.deliver(0);
  net.pass(seconds(2));
  CHECK(net.calls.at(received).error.status == Status::timeout);
  net.deliver_all();
  CHECK(net.calls.at(sent).error.status == Status::timeout);
  CHECK(net.calls.at(sent).error.sentence.find("send it again") != std::string::npos);
  const auto after = net.receive(2, 1, 0, kSmall);
  net.deliver_all();
  CHECK(net.calls.at(after).memory == pattern(kSmall, 2));
  CHECK(net.calls.at(next).error.status == Status::success);
}

TEST_CASE("what a member has sent whole is received after it has gone; all else of it ends with its name") {
  Net net(3);
  (void)net.send(2, 1, 0, pattern(kSmall, 1));
  (void)net.send(2, 1, 0, pattern(kLarge, 2));
  net.deliver_all();
  const auto to_it = net.send(1, 2, 0, pattern(kLarge, 3));
  const auto waits = net.receive(1, 2, 5, kSmall);
  const auto of_anybody = net.receive(1, 0, 5, kSmall);
  net.lose(2);
  for (const auto call : {to_it, waits}) {
    CHECK(net.calls.at(call).error.status == Status::peer_lost);
    CHECK(net.calls.at(call).error.sentence.find("p2 was lost") == 0);
  }
  CHECK_FALSE(net.calls.at(of_anybody).ended);
  REQUIRE(net.peers.at(1).remembers(id(2)));
  CHECK(net.calls.at(net.receive(1, 2, 0, kSmall)).memory == pattern(kSmall, 1));
  CHECK(net.calls.at(net.receive(1, 2, 0, kLarge)).error.status == Status::peer_lost);
  net.lose(3);
  CHECK(net.calls.at(of_anybody).error.status == Status::too_few_peers);
}

TEST_CASE("what no correct peer sends is told apart") {
  Net net(2);
  const auto chunk = [](std::uint64_t sequence, std::uint64_t bytes, std::uint64_t number, std::uint32_t payload) {
    FrameHeader frame;
    frame.key = message_key(0, sequence);
    frame.count = bytes;
    frame.chunk = number;
    frame.payload_bytes = payload;
    return Net::Wire{.from = 1, .to = 2, .frame = frame, .payload = Bytes(payload)};
  };
  SECTION("a large one that was not requested") { net.wires.push_back(chunk(0, kLarge, 0, 256 << 10)); }
  SECTION("a chunk of another size") { net.wires.push_back(chunk(0, kSmall, 0, kSmall - 1)); }
  SECTION("a chunk behind the end") { net.wires.push_back(chunk(0, kSmall, 1, kSmall)); }
  SECTION("more than it may before it is received") {
    for (std::uint64_t i = 0; i <= limits::kMessageEagerBytesOfAll / limits::kMessageEagerBytesMax; ++i)
      net.wires.push_back(chunk(i, limits::kMessageEagerBytesMax, 0, limits::kMessageEagerBytesMax));
  }
  const auto control = [&](FrameKind kind, std::uint64_t tag, std::uint64_t sequence) {
    Net::Wire wire = chunk(sequence, kLarge, 0, 0);
    wire.frame.kind = kind;
    wire.frame.key = message_key(tag, sequence);
    return wire;
  };
  SECTION("more announcements than it may have") {
    for (std::uint64_t i = 0; i <= limits::kMessagesWaitingMax; ++i)
      net.wires.push_back(control(FrameKind::have, 0, i));
  }
  SECTION("small messages without an announcement, likewise") {
    for (std::uint64_t i = 0; i <= limits::kMessagesWaitingMax; ++i) net.wires.push_back(chunk(i, 1, 0, 1));
  }
  SECTION("messages that were given up, behind one that was not") {
    for (std::uint64_t i = 1; i <= limits::kMessagesWaitingMax + 1; ++i)
      net.wires.push_back(control(FrameKind::decline, 0, i));
  }
  SECTION("more tags than there may be") {
    for (std::uint64_t tag = 0; tag <= limits::kMessageTagsMax; ++tag)
      net.wires.push_back(control(FrameKind::decline, tag, 0));
  }
  SECTION("a stranger has less") {
    net.strangers = {1};
    for (std::uint64_t i = 0; i <= limits::kMessagesOfStrangerMax; ++i)
      net.wires.push_back(control(FrameKind::have, 0, i));
  }
  SECTION("a stranger has fewer bytes") {
    net.strangers = {1};
    net.wires.push_back(chunk(0, limits::kMessageBytesOfStrangerMax, 0, limits::kMessageBytesOfStrangerMax));
    net.wires.push_back(chunk(1, 1, 0, 1));
  }
  net.deliver_all();
  CHECK(net.misdeeds.size() == 1);
}

TEST_CASE("what a stranger sends is received by nobody before it is a member, and not kept longer than its link") {
  Net net(3);
  net.strangers = {3};
  net.begin_view();
  (void)net.send(3, 1, 0, pattern(kSmall, 3));
  const auto of_anybody = net.receive(1, 0, 0, kSmall);
  net.deliver_all();
  CHECK_FALSE(net.calls.at(of_anybody).ended);
  SECTION("it is one now") {
    net.strangers.clear();
    net.begin_view();
    CHECK(net.calls.at(of_anybody).memory == pattern(kSmall, 3));
  }
  SECTION("it goes") {
    net.peers.at(1).unlinked(id(3));
    net.strangers.clear();
    net.begin_view();
    CHECK_FALSE(net.calls.at(of_anybody).ended);
    CHECK_FALSE(net.peers.at(1).remembers(id(3)));
  }
}

TEST_CASE("sends that time out again and again take no more room at the receiver than others, and give it back") {
  Net net(2);
  const auto first = net.send(1, 2, 0, pattern(kSmall, 1));
  for (std::size_t i = 0; i < 3 * limits::kMessagesWaitingMax; ++i) {
    (void)net.send(1, 2, 0, pattern(kSmall, 2), milliseconds(1));
    net.pass(milliseconds(2));
    net.deliver_all();
  }
  CHECK(net.misdeeds.empty());
  const auto last = net.send(1, 2, 0, pattern(kSmall, 4));
  net.deliver_all();
  CHECK(net.calls.at(first).ended);
  CHECK_FALSE(net.calls.at(last).ended);
  const auto one = net.receive(2, 1, 0, kSmall);
  net.deliver_all();
  const auto other = net.receive(2, 1, 0, kSmall);
  net.deliver_all();
  CHECK(net.calls.at(one).memory == pattern(kSmall, 1));
  CHECK(net.calls.at(other).memory == pattern(kSmall, 4));
  CHECK(net.misdeeds.empty());
}

}  // namespace hawser
