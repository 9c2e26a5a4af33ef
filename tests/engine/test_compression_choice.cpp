#include "catch.hpp"
#include "engine/compression_choice.hpp"

namespace hawser {
namespace {

/// A link that always has something to send, at one speed for packed payloads and another for plain ones.
class Link {
 public:
  Link(std::int64_t packed_us, std::int64_t plain_us) : packed_us_(packed_us), plain_us_(plain_us) {}

  /// Sends so many payloads, four under way at a time; answers how many of them were packed.
  int send(int payloads) {
    int packed = 0;
    for (int i = 0; i < payloads; ++i) {
      const bool pack = choice.worth_trying();
      if (pack) choice.paid();
      packed += pack ? 1 : 0;
      choice.handed(now_, kBytes, true);
      under_way_.push_back(pack);
      if (under_way_.size() < 4) continue;
      now_ += microseconds(under_way_.front() ? packed_us_ : plain_us_);
      under_way_.pop_front();
      choice.acknowledged(now_, kBytes);
    }
    return packed;
  }
  void becomes(std::int64_t packed_us, std::int64_t plain_us) {
    packed_us_ = packed_us;
    plain_us_ = plain_us;
  }
  void rest() {
    while (!under_way_.empty()) {
      under_way_.pop_front();
      choice.acknowledged(now_, kBytes);
    }
    now_ += seconds(10);
  }

  CompressionChoice choice;

 private:
  static constexpr std::size_t kBytes = 100000;
  std::int64_t packed_us_;
  std::int64_t plain_us_;
  Instant now_{seconds(1)};
  std::deque<bool> under_way_;
};

}  // namespace

TEST_CASE("payloads that don't get smaller are tried less and less, and at once again when one did") {
  CompressionChoice choice;
  int tries = 0;
  for (int payload = 0; payload < 1000; ++payload) {
    if (!choice.worth_trying()) continue;
    ++tries;
    choice.did_not_pay();
  }
  CHECK(tries > 10);
  CHECK(tries < 30);
  while (!choice.worth_trying()) {
  }
  choice.paid();
  for (int payload = 0; payload < 10; ++payload) CHECK(choice.worth_trying());
}

TEST_CASE("a link on which compression costs more than it saves gets none, but for a trial now and then") {
  Link link(1000, 300);
  link.send(500);
  CHECK(link.send(10000) < 500);
}

TEST_CASE("a link on which compression pays keeps it") {
  Link link(1000, 3000);
  link.send(500);
  CHECK(link.send(10000) > 9500);
}

TEST_CASE("what pays is found out anew when it changes") {
  Link link(1000, 300);
  link.send(5000);
  link.becomes(1000, 5000);
  link.send(20000);
  CHECK(link.send(1000) > 900);
}

TEST_CASE("a pause says nothing of a link's speed") {
  Link link(1000, 3000);
  for (int round = 0; round < 100; ++round) {
    link.send(70);
    link.rest();
  }
  CHECK(link.send(1000) > 900);
}

TEST_CASE("after a break the counting begins anew") {
  Link link(1000, 300);
  link.send(503);
  link.choice.interrupted();
  link.rest();
  CHECK(link.send(10000) < 1000);
}

}  // namespace hawser
