#include "wan/nat_translation.hpp"

#include "catch.hpp"
#include "wan/packet.hpp"

namespace hawser::wan::nat_translation_test {
namespace {

constexpr std::uint32_t kNatOuter = 0x0a4d0001;
constexpr Endpoint kInnerHost{.address = 0xc0a84d01, .port = 5000};
constexpr Endpoint kOther{.address = 0xc0a84d02, .port = 5000};
constexpr Endpoint kNatServer{.address = 0x0a4d0002, .port = 80};
constexpr Endpoint kSamePlace{.address = 0x0a4d0002, .port = 81};
constexpr Endpoint kElsewhere{.address = 0x0a4d0003, .port = 80};

Instant at(std::int64_t s) { return Instant(seconds(1000 + s)); }

/// A NAT, and a clock that stands still unless told.
struct NatBench {
  explicit NatBench(const NatKind& kind, std::size_t sessions_max = 100)
      : nat({.kind = kind,
             .outer_address = kNatOuter,
             .forward_to = kInnerHost.address,
             .seed = 7,
             .sessions_max = sessions_max}) {}

  /// The outer port, or 0 if it does not pass.
  std::uint16_t out(const Endpoint& from, const Endpoint& to, PacketKind kind = PacketKind::ordinary) {
    Packet packet{.flow = {.protocol = 6, .from = from, .to = to}, .kind = kind};
    if (!nat.goes_out(now, packet)) return 0;
    CHECK(packet.flow.from.address == kNatOuter);
    CHECK(packet.flow.to == to);
    return packet.flow.from.port;
  }
  /// Where it comes to; nowhere if it does not pass.
  Endpoint in(const Endpoint& from, std::uint16_t port, PacketKind kind = PacketKind::ordinary) {
    Packet packet{.flow = {.protocol = 6, .from = from, .to = {kNatOuter, port}}, .kind = kind};
    if (!nat.comes_in(now, packet)) return {};
    CHECK(packet.flow.from == from);
    return packet.flow.to;
  }

