#include <algorithm>
#include <string>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "wire/bytes.hpp"
#include "wire/control_frame.hpp"
#include "wire/link_greeting.hpp"
#include "wire/magic.hpp"

namespace hawser {
namespace {

LinkGreeting any_greeting(Random& random) {
  const auto total = static_cast<std::uint32_t>(1 + random.below(limits::kConnectionsPerLinkMax));
  return {.link_secret = random.next(),
          .from = PeerId{random.next()},
          .to = PeerId{random.next()},
          .connection_index = static_cast<std::uint32_t>(random.below(total)),
          .connections_total = total,
          .machine_proof = {.low = random.next(), .high = random.next()}};
}

}  // namespace

TEST_CASE("greetings and answers come back as they were") {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const LinkGreeting greeting = any_greeting(random);
    const auto decoded = decode_greeting(encode_greeting(greeting));
    REQUIRE(decoded.ok());
    REQUIRE(*decoded == greeting);
  }
  for (const auto answer :
       {GreetingAnswer::accepted, GreetingAnswer::refused_unknown, GreetingAnswer::refused_busy}) {
    const Digest128 proof{.low = random.next(), .high = random.next()};
    const auto decoded = decode_greeting_answer(encode_greeting_answer(answer, proof));
    REQUIRE(decoded.ok());
    CHECK(decoded->answer == answer);
    CHECK(decoded->machine_proof == proof);
  }
}

TEST_CASE("every corrupted byte of a greeting or an answer is found") {
  Random random(2);
  const auto greeting = encode_greeting(any_greeting(random));
  for (std::size_t at = 0; at < greeting.size(); ++at)
    for (unsigned flip = 1; flip < 256; ++flip) {
      auto corrupted = greeting;
      corrupted[at] ^= static_cast<std::byte>(flip);
      REQUIRE(decode_greeting(corrupted).status() == Status::refused);
    }
  const auto answer = encode_greeting_answer(GreetingAnswer::accepted);
  for (std::size_t at = 0; at < answer.size(); ++at)
    for (unsigned flip = 1; flip < 256; ++flip) {
      auto corrupted = answer;
      corrupted[at] ^= static_cast<std::byte>(flip);
      REQUIRE(decode_greeting_answer(corrupted).status() == Status::refused);
    }
}

TEST_CASE("greetings that no honest dialer sends are refused") {
  const LinkGreeting good{.link_secret = 1,
                          .from = PeerId{2},
                          .to = PeerId{3},
                          .connection_index = 0,
                          .connections_total = limits::kConnectionsPerLinkMax};
  CHECK(decode_greeting(encode_greeting(good)).ok());
  auto bad = good;
  bad.connections_total = 0;
  CHECK_FALSE(decode_greeting(encode_greeting(bad)).ok());
  bad.connections_total = limits::kConnectionsPerLinkMax + 1;
  CHECK_FALSE(decode_greeting(encode_greeting(bad)).ok());
  bad = good;
  bad.connection_index = bad.connections_total;
  CHECK_FALSE(decode_greeting(encode_greeting(bad)).ok());
  bad = good;
  bad.to = bad.from;
  CHECK_FALSE(decode_greeting(encode_greeting(bad)).ok());
}

TEST_CASE("another version of the protocol is named as such") {
  auto bytes = encode_greeting({.link_secret = 1, .from = PeerId{2}, .to = PeerId{3}});
  bytes[4] = std::byte{99};
  const auto refused = decode_greeting(bytes);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().sentence.find("version 99") != std::string::npos);
}

TEST_CASE("a stray client on a data port is refused at its first wrong byte") {
  CHECK(check_greeting_start({}).ok());
  const auto greeting = encode_greeting({.link_secret = 1, .from = PeerId{2}, .to = PeerId{3}});
  for (std::size_t length = 0; length <= greeting.size(); ++length)
    CHECK(check_greeting_start(std::span(greeting).first(length)).ok());
  CHECK_FALSE(check_greeting_start(testing::as_bytes("G")).ok());
  const auto control = check_greeting_start(testing::as_bytes(frame_control("x")));
  REQUIRE_FALSE(control.ok());
  CHECK(control.error().sentence ==
        "this is a port for data connections between peers, but a control message came");
}

TEST_CASE("the four magics differ in their last byte only") {
  const Magic magics[] = {kControlMagic, kGreetingMagic, kAnswerMagic, kFrameMagic};
  for (const Magic& a : magics)
    for (const Magic& b : magics) {
      CHECK(std::equal(a.begin(), a.end() - 1, b.begin()));
      CHECK(check_magic(a, b).ok() == (&a == &b));
    }
}

TEST_CASE("the sentence about a stray client can be logged whatever it sent") {
  Random random(3);
  for (int i = 0; i < 1000; ++i) {
    std::string noise(1 + random.below(6), '\0');
    for (char& c : noise) c = static_cast<char>(random.next());
    const auto answer = check_magic(testing::as_bytes(noise), kControlMagic);
    if (answer.ok()) continue;
    for (const char c : answer.error().sentence) REQUIRE((c >= ' ' && c <= '~'));
  }
}

}  // namespace hawser
