#include "catch.hpp"
#include "packet_of.hpp"
#include "wan/network.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan {
namespace {

using namespace testing;

constexpr const char* kFourHosts =
    "[[hosts]]\ncount=2\ngroup=\"west\"\nup_mbit=100\ndown_mbit=100\n"
    "[[hosts]]\ncount=2\ngroup=\"east\"\nup_mbit=100\ndown_mbit=100\n"
    "[[cables]]\nname=\"between\"\nrate_mbit=50\n"
    "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=1\n"
    "[[paths]]\nfrom=\"west\"\nto=\"east\"\ndelay_ms=10\nrate_mbit=80\ncable=\"between\"\n";

Network network_with(const std::string& events) {
  auto spec = parse_spec(kFourHosts + events, "test");
  if (!spec) FAIL(spec.error().sentence);
  return Network(*spec, at(seconds(0)));
}

/// Whether a segment that is sent then arrives.
bool passes(Network& network, Duration when, HostIndex from, HostIndex to) {
  drain(network, at(when) - microseconds(1));
  network.enqueue(at(when), packet_of({.from = from, .to = to}));
  return !drain(network, at(when + milliseconds(100))).empty();
}

/// From one segment's arrival to the next one's, of two that are sent at once.
Duration spacing(Network& network, Duration when, HostIndex from, HostIndex to) {
  drain(network, at(when) - microseconds(1));
  for (int i = 0; i < 2; ++i) network.enqueue(at(when), packet_of({.from = from, .to = to}));
  const auto arrived = drain(network, at(when + seconds(1)));
  REQUIRE(arrived.size() == 2);
  return arrived[1].due - arrived[0].due;
}

TEST_CASE("a host's outage cuts both its directions and nobody else") {
  Network network =
      network_with("[[events]]\nat_s=1\nhost=1\noutage=true\n[[events]]\nat_s=2\nhost=1\noutage=false\n");
  CHECK(passes(network, milliseconds(500), 0, 1));
  CHECK_FALSE(passes(network, milliseconds(1100), 0, 1));
  CHECK_FALSE(passes(network, milliseconds(1300), 1, 2));
  CHECK(passes(network, milliseconds(1500), 0, 2));
  CHECK(passes(network, milliseconds(2100), 0, 1));
  CHECK(network.tally().dropped_outage == 2);
}

TEST_CASE("a cable's outage loses what waits before it") {
  Network network = network_with("[[events]]\nat_s=1\ncable=\"between\"\noutage=true\n");
  CHECK(passes(network, milliseconds(500), 0, 2));
  drain(network, at(milliseconds(990)));
  // 1.2 ms on the uplink each, 2.4 ms on the cable: some have passed at 1 s, the rest waits or is still to
  // come.
  for (int i = 0; i < 10; ++i)
    network.enqueue(at(milliseconds(990)), packet_of({.from = 0, .to = 2, .segments = 10}));
  const auto arrived = drain(network, at(seconds(3)));
  CHECK(network.tally().dropped_outage > 0);
  CHECK(arrived.size() < 10);
  CHECK(network.tally().entered == network.tally().delivered + network.tally().dropped_outage);
  CHECK_FALSE(passes(network, milliseconds(3100), 2, 1));
  CHECK(passes(network, milliseconds(3300), 2, 3));
}

TEST_CASE("a pair's outage may be one way") {
  Network network = network_with("[[events]]\nat_s=1\nfrom=0\nto=1\none_way=true\noutage=true\n");
  CHECK_FALSE(passes(network, milliseconds(1100), 0, 1));
  CHECK(passes(network, milliseconds(1300), 1, 0));
}

TEST_CASE("a way may let small packets pass alone, until all is well again") {
  Network network = network_with(
      "[[events]]\nat_s=1\nfrom=0\nto=1\npasses_bytes=1000\n[[events]]\nat_s=2\nheal=true\n");
  const auto large = packet_of({.from = 0, .to = 1});
  auto small = packet_of({.from = 0, .to = 1});
  REQUIRE(large.header_bytes + large.payload_bytes > 1000);
  small.payload_bytes = small.segment_payload_bytes = 500;
  const auto arrives = [&](Duration when, const Packet& packet) {
    drain(network, at(when) - microseconds(1));
    network.enqueue(at(when), packet);
    return !drain(network, at(when + milliseconds(100))).empty();
  };
  CHECK(arrives(milliseconds(500), large));
  CHECK_FALSE(arrives(milliseconds(1100), large));
  CHECK(arrives(milliseconds(1300), small));
  CHECK_FALSE(passes(network, milliseconds(1500), 1, 0));
  CHECK(arrives(milliseconds(2100), large));
}

TEST_CASE("a partition lets its parts talk inside, and heal ends everything") {
  Network network = network_with(
      "[[events]]\nat_s=1\npartition=[\"west\", [2]]\n"
      "[[events]]\nat_s=2\nhost=0\noutage=true\n[[events]]\nat_s=3\nheal=true\n");
  CHECK(passes(network, milliseconds(1100), 0, 1));
  CHECK_FALSE(passes(network, milliseconds(1300), 0, 2));
  CHECK_FALSE(passes(network, milliseconds(1500), 2, 3));
  CHECK_FALSE(passes(network, milliseconds(2100), 0, 1));
  CHECK(passes(network, milliseconds(3100), 0, 1));
  CHECK(passes(network, milliseconds(3300), 0, 2));
  CHECK(passes(network, milliseconds(3500), 2, 3));
}

TEST_CASE("rates change while things wait") {
  Network network = network_with(
      "[[events]]\nat_s=1\nhost=0\nup_mbit=10\ndown_mbit=20\n"
      "[[events]]\nat_s=2\ncable=\"between\"\nrate_mbit=5\n"
      "[[events]]\nat_s=4\nfrom=\"west\"\nto=\"east\"\nrate_mbit=1\n");
  CHECK(spacing(network, milliseconds(500), 0, 1) == microseconds(120));
  CHECK(spacing(network, milliseconds(1500), 0, 1) == microseconds(1200));
  CHECK(spacing(network, milliseconds(1600), 1, 0) == microseconds(600));
  CHECK(spacing(network, milliseconds(2500), 2, 1) == microseconds(2400));
  CHECK(spacing(network, milliseconds(4500), 3, 1) == microseconds(12000));
}

TEST_CASE("delay, jitter and loss change") {
  Network network = network_with(
      "[[events]]\nat_s=1\nfrom=0\nto=1\ndelay_ms=30\n[[events]]\nat_s=2\nfrom=0\nto=1\nloss=0.9\n");
  drain(network, at(milliseconds(1500)));
  network.enqueue(at(milliseconds(1500)), packet_of({}));
  const auto arrived = drain(network, at(milliseconds(1999)));
  REQUIRE(arrived.size() == 1);
  CHECK(arrived[0].due == at(milliseconds(1530) + microseconds(240)));
  drain(network, at(milliseconds(2100)));
  CHECK(network.tally().lost == 0);
  network.enqueue(at(milliseconds(2100)), packet_of({.segments = 40}));
  drain(network, at(seconds(3)));
  CHECK(network.tally().lost > 20);
}

}  // namespace
}  // namespace hawser::wan
