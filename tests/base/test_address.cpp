#include <string>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {

TEST_CASE("addresses are read as they are written") {
  for (const char* text :
       {"1.2.3.4:5", "[::1]:48500", "[fe80::1%eth0]:1", "example.org:65535", "localhost:0"}) {
    INFO(text);
    const auto address = parse_address(text);
    REQUIRE(address.ok());
    CHECK(to_string(*address) == text);
  }
  CHECK(*parse_address("[::1]:7") == Address{.host = "::1", .port = 7});
  // Brackets around a name do no harm.
  CHECK(*parse_address("[10.0.0.1]:7") == Address{.host = "10.0.0.1", .port = 7});
}

TEST_CASE("to listen at, a host may be left out") {
  CHECK(*parse_listen_address(":48500") == Address{.host = "", .port = 48500});
  CHECK(to_string(*parse_listen_address(":48500")) == ":48500");
  CHECK(*parse_listen_address("[::1]:7") == Address{.host = "::1", .port = 7});
  for (const char* text : {"", ":", "[]:5", "::", "host", ":65536"}) {
    INFO(text);
    CHECK(parse_listen_address(text).status() == Status::invalid_argument);
  }
}

TEST_CASE("what is no address is refused with a sentence that quotes it") {
  const std::string long_host(limits::kHostBytesMax + 1, 'h');
  for (const std::string& text :
       {std::string(), std::string("host"), std::string(":1"), std::string("host:"), std::string("host:x"),
        std::string("host:1x"), std::string("host:65536"), std::string("host:-1"), std::string("host:+1"),
        std::string("host: 1"), std::string("::1:5"), std::string("[::1]"), std::string("[::1:5"),
        std::string("[]:5"), std::string("["), std::string("[::1]5"), std::string("tcp://host:1"),
        std::string("host:99999999999999999999"), long_host + ":1"}) {
    INFO(text);
    const auto address = parse_address(text);
    REQUIRE_FALSE(address.ok());
    CHECK(address.status() == Status::invalid_argument);
    CHECK(address.error().sentence.find("\"" + text + "\"") != std::string::npos);
  }
}

TEST_CASE("no text breaks the parser, and what it takes it writes back alike") {
  Random random(1);
  static constexpr char kAlphabet[] = "[]:.0123456789abcf%- ";
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (auto length = random.below(24); length > 0; --length)
      text += kAlphabet[random.below(sizeof kAlphabet - 1)];
    const auto address = parse_address(text);
    if (!address.ok()) continue;
    INFO(text);
    const auto again = parse_address(to_string(*address));
    REQUIRE(again.ok());
    REQUIRE(*again == *address);
  }
}

TEST_CASE("the text of a host tells who can dial it") {
  const auto all = [](HostKind kind, std::initializer_list<const char*> hosts) {
    for (const char* host : hosts) {
      INFO(host);
      CHECK(kind_of(host) == kind);
    }
  };
  all(HostKind::any, {"0.0.0.0", "::"});
  all(HostKind::loopback, {"127.0.0.1", "127.255.0.9", "::1", "localhost", "::ffff:127.0.0.1"});
  all(HostKind::local, {"10.77.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.5", "100.64.0.1", "169.254.1.1",
                        "fd00::1", "fe80::1%eth0", "fc12:3::4", "::ffff:10.0.0.1"});
  all(HostKind::global, {"8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2001:db8::1", "fd::1"});
  all(HostKind::name, {"example.org", "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4x"});
}

}  // namespace hawser
