#include "catch.hpp"
#include "lease/lease_place.hpp"

namespace hawser::lease {

TEST_CASE("a lease is a list of endpoints and a name") {
  const auto plain = parse_lease_place("etcd://a:2379,[::1]:2380/run-1.x_y");
  REQUIRE(plain.ok());
  CHECK(plain->endpoints == std::vector<std::string>{"http://a:2379", "http://[::1]:2380"});
  CHECK(plain->name == "run-1.x_y");
  const auto secured = parse_lease_place("etcds://10.0.0.1:2379/r");
  REQUIRE(secured.ok());
  CHECK(secured->endpoints.front() == "https://10.0.0.1:2379");
}

TEST_CASE("whatever is wrong with a lease is said with the text and an example") {
  const std::string text = GENERATE(std::string(), "etcd", "http://a:1/r", "etcd://a:1", "etcd://a:1/", "etcd://a/r",
                                    "etcd:///r", "etcd://a:1,/r", "etcd://a:1/r/s", "etcd://a:1/r s",
                                    "etcd://a:1/" + std::string(129, 'x'), "etcd://u:p@a:1/r?x");
  const auto parsed = parse_lease_place(text);
  INFO(text);
  REQUIRE(parsed.status() == Status::invalid_argument);
  CHECK(parsed.error().sentence.find("'" + text + "'") != std::string::npos);
  CHECK(parsed.error().sentence.find("etcd://HOST:PORT") != std::string::npos);
}

}  // namespace hawser::lease
