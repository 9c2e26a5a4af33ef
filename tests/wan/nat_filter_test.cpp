#include "wan/nat_filter.hpp"

#include "catch.hpp"
#include "packet_of.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan {
namespace {

using namespace testing;

Packet from_inside(std::uint16_t port) {
  return packet_of({.from = 0, .to = 1, .flow = {.protocol = 6, .from_port = port, .to_port = 80}});
}
Packet from_outside(std::uint16_t port, HostIndex outside = 1) {
  return packet_of({.from = outside, .to = 0, .flow = {.protocol = 6, .from_port = 80, .to_port = port}});
}

TEST_CASE("only flows that began inside come in") {
  NatFilter nat({.idle = seconds(60)});
  CHECK_FALSE(nat.comes_in(at(seconds(0)), from_outside(5)));
  nat.goes_out(at(seconds(1)), from_inside(5));
  CHECK(nat.comes_in(at(seconds(2)), from_outside(5)));
  CHECK_FALSE(nat.comes_in(at(seconds(2)), from_outside(6)));
  CHECK_FALSE(nat.comes_in(at(seconds(2)), from_outside(5, 2)));
}

TEST_CASE("a flow is forgotten when it was idle for too long, and use keeps it") {
  NatFilter nat({.idle = seconds(60)});
  nat.goes_out(at(seconds(0)), from_inside(5));
  CHECK(nat.comes_in(at(seconds(50)), from_outside(5)));
  CHECK(nat.comes_in(at(seconds(110)), from_outside(5)));
  CHECK_FALSE(nat.comes_in(at(seconds(171)), from_outside(5)));
  CHECK(nat.flows() == 0);
}

TEST_CASE("the flow that was idle longest makes room") {
  NatFilter nat({.idle = seconds(60), .flows_max = 2});
  nat.goes_out(at(seconds(0)), from_inside(1));
  nat.goes_out(at(seconds(1)), from_inside(2));
  nat.goes_out(at(seconds(2)), from_inside(1));
  nat.goes_out(at(seconds(3)), from_inside(3));
  CHECK(nat.flows() == 2);
  CHECK(nat.comes_in(at(seconds(4)), from_outside(1)));
  CHECK_FALSE(nat.comes_in(at(seconds(4)), from_outside(2)));
}

TEST_CASE("the network asks the filter of a host behind a NAT") {
  const auto spec = parse_spec(
      "[[hosts]]\nup_mbit=100\ndown_mbit=100\nnat=true\n[[hosts]]\nup_mbit=100\ndown_mbit=100\n"
      "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=1\n",
      "test");
  REQUIRE(spec.ok());
  Network network(*spec, at(seconds(0)));
  network.enqueue(at(seconds(0)), from_outside(5));
  CHECK(drain(network, at(seconds(1))).empty());
  CHECK(network.tally().dropped_nat == 1);
  network.enqueue(at(seconds(1)), from_inside(5));
  CHECK(drain(network, at(seconds(2))).size() == 1);
  network.enqueue(at(seconds(2)), from_outside(5));
  CHECK(drain(network, at(seconds(3))).size() == 1);
}

}  // namespace
}  // namespace hawser::wan
