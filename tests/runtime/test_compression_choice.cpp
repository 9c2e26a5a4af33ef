#include "catch.hpp"
#include "runtime/compression_choice.hpp"

namespace hawser {

TEST_CASE("compression that does not pay is tried less and less, and at once again when it did") {
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

TEST_CASE("a link that is faster than the compression gets none, until it is slow") {
  CompressionChoice choice;
  Instant now{seconds(1)};
  const auto pass_bytes = [&](std::size_t bytes_per_ms) {
    for (int i = 0; i < 100; ++i) {
      now += milliseconds(1);
      choice.acknowledged(now, bytes_per_ms);
    }
  };
  CHECK(choice.worth_trying());
  pass_bytes(1'000'000);
  CHECK_FALSE(choice.worth_trying());
  pass_bytes(10'000);
  CHECK(choice.worth_trying());
}

TEST_CASE("a pause says nothing of a link's rate") {
  CompressionChoice choice;
  Instant now{seconds(1)};
  for (int i = 0; i < 100; ++i) {
    now += milliseconds(1);
    choice.acknowledged(now, 1'000'000);
  }
  now += seconds(10);
  choice.acknowledged(now, 1000);
  CHECK_FALSE(choice.worth_trying());
}

}  // namespace hawser