  NatTranslation nat;
  Instant now = at(0);
};

TEST_CASE("by default a NAT keeps ports, and lets in only who was spoken to") {
  NatBench bench({});
  CHECK(bench.in(kNatServer, 5000) == Endpoint{});
  CHECK(bench.out(kInnerHost, kNatServer) == 5000);
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
  CHECK(bench.in(kSamePlace, 5000) == Endpoint{});
  CHECK(bench.in(kElsewhere, 5000) == Endpoint{});
  CHECK(bench.in(kNatServer, 5001) == Endpoint{});
}

TEST_CASE("two hosts with the same port get two outer ports") {
  NatBench bench({});
  CHECK(bench.out(kInnerHost, kNatServer) == 5000);
  const std::uint16_t second = bench.out(kOther, kNatServer);
  CHECK(second != 5000);
  CHECK(second >= 1024);
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
  CHECK(bench.in(kNatServer, second) == kOther);
}

TEST_CASE("the mapping depends on as much of the other end as the kind says") {
  const auto [scope, same_place, elsewhere] = GENERATE(table<NatScope, bool, bool>(
      {{NatScope::endpoint_independent, true, true},
       {NatScope::address, true, false},
       {NatScope::address_and_port, false, false}}));
  NatBench bench({.mapping = scope, .keeps_ports = false});
  const std::uint16_t port = bench.out(kInnerHost, kNatServer);
  CHECK(bench.out(kInnerHost, kNatServer) == port);
  CHECK((bench.out(kInnerHost, kSamePlace) == port) == same_place);
  CHECK((bench.out(kInnerHost, kElsewhere) == port) == elsewhere);
}

TEST_CASE("the filter depends on as much of the other end as the kind says") {
  const auto [scope, same_place, elsewhere] = GENERATE(table<NatScope, bool, bool>(
      {{NatScope::endpoint_independent, true, true},
       {NatScope::address, true, false},
       {NatScope::address_and_port, false, false}}));
  NatBench bench({.filtering = scope});
  bench.out(kInnerHost, kNatServer);
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
  CHECK((bench.in(kSamePlace, 5000) == kInnerHost) == same_place);
  CHECK((bench.in(kElsewhere, 5000) == kInnerHost) == elsewhere);
}

TEST_CASE("a symmetric NAT that keeps ports shows one port to all") {
  NatBench bench({.mapping = NatScope::address_and_port});
  CHECK(bench.out(kInnerHost, kNatServer) == 5000);
  CHECK(bench.out(kInnerHost, kElsewhere) == 5000);
  // Of two hosts, where they speak to different ends.
  CHECK(bench.out(kOther, kSamePlace) == 5000);
  CHECK(bench.in(kSamePlace, 5000) == kOther);
  CHECK(bench.out(kOther, kNatServer) != 5000);
}

TEST_CASE("what answers somebody that a wide filter let in goes by the same port") {
  NatBench bench({.mapping = NatScope::address_and_port,
               .filtering = NatScope::endpoint_independent,
               .keeps_ports = false});
  const std::uint16_t port = bench.out(kInnerHost, kNatServer);
  CHECK(bench.in(kElsewhere, port) == kInnerHost);
  CHECK(bench.out(kInnerHost, kElsewhere) == port);
}

TEST_CASE("a mapping is forgotten when it was idle for too long, and use keeps it") {
  NatBench bench({.keeps_ports = false, .idle = seconds(60)});
  const std::uint16_t port = bench.out(kInnerHost, kNatServer);
  bench.now = at(50);
  CHECK(bench.in(kNatServer, port) == kInnerHost);
  bench.now = at(110);
  CHECK(bench.in(kNatServer, port) == kInnerHost);
  CHECK(bench.out(kInnerHost, kElsewhere) == port);
  bench.now = at(169);
  CHECK(bench.nat.mappings() == 1);
  bench.now = at(171);
  CHECK(bench.in(kNatServer, port) == Endpoint{});
  CHECK(bench.nat.sessions() == 0);
  CHECK(bench.nat.mappings() == 0);
  CHECK(bench.out(kInnerHost, kNatServer) != port);
}

TEST_CASE("the session that was idle longest makes room") {
  NatBench bench({}, 2);
  bench.out(kInnerHost, kNatServer);
  bench.out(kInnerHost, kSamePlace);
  bench.out(kInnerHost, kNatServer);
  bench.out(kInnerHost, kElsewhere);
  CHECK(bench.nat.sessions() == 2);
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
  CHECK(bench.in(kSamePlace, 5000) == Endpoint{});
}

TEST_CASE("with outgoing only, answers come in and no SYN does") {
  NatBench bench({.filtering = NatScope::endpoint_independent, .outgoing_only = true});
  CHECK(bench.out(kInnerHost, kNatServer, PacketKind::opening) == 5000);
  CHECK(bench.in(kNatServer, 5000, PacketKind::opening) == Endpoint{});
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
}

TEST_CASE("an out_port lets flows begin to that port only") {
  NatBench bench({.out_port = 80});
  CHECK(bench.out(kInnerHost, kSamePlace) == 0);
  CHECK(bench.out(kInnerHost, kNatServer) == 5000);
  CHECK(bench.out(kInnerHost, kElsewhere) == 5000);
  CHECK(bench.out(kInnerHost, kSamePlace) == 0);
}

TEST_CASE("a forwarded port leads in, and belongs to nobody else") {
  NatBench bench({.outgoing_only = true, .out_port = 80, .forward_port = 5000});
  CHECK(bench.out(kOther, kNatServer) != 5000);
  CHECK(bench.in(kSamePlace, 5000, PacketKind::opening) == kInnerHost);
  CHECK(bench.out(kInnerHost, kSamePlace) == 5000);
  CHECK(bench.in(kSamePlace, 5001, PacketKind::opening) == Endpoint{});
}

TEST_CASE("an error passes with the flow that it is about, and begins and keeps nothing") {
  NatBench bench({.idle = seconds(60)});
  CHECK(bench.out(kInnerHost, kNatServer, PacketKind::error) == 0);
  CHECK(bench.in(kNatServer, 5000, PacketKind::error) == Endpoint{});
  bench.out(kInnerHost, kNatServer);
  bench.now = at(50);
  CHECK(bench.out(kInnerHost, kNatServer, PacketKind::error) == 5000);
  CHECK(bench.in(kNatServer, 5000, PacketKind::error) == kInnerHost);
  CHECK(bench.in(kElsewhere, 5000, PacketKind::error) == Endpoint{});
  bench.now = at(61);
  CHECK(bench.in(kNatServer, 5000) == Endpoint{});
}

TEST_CASE("fragments do not pass, and protocols do not share ports") {
  NatBench bench({});
  CHECK(bench.out(kInnerHost, kNatServer, PacketKind::fragment) == 0);
  bench.out(kInnerHost, kNatServer);
  Packet udp{.flow = {.protocol = 17, .from = kOther, .to = kNatServer}};
  REQUIRE(bench.nat.goes_out(bench.now, udp));
  CHECK(udp.flow.from.port == 5000);
  CHECK(bench.in(kNatServer, 5000) == kInnerHost);
}

TEST_CASE("ports that are not kept follow from the seed") {
  const NatKind kind{.mapping = NatScope::address_and_port, .keeps_ports = false};
  NatBench one(kind), again(kind);
  for (std::uint16_t port = 1; port < 50; ++port) {
    const std::uint16_t drawn = one.out(kInnerHost, {.address = 1, .port = port});
    CHECK(drawn >= 1024);
    CHECK(again.out(kInnerHost, {.address = 1, .port = port}) == drawn);
  }
}

}  // namespace
}  // namespace hawser::wan::nat_translation_test
