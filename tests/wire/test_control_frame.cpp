#include <string>
#include <vector>

#include "base/bug_found.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "wire/bytes.hpp"
#include "wire/control_frame.hpp"
#include "wire/link_greeting.hpp"

namespace hawser {
namespace {

using testing::as_bytes;

/// All messages that the reader has; the error, where the stream is lost.
Result<std::vector<std::string>> drain(ControlFrameReader& reader) {
  std::vector<std::string> messages;
  while (true) {
    auto next = reader.next();
    if (!next.ok()) return next.error();
    if (!*next) return messages;
    messages.push_back(std::move(**next));
  }
}

}  // namespace

TEST_CASE("messages come out of a stream as they went in, in pieces of any size") {
  Random random(1);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::string> sent;
    std::string stream;
    for (auto count = 1 + random.below(8); count > 0; --count) {
      std::string message(random.below(random.chance(1, 10) ? 200000 : 300), '\0');
      for (char& c : message) c = static_cast<char>(random.next());
      stream += frame_control(message);
      sent.push_back(std::move(message));
    }
    ControlFrameReader reader;
    std::vector<std::string> received;
    const std::uint64_t piece_max = random.chance(1, 2) ? 40 : 100000;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t length = std::min(stream.size() - at, 1 + random.below(piece_max));
      reader.feed(as_bytes(stream).subspan(at, length));
      at += length;
      auto messages = drain(reader);
      REQUIRE(messages.ok());
      for (auto& message : *messages) received.push_back(std::move(message));
    }
    REQUIRE(received == sent);
  }
}

TEST_CASE("the largest message passes, a larger one is refused at its length") {
  const std::string largest(limits::kControlMessageBytesMax, 'x');
  ControlFrameReader reader;
  reader.feed(as_bytes(frame_control(largest)));
  const auto messages = drain(reader);
  REQUIRE(messages.ok());
  CHECK(messages->front() == largest);
  CHECK_THROWS_AS(frame_control(largest + "x"), BugFound);

  std::string header = frame_control("").substr(0, 8);
  header[6] = 0x10;
  header[4] = 0x01;
  ControlFrameReader refusing;
  refusing.feed(as_bytes(header).first(7));
  CHECK(drain(refusing).ok());
  refusing.feed(as_bytes(header).subspan(7));
  const auto refused = drain(refusing);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status() == Status::refused);
  CHECK(refused.error().sentence.find("1048577") != std::string::npos);
}

TEST_CASE("a stray client is refused at its first wrong byte") {
  for (const char* stray : {"GET / HTTP/1.1\r\n", "\x16\x03\x01", "SSH-2.0-", "\n"}) {
    ControlFrameReader reader;
    reader.feed(as_bytes(stray).first(1));
    const auto refused = drain(reader);
    REQUIRE_FALSE(refused.ok());
    INFO(refused.error().sentence);
    CHECK(refused.error().sentence.find("a control message was expected") == 0);
  }
  ControlFrameReader reader;
  reader.feed(as_bytes("\xf5H"));
  CHECK(drain(reader).ok());
  reader.feed(as_bytes("X"));
  CHECK_FALSE(drain(reader).ok());
}

TEST_CASE("a data connection that dials a control port is told so") {
  ControlFrameReader reader;
  reader.feed(encode_greeting({.link_secret = 1, .from = PeerId{1}, .to = PeerId{2}}));
  const auto refused = drain(reader);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().sentence == "a control message was expected, but a peer opened a data connection");
}

TEST_CASE("every corrupted byte is found, or waits for bytes that never come") {
  const std::string stream = frame_control("a message") + frame_control("and another");
  for (std::size_t at = 0; at < stream.size(); ++at)
    for (int flip = 1; flip < 256; ++flip) {
      std::string corrupted = stream;
      corrupted[at] = static_cast<char>(corrupted[at] ^ flip);
      ControlFrameReader reader;
      reader.feed(as_bytes(corrupted));
      const auto messages = drain(reader);
      INFO("byte " << at << " flipped by " << flip);
      if (messages.ok()) REQUIRE(messages->size() < 2);
    }
}

TEST_CASE("a lost stream stays lost") {
  ControlFrameReader reader;
  reader.feed(as_bytes("nonsense"));
  const auto first = drain(reader);
  REQUIRE_FALSE(first.ok());
  reader.feed(as_bytes(frame_control("too late")));
  const auto second = drain(reader);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error() == first.error());
}

}  // namespace hawser
