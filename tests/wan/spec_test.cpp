#include <cmath>

#include "catch.hpp"
#include "wan/bounds.hpp"
#include "wan/named_specs.hpp"
#include "wan/spec_text.hpp"

namespace hawser::wan {
namespace {

constexpr const char* kHosts = "[[hosts]]\ncount=4\nup_mbit=100\ndown_mbit=200\n";
constexpr const char* kPaths = "[[paths]]\nfrom=\"*\"\nto=\"*\"\ndelay_ms=10\n";

TEST_CASE("all specs that come with the tool are right") {
  CHECK(named_specs().size() >= 7);
  for (const NamedSpec& named : named_specs()) {
    const auto spec = load_spec(std::string(named.name), {});
    INFO(named.name << ": " << (spec ? "" : spec.error().sentence));
    REQUIRE(spec.ok());
    CHECK_FALSE(spec->summary.empty());
    CHECK_FALSE(describe(*spec).empty());
  }
}

TEST_CASE("the default queue is one bandwidth-delay product") {
  const auto spec = parse_spec(std::string(kHosts) + kPaths, "test");
  REQUIRE(spec.ok());
  CHECK(spec->hosts[0].up_queue_bytes == 250'000);  // 100 Mbit/s x 20 ms
  CHECK(spec->hosts[0].down_queue_bytes == 500'000);
}

TEST_CASE("queues may be given in ms or KiB") {
  const auto spec = parse_spec(
      "[[hosts]]\nup_mbit=80\ndown_mbit=80\nqueue_ms=5\n[[hosts]]\nup_mbit=80\ndown_mbit=80\nqueue_kib="
      "100\n" +
          std::string(kPaths),
      "test");
  REQUIRE(spec.ok());
  CHECK(spec->hosts[0].up_queue_bytes == 50'000);
  CHECK(spec->hosts[1].up_queue_bytes == 102'400);
}

TEST_CASE("another number of hosts keeps the proportions") {
  const auto with = [](HostIndex hosts) {
    const auto spec = load_spec("one-slow", hosts);
    REQUIRE(spec.ok());
    std::string groups;
    for (const HostSpec& host : spec->hosts) groups += host.group[0];
    return groups;
  };
  CHECK(with(2) == "fs");
  CHECK(with(4) == "fffs");
  CHECK(with(8) == "ffffffss");
  CHECK_FALSE(load_spec("two-regions", 1).ok());
  CHECK_FALSE(load_spec("two-regions", 251).ok());
}

TEST_CASE("later paths replace earlier ones, both ways unless told otherwise") {
  const auto spec = parse_spec(std::string(kHosts) + kPaths +
                                   "[[paths]]\nfrom=0\nto=[1,2]\ndelay_ms=20\n"
                                   "[[paths]]\nfrom=0\nto=3\ndelay_ms=30\none_way=true\n",
                               "test");
  REQUIRE(spec.ok());
  CHECK(spec->path(0, 1).delay == milliseconds(20));
  CHECK(spec->path(2, 0).delay == milliseconds(20));
  CHECK(spec->path(0, 3).delay == milliseconds(30));
  CHECK(spec->path(3, 0).delay == milliseconds(10));
  CHECK(round_trip_ms(*spec, 0, 3) == 40);
}

TEST_CASE("NATs are of the kinds that the spec names") {
  const auto spec = parse_spec(
      "[[nats]]\nname=\"hard\"\nmapping=\"address-and-port-dependent\"\nfiltering=\"address-dependent\"\n"
      "keeps_ports=false\nhairpin=true\noutgoing_only=true\nout_port=443\nforward_port=48600\nidle_s=60\n"
      "[[nats]]\nname=\"mobile\"\n"
      "[[hosts]]\nup_mbit=1\ndown_mbit=1\nnat=\"hard\"\ncarrier=\"mobile\"\n"
      "[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\nnat=true\nnat_idle_s=9\n"
      "[[hosts]]\nup_mbit=1\ndown_mbit=1\nnat=false\n" +
          std::string(kPaths),
      "test");
  REQUIRE(spec.ok());
  const auto kind_of_host = [&](HostIndex host) { return spec->nats.at(spec->hosts[host].nat.value()).kind; };
  CHECK(kind_of_host(0) == NatKind{.mapping = NatScope::address_and_port,
                                   .filtering = NatScope::address,
                                   .keeps_ports = false,
                                   .hairpin = true,
                                   .outgoing_only = true,
                                   .out_port = 443,
                                   .forward_port = 48600,
                                   .idle = seconds(60)});
  CHECK(spec->nats.at(spec->hosts[0].carrier.value()).kind == NatKind{});
  CHECK(kind_of_host(2) == NatKind{.idle = seconds(9)});
  CHECK_FALSE(spec->hosts[2].carrier);
  CHECK_FALSE(spec->hosts[3].nat);
  CHECK(describe(*spec).find("that behind mobile") != std::string::npos);
}

TEST_CASE("what is wrong is refused with its line") {
  const auto [text, line, word] = GENERATE(table<std::string, std::string, std::string>({
      {"[[hosts]]\nup_mbit=1\ndown_mbit=1\ncuont=2\n", "line 4", "cuont"},
      {"[[hosts]]\ncount=2\nup_mbit=-1\ndown_mbit=1\n", "line 3", "up_mbit"},
      {"[[hosts]]\ncount=2\nup_mbit=\"fast\"\ndown_mbit=1\n", "line 3", "number"},
      {"[[hosts]]\ncount=2.5\nup_mbit=1\ndown_mbit=1\n", "line 2", "whole"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\nqueue_ms=1\nqueue_kib=1\n", "line 1", "not both"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n", "line 1", "no [[paths]]"},
      {"[[hosts]]\ncount=1\nup_mbit=1\ndown_mbit=1\n", "line 1", "2 to 250"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=7\ndelay_ms=1\n", "line 7",
       "host 7"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=\"moon\"\ndelay_ms=1\n", "line 7",
       "moon"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=1\ndelay_ms=1\ncable=\"x\"\n",
       "line 5", "cable"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=1\ndelay_ms=1\nloss=2\n", "line 9",
       "loss"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=1\ndelay_ms=1\n[[events]]\nat_s="
       "1\n",
       "line 9", "nothing to do"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=1\ndelay_ms=1\n[[events]]\nat_s="
       "1\nfrom=0\nto=1\nrate_mbit=1\n",
       "line 9", "has none"},
      {"[[hosts]]\ncount=2\nup_mbit=1\ndown_mbit=1\n[[paths]]\nfrom=0\nto=1\ndelay_ms=1\n[[events]]\nat_s="
       "1\npartition=[[0],[0,1]]\n",
       "line 11", "two parts"},
      {"[[hosts]]\nup_mbit=1\ndown_mbit=1\nnat=7\n", "line 4", "true, false"},
      {"[[hosts]]\nup_mbit=1\ndown_mbit=1\nnat=\"x\"\n", "line 4", "\"x\""},
      {"[[hosts]]\nup_mbit=1\ndown_mbit=1\ncarrier=\"x\"\n", "line 4", "\"x\""},
      {"[[nats]]\nname=\"n\"\nmapping=\"cone\"\n", "line 3", "endpoint-independent"},
      {"[[nats]]\nname=\"n\"\nfiltering=7\n", "line 3", "quotes"},
      {"[[nats]]\nname=\"n\"\nidle_s=0\n", "line 3", "idle_s"},
      {"[[nats]]\nname=\"n\"\nport=7\n", "line 3", "out_port"},
      {"[[nats]]\nname=\"n\"\nforward_port=65536\n", "line 3", "65535"},
      {"[[nats]]\nname=\"n\"\nlan=true\nforward_port=7\n", "line 4", "one host"},
      {"[[nats]]\nmapping=\"endpoint-independent\"\n", "line 1", "name"},
      {"[[nats]]\nname=\"n\"\n[[nats]]\nname=\"n\"\n", "line 4", "two"},
      {"[[nats]]\nname=\"n\"\nlan=true\n[[hosts]]\nup_mbit=1\ndown_mbit=1\ncarrier=\"n\"\n", "line 7", "lan"},
      {"[[nats]]\nname=\"n\"\n[[hosts]]\nup_mbit=1\ndown_mbit=1\nnat=\"n\"\nnat_idle_s=5\n", "line 7", "idle_s"},
      {"[sysctls]\n\"kernel.panic\" = \"1\"\n", "line 2", "net."},
      {"hosts = 3\n", "line 1", "[[hosts]]"},
      {"[[hosts]\n", "line 1", ""},
  }));
  const auto spec = parse_spec(text, "test");
  INFO(text);
  REQUIRE_FALSE(spec.ok());
  INFO(spec.error().sentence);
  CHECK(spec.error().status == Status::invalid_argument);
  CHECK(spec.error().sentence.find(line) != std::string::npos);
  CHECK(spec.error().sentence.find(word) != std::string::npos);
}

TEST_CASE("bounds follow from the narrowest link") {
  const auto spec = load_spec("two-regions", {});
  REQUIRE(spec.ok());
  const double share = 1448.0 / 1500;
  CHECK(payload_share(*spec) == Approx(share));
  CHECK(pair_bound(*spec, 0, 1).bits_per_s == Approx(1e9 * share));
  CHECK(pair_bound(*spec, 0, 4).bits_per_s == Approx(300e6 * share));
  CHECK(pair_bound(*spec, 0, 4).by == "cable between");
  // 16 ordered pairs in each direction share 300 Mbit/s; an uplink carries 7 at 1000.
  CHECK(exchange_bound(*spec).s_per_byte == Approx(16 * 8 / (300e6 * share)));
  // Inside a region, and through the cable in each direction.
  const auto kinds = pair_kinds(*spec);
  REQUIRE(kinds.size() == 3);
  CHECK(kinds[0].pairs + kinds[1].pairs + kinds[2].pairs == 56);
  CHECK(std::isinf(cubic_loss_bound(*spec, 0, 4)));
}

TEST_CASE("CUBIC's bound under loss is that of its response function") {
  const auto spec = load_spec("lossy", {});
  REQUIRE(spec.ok());
  // 0.1 s, 1e-4: (0.4 x 3.7 / 1.2)^(1/4) x 1000^(3/4) = 187.4 segments of 1448 bytes per 0.1 s.
  CHECK(cubic_loss_bound(*spec, 0, 1) == Approx(187.4 * 1448 * 8 / 0.1).epsilon(0.001));
}

}  // namespace
}  // namespace hawser::wan
