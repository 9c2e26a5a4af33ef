#include "wan/network.hpp"

#include "catch.hpp"
#include "packet_of.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan {
namespace {

using namespace testing;

Spec spec_of(const std::string& text) {
  auto spec = parse_spec(text, "test");
  if (!spec) FAIL(spec.error().sentence);
  return std::move(*spec);
}

std::string hosts_and_paths(int count, const std::string& path,
                            const std::string& host = "up_mbit=1000\ndown_mbit=1000\n") {
  return "[[hosts]]\ncount = " + std::to_string(count) + "\n" + host + "[[paths]]\nfrom=\"*\"\nto=\"*\"\n" +
         path;
}

std::uint64_t payload(const std::vector<Delivery>& deliveries) {
  std::uint64_t bytes = 0;
  for (const Delivery& delivery : deliveries) bytes += delivery.parcel.payload_bytes();
  return bytes;
}

/// Keeps the sender's queue full for so long, and returns what arrived in wire bytes per second.
double sustained_bits_per_s(Network& network, std::vector<std::pair<HostIndex, HostIndex>> pairs,
                            Duration length, Duration since = Duration::zero()) {
  std::uint64_t wire = 0;
  for (Duration t = since; t < since + length; t += milliseconds(1)) {
    for (const auto& [from, to] : pairs)
      for (int i = 0; i < 4; ++i) network.enqueue(at(t), packet_of({.from = from, .to = to, .segments = 40}));
    for (const Delivery& delivery : network.advance(at(t))) wire += delivery.parcel.wire_bytes();
  }
  return 8e6 * static_cast<double>(wire) / static_cast<double>(length.count());
}

TEST_CASE("a lone segment arrives after its delay and its time on both access links") {
  Network network(spec_of(hosts_and_paths(2, "delay_ms = 50\n")), at(seconds(0)));
  network.enqueue(at(seconds(0)), packet_of({}));
  const auto arrived = drain(network, at(seconds(1)));
  REQUIRE(arrived.size() == 1);
  // 1500 bytes take 12 us at 1 Gbit/s.
  CHECK(arrived[0].due == at(milliseconds(50) + microseconds(24)));
}

TEST_CASE("a super-packet is late by its length once, as its segments would be") {
  Network network(spec_of(hosts_and_paths(2, "delay_ms = 1\n")), at(seconds(0)));
  network.enqueue(at(seconds(0)), packet_of({.segments = 40}));
  const auto arrived = drain(network, at(seconds(1)));
  REQUIRE(arrived.size() == 1);
  CHECK(arrived[0].due == at(milliseconds(1) + microseconds(41 * 12)));
}

TEST_CASE("a fast downlink is not held up by slow uplinks") {
  const std::string text =
      "[[hosts]]\ncount=4\ngroup=\"slow\"\nup_mbit=25\ndown_mbit=25\n"
      "[[hosts]]\nup_mbit=100\ndown_mbit=100\n[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=5\n";
  Network network(spec_of(text), at(seconds(0)));
  for (HostIndex from = 0; from < 4; ++from)
    network.enqueue(at(seconds(0)), packet_of({.from = from, .to = 4, .segments = 20}));
  const auto arrived = drain(network, at(seconds(1)));
  REQUIRE(arrived.size() == 4);
  // Each needs 9.6 ms of its uplink; together they need 9.6 ms of the downlink, which begins when they
  // trickle in.
  CHECK(arrived.back().due <= at(milliseconds(5) + microseconds(2 * 9600 + 1000)));
}

TEST_CASE("rates are kept within one percent") {
  const auto [rate, host, path] = GENERATE(table<double, std::string, std::string>(
      {{20e6, "up_mbit=20\ndown_mbit=1000\n", "delay_ms=10\n"},
       {250e6, "up_mbit=1000\ndown_mbit=250\n", "delay_ms=10\n"},
       {1000e6, "up_mbit=1000\ndown_mbit=1000\n", "delay_ms=10\n"},
       {77e6, "up_mbit=1000\ndown_mbit=1000\n", "delay_ms=10\nrate_mbit=77\n"}}));
  Network network(spec_of(hosts_and_paths(2, path, host)), at(seconds(0)));
  sustained_bits_per_s(network, {{0, 1}}, seconds(1));  // until the queues are full
  CHECK(sustained_bits_per_s(network, {{0, 1}}, seconds(3), seconds(1)) == Approx(rate).epsilon(0.01));
}

TEST_CASE("a cable is shared by its pairs, each direction by itself") {
  const std::string text =
      "[[hosts]]\ncount=2\ngroup=\"west\"\nup_mbit=1000\ndown_mbit=1000\n"
      "[[hosts]]\ncount=2\ngroup=\"east\"\nup_mbit=1000\ndown_mbit=1000\n"
      "[[cables]]\nname=\"between\"\nrate_mbit=100\n"
      "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=1\n"
      "[[paths]]\nfrom=\"west\"\nto=\"east\"\ndelay_ms=10\ncable=\"between\"\n";
  Network network(spec_of(text), at(seconds(0)));
  SECTION("two pairs in one direction") {
    sustained_bits_per_s(network, {{0, 2}, {1, 3}}, seconds(1));
    CHECK(sustained_bits_per_s(network, {{0, 2}, {1, 3}}, seconds(2), seconds(1)) ==
          Approx(100e6).epsilon(0.01));
  }
  SECTION("one pair in each direction") {
    sustained_bits_per_s(network, {{0, 2}, {3, 1}}, seconds(1));
    CHECK(sustained_bits_per_s(network, {{0, 2}, {3, 1}}, seconds(2), seconds(1)) ==
          Approx(200e6).epsilon(0.01));
  }
  SECTION("a pair on one side does not pass it") {
    sustained_bits_per_s(network, {{0, 1}}, seconds(1));
    CHECK(sustained_bits_per_s(network, {{0, 1}}, seconds(1), seconds(1)) == Approx(1e9).epsilon(0.01));
  }
}

TEST_CASE("a queue holds what its bound says and drops the rest at its tail, by segments") {
  // 15000 bytes: ten segments.
  Network network(spec_of(hosts_and_paths(2, "delay_ms=1\n", "up_mbit=1\ndown_mbit=1000\nqueue_kib=14.65\n")),
                  at(seconds(0)));
  network.enqueue(at(seconds(0)), packet_of({.segments = 1}));  // on the wire; its rest counts too
  network.enqueue(at(seconds(0)), packet_of({.segments = 20}));
  CHECK(network.tally().dropped_queue == 11);
  const auto arrived = drain(network, at(seconds(10)));
  CHECK(payload(arrived) == 10 * kSegment);
  CHECK(network.queue_drops() == std::vector<std::pair<std::string, std::uint64_t>>{{"host 0 up", 11}});
  // What was left of the second packet is its beginning.
  CHECK(arrived.back().parcel.first == 0);
}

TEST_CASE("an empty queue takes a segment, however small it is") {
  Network network(spec_of(hosts_and_paths(2, "delay_ms=1\n", "up_mbit=1\ndown_mbit=1000\nqueue_kib=1\n")),
                  at(seconds(0)));
  network.enqueue(at(seconds(0)), packet_of({.segments = 2}));
  CHECK(drain(network, at(seconds(1))).size() == 1);
}

TEST_CASE("losses strike segments with their probability, the same ones for the same seed") {
  const auto lost_with = [](std::uint64_t seed) {
    Spec spec = spec_of(hosts_and_paths(2, "delay_ms=1\nloss=0.01\n"));
    spec.seed = seed;
    Network network(spec, at(seconds(0)));
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pieces;
    Duration t{};
    for (int i = 0; i < 5000; ++i, t += milliseconds(1)) {
      network.enqueue(at(t), packet_of({.segments = 40}));
      for (const Delivery& delivery : network.advance(at(t)))
        pieces.emplace_back(delivery.parcel.first, delivery.parcel.count);
    }
    drain(network, at(t + seconds(1)));
    const Tally& tally = network.tally();
    CHECK(tally.entered == tally.delivered + tally.lost);
    CHECK(static_cast<double>(tally.lost) == Approx(2000).epsilon(0.1));  // 200000 x 0.01, sigma 45
    return pieces;
  };
  const auto first = lost_with(7);
  CHECK(first == lost_with(7));
  CHECK(first != lost_with(8));
}

TEST_CASE("what losses leave of a packet are all its other segments, in order") {
  Network network(spec_of(hosts_and_paths(2, "delay_ms=1\nloss=0.3\n")), at(seconds(0)));
  for (int i = 0; i < 50; ++i) {
    const Instant now = at(milliseconds(10 * i));
    const std::uint64_t lost_before = network.tally().lost;
    network.enqueue(now, packet_of({.segments = 40}));
    std::uint32_t next = 0, arrived = 0;
    for (const Delivery& delivery : drain(network, now + milliseconds(9))) {
      CHECK(delivery.parcel.first >= next);
      next = delivery.parcel.first + delivery.parcel.count;
      arrived += delivery.parcel.count;
    }
    CHECK(arrived + network.tally().lost - lost_before == 40);
  }
}

TEST_CASE("jitter lengthens delays up to its bound, and does not reorder unless asked") {
  const bool reorder = GENERATE(false, true);
  Network network(spec_of(hosts_and_paths(2, std::string("delay_ms=20\njitter_ms=10\nreorder=") +
                                                 (reorder ? "true\n" : "false\n"))),
                  at(seconds(0)));
  std::vector<std::uint16_t> order;
  for (std::uint16_t i = 0; i < 200; ++i)
    network.enqueue(at(milliseconds(i)), packet_of({.from_port = i}));
  Duration longest{}, shortest = seconds(1);
  for (const Delivery& delivery : drain(network, at(seconds(1)))) {
    const std::uint16_t number = delivery.parcel.packet->flow.from.port;
    order.push_back(number);
    const Duration took = delivery.due - at(milliseconds(number));
    longest = std::max(longest, took);
    shortest = std::min(shortest, took);
  }
  REQUIRE(order.size() == 200);
  CHECK(std::ranges::is_sorted(order) == !reorder);
  CHECK(shortest >= milliseconds(20));
  CHECK(longest <= milliseconds(30) + microseconds(50));
  CHECK(longest > milliseconds(28));
}

TEST_CASE("a late driver loses no rate, and the due times say when things should have been") {
  Network network(spec_of(hosts_and_paths(2, "delay_ms=1\n")), at(seconds(0)));
  for (int i = 0; i < 10; ++i) network.enqueue(at(seconds(0)), packet_of({.segments = 10}));
  const auto arrived = network.advance(at(seconds(5)));
  REQUIRE(arrived.size() == 10);
  CHECK(arrived.back().due <= at(milliseconds(1) + microseconds(101 * 12 + 10)));
}

}  // namespace
}  // namespace hawser::wan
