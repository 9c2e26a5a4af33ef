// NATs in the network between the hosts.
#include "catch.hpp"
#include "packet_of.hpp"
#include "wan/network.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan::network_nat_test {
namespace {

using namespace testing;

constexpr const char* kRates = "up_mbit=100\ndown_mbit=100\n";
constexpr const char* kNatPaths = "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=1\n";

Spec spec_with(const std::string& nats, const std::vector<std::string>& hosts) {
  std::string text = nats;
  for (const std::string& host : hosts) text += std::string("[[hosts]]\n") + kRates + host + "\n";
  auto spec = parse_spec(text + kNatPaths, "test");
  if (!spec) FAIL(spec.error().sentence);
  return std::move(*spec);
}

/// Sends packets between endpoints, one after the other.
struct Bench {
  explicit Bench(const Spec& spec) : network(spec, at(seconds(0))) {}

  Endpoint inside(HostIndex host, std::uint16_t port) { return {network.addresses().inside(host), port}; }
  Endpoint outside(HostIndex host, std::uint16_t port) { return {network.addresses().outside(host), port}; }
  /// What arrived of it.
  std::optional<Packet> send(HostIndex from, std::uint16_t port, const Endpoint& to) {
    now += seconds(1);
    Packet packet = packet_of({.from = from});
    packet.flow = {.protocol = 6, .from = inside(from, port), .to = to};
    network.enqueue(at(now), packet);
    const auto arrived = drain(network, at(now + milliseconds(500)));
    if (arrived.empty()) return std::nullopt;
    return *arrived.at(0).parcel.packet;
  }

  Network network;
  Duration now{};
};

TEST_CASE("a host behind a NAT has an address inside, and others see the outer one") {
  Bench bench(spec_with("", {"nat=true", ""}));
  CHECK(address_text(bench.inside(0, 0).address) == "192.168.77.1");
  CHECK(address_text(bench.outside(0, 0).address) == "10.77.0.1");
  CHECK_FALSE(bench.send(1, 80, bench.outside(0, 5)));
  CHECK(bench.network.tally().dropped_nat == 1);
  const auto seen = bench.send(0, 5, bench.inside(1, 80));
  REQUIRE(seen);
  CHECK(seen->to == 1);
  CHECK(seen->flow.from == bench.outside(0, 5));
  const auto back = bench.send(1, 80, seen->flow.from);
  REQUIRE(back);
  CHECK(back->to == 0);
  CHECK(back->flow.to == bench.inside(0, 5));
  CHECK_FALSE(bench.send(1, 80, bench.inside(0, 5)));
  CHECK(bench.network.tally().dropped_nowhere == 1);
}

TEST_CASE("two hosts that send to each other at once get through NATs that keep ports") {
  Bench bench(spec_with("", {"nat=true", "nat=true"}));
  CHECK_FALSE(bench.send(0, 5, bench.outside(1, 6)));
  const auto second = bench.send(1, 6, bench.outside(0, 5));
  REQUIRE(second);
  CHECK(second->flow.to == bench.inside(0, 5));
  CHECK(bench.send(0, 5, bench.outside(1, 6)));
}

TEST_CASE("hosts behind one carrier share its address, each behind a NAT of its own") {
  const bool hairpin = GENERATE(false, true);
  const std::string nats = std::string("[[nats]]\nname=\"mobile\"\nhairpin=") + (hairpin ? "true\n" : "false\n");
  Bench bench(spec_with(nats, {"nat=true\ncarrier=\"mobile\"", "nat=true\ncarrier=\"mobile\"", ""}));
  CHECK(address_text(bench.outside(0, 0).address) == "10.77.1.1");
  CHECK(bench.outside(0, 0) == bench.outside(1, 0));
  const auto first = bench.send(0, 5, bench.inside(2, 80));
  const auto second = bench.send(1, 5, bench.inside(2, 80));
  REQUIRE((first && second));
  CHECK(first->flow.from.address == second->flow.from.address);
  CHECK(first->flow.from.port != second->flow.from.port);
  const auto back = bench.send(2, 80, second->flow.from);
  REQUIRE(back);
  CHECK(back->to == 1);
  CHECK(back->flow.to == bench.inside(1, 5));
  // By the carrier's own address, when both have sent to each other.
  CHECK_FALSE(bench.send(0, 5, second->flow.from));
  const auto through = bench.send(1, 5, first->flow.from);
  CHECK(through.has_value() == hairpin);
  if (through) {
    CHECK(through->to == 0);
    CHECK(through->flow.from == second->flow.from);
  }
  // Not by what the carrier gives its customers.
  CHECK_FALSE(bench.send(0, 5, {.address = kCarrierRange.address + 2, .port = 5}));
}

TEST_CASE("a carrier without homes gives hosts addresses of its own range") {
  Bench bench(spec_with("[[nats]]\nname=\"mobile\"\n", {"carrier=\"mobile\"", "carrier=\"mobile\"", ""}));
  CHECK(address_text(bench.inside(1, 0).address) == "100.64.0.2");
  CHECK_FALSE(bench.send(0, 5, bench.inside(1, 5)));
  REQUIRE(bench.send(1, 5, bench.inside(2, 80)));
  CHECK(bench.send(2, 80, bench.outside(1, 5))->to == 1);
}

TEST_CASE("hosts of a lan reach each other inside, and share one outer address") {
  Bench bench(spec_with("[[nats]]\nname=\"home\"\nlan=true\n", {"nat=\"home\"", "nat=\"home\"", "nat=true", ""}));
  const auto direct = bench.send(0, 5, bench.inside(1, 6));
  REQUIRE(direct);
  CHECK(direct->to == 1);
  CHECK(direct->flow.from == bench.inside(0, 5));
  CHECK(bench.outside(0, 0) == bench.outside(1, 0));
  CHECK_FALSE(bench.send(0, 5, bench.inside(2, 6)));
  REQUIRE(bench.send(1, 5, bench.inside(3, 80)));
  CHECK(bench.send(3, 80, bench.outside(1, 5))->to == 1);
}

TEST_CASE("each host that names a kind has a NAT of its own") {
  Bench bench(spec_with("[[nats]]\nname=\"open\"\nfiltering=\"endpoint-independent\"\nforward_port=9\n",
                        {"nat=\"open\"", "nat=\"open\"", ""}));
  CHECK(bench.outside(0, 0) != bench.outside(1, 0));
  const auto forwarded = bench.send(2, 80, bench.outside(1, 9));
  REQUIRE(forwarded);
  CHECK(forwarded->flow.to == bench.inside(1, 9));
  REQUIRE(bench.send(0, 5, bench.outside(1, 9)));
  CHECK(bench.send(2, 80, bench.outside(0, 5))->to == 0);
}

TEST_CASE("a packet to an address that nobody has is counted as such") {
  Bench bench(spec_with("", {"", ""}));
  CHECK_FALSE(bench.send(0, 5, {.address = kPublicRange.address + 77, .port = 5}));
  CHECK(bench.network.tally().dropped_nowhere == 1);
}

}  // namespace
}  // namespace hawser::wan::network_nat_test
