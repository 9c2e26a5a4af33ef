#include "base/random.hpp"
#include "catch.hpp"
#include "lease/etcd_messages.hpp"

/// The answers are those of etcd 3.4 and 3.5.
namespace hawser::lease {
namespace {

using Kind = LeaseRequest::Kind;

constexpr const char* kHeader =
    R"("header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"8"})";

LeaseAnswer answer_to(Kind kind, const std::string& body, long code = 200) {
  return from_etcd_answer({.kind = kind, .number = 3}, code, body);
}

}  // namespace

TEST_CASE("requests are in etcd's JSON, with keys and values in base64") {
  const auto look = as_etcd_request({.kind = Kind::look}, "/k", "me");
  CHECK(look.path == "/v3/kv/range");
  CHECK(look.body == R"({"key":"L2s="})");
  CHECK(as_etcd_request({.kind = Kind::grant, .ttl = milliseconds(1500)}, "/k", "me").body == R"({"TTL":"2"})");
  CHECK(as_etcd_request({.kind = Kind::renew, .id = 7}, "/k", "me").body == R"({"ID":"7"})");
  const auto take = as_etcd_request({.kind = Kind::take, .id = 7}, "/k", "me");
  CHECK(take.path == "/v3/kv/txn");
  CHECK(take.body ==
        R"({"compare":[{"target":"CREATE","result":"EQUAL","key":"L2s=","create_revision":"0"}],)"
        R"("success":[{"request_put":{"key":"L2s=","value":"bWU=","lease":"7"}},{"request_range":{"key":"L2s="}}],)"
        R"("failure":[{"request_range":{"key":"L2s="}}]})");
}

TEST_CASE("a key that is there says who holds the lease, and one that is not that nobody does") {
  const std::string header = kHeader;
  const auto held = answer_to(Kind::look, "{" + header +
                                              R"(,"kvs":[{"key":"L2s=","create_revision":"5","version":"1",)"
                                              R"("value":"bWU=","lease":"7587848943239472133"}],"count":"1"})");
  REQUIRE(held.is_answered);
  REQUIRE(held.holder);
  CHECK(held.number == 3);
  CHECK(held.holder->revision == 5);
  CHECK(held.holder->id == 7587848943239472133U);
  CHECK(held.holder->name == "me");
  const auto free = answer_to(Kind::look, "{" + header + "}");
  CHECK(free.is_answered);
  CHECK_FALSE(free.holder);
}

TEST_CASE("a take says who holds the lease afterwards") {
  const std::string put = R"({"response_put":{"header":{"revision":"9"}}},)";
  const std::string range = R"({"response_range":{"kvs":[{"create_revision":"9","lease":"4"}]}})";
  const std::string header = kHeader;
  const auto ours =
      answer_to(Kind::take, "{" + header + R"(,"succeeded":true,"responses":[)" + put + range + "]}");
  REQUIRE(ours.holder);
  CHECK(ours.holder->revision == 9);
  CHECK(ours.holder->id == 4);
  CHECK(answer_to(Kind::take, "{" + header + R"(,"responses":[)" + range + "]}").holder);
  CHECK_FALSE(answer_to(Kind::take, "{" + header + "}").is_answered);
}

TEST_CASE("times to live are granted and renewed; one that has ended has none") {
  const std::string header = kHeader;
  const auto granted = answer_to(Kind::grant, "{" + header + R"(,"ID":"12","TTL":"2"})");
  CHECK(granted.id == 12);
  CHECK(granted.ttl == seconds(2));
  CHECK_FALSE(answer_to(Kind::grant, "{" + header + "}").is_answered);
  CHECK(answer_to(Kind::renew, R"({"result":{)" + header + R"(,"ID":"12","TTL":"3"}})" + "\n").ttl == seconds(3));
  const auto ended = answer_to(Kind::renew, R"({"result":{)" + header + R"(,"ID":"12"}})");
  CHECK(ended.is_answered);
  CHECK(ended.ttl == Duration::zero());
}

TEST_CASE("what etcd refuses is told in its words; that a time to live is over already is no failure of its end") {
  const std::string gone = R"({"error":"etcdserver: requested lease not found","code":5,)"
                           R"("message":"etcdserver: requested lease not found"})";
  CHECK(answer_to(Kind::revoke, gone, 404).is_answered);
  const auto refused = answer_to(Kind::take, gone, 404);
  CHECK_FALSE(refused.is_answered);
  CHECK(refused.failure.find("requested lease not found") != std::string::npos);
  CHECK(answer_to(Kind::look, "\x01 page not found", 404).failure.find("? page not found") != std::string::npos);
}

TEST_CASE("what no etcd says is no answer, whatever it is") {
  Random random(7);
  const std::string header = kHeader;
  const std::string whole = "{" + header + R"(,"kvs":[{"create_revision":"5","value":"bWU=","lease":"7"}]})";
  for (std::size_t length = 0; length < whole.size(); ++length)
    CHECK_FALSE(answer_to(Kind::look, whole.substr(0, length)).is_answered);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = whole;
    for (int k = 0; k < 3; ++k) damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    for (const Kind kind : {Kind::look, Kind::grant, Kind::take, Kind::renew, Kind::revoke})
      (void)answer_to(kind, damaged);
  }
  CHECK_FALSE(answer_to(Kind::look, R"({"kvs":[{"create_revision":"-1"}]})").is_answered);
  CHECK_FALSE(answer_to(Kind::look, R"({"kvs":[{"lease":"99999999999999999999"}]})").is_answered);
  CHECK_FALSE(answer_to(Kind::look, std::string(10'000, '[')).is_answered);
  const std::string deep = R"({"x":)" + std::string(100, '[') + "1" + std::string(100, ']') + "}";
  CHECK(answer_to(Kind::look, deep).failure.find("nested") != std::string::npos);
}

}  // namespace hawser::lease
