#include <algorithm>

#include "base/random.hpp"
#include "base/token_bucket.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

Instant at(std::int64_t ms) { return Instant(milliseconds(ms)); }

}  // namespace

TEST_CASE("a burst is there at once, and the rate from then on") {
  TokenBucket bucket({.burst = 3, .per_second = 2});
  for (int i = 0; i < 3; ++i) CHECK(bucket.take(at(0)));
  CHECK_FALSE(bucket.take(at(0)));
  CHECK_FALSE(bucket.take(at(499)));
  CHECK(bucket.take(at(500)));
  CHECK_FALSE(bucket.take(at(500)));
  CHECK(bucket.take(at(1000)));
}

TEST_CASE("a new bucket is full, whatever the time is") {
  TokenBucket bucket({.burst = 2, .per_second = 1});
  CHECK(bucket.is_full(at(1000000)));
  CHECK(bucket.take(at(1000000)));
  CHECK(bucket.take(at(1000000)));
  CHECK_FALSE(bucket.take(at(1000000)));
}

TEST_CASE("it holds no more than a burst, however long nothing is taken") {
  TokenBucket bucket({.burst = 3, .per_second = 100});
  CHECK(bucket.take(at(0), 3));
  CHECK_FALSE(bucket.is_full(at(29)));
  CHECK(bucket.is_full(at(30)));
  CHECK(bucket.take(at(60000), 3));
  CHECK_FALSE(bucket.take(at(60000)));
}

TEST_CASE("what is not there is not taken in part") {
  TokenBucket bucket({.burst = 3, .per_second = 1});
  CHECK_FALSE(bucket.take(at(0), 4));
  CHECK(bucket.take(at(0), 3));
}

TEST_CASE("a debt is paid off before anything can be taken") {
  TokenBucket bucket({.burst = 10, .per_second = 5});
  CHECK(bucket.ready_at(at(0)) == at(0));
  bucket.charge(at(0), 10);
  CHECK(bucket.ready_at(at(0)) == at(0));
  bucket.charge(at(0), 5);
  const Instant ready = bucket.ready_at(at(0));
  CHECK(ready >= at(1000));
  CHECK(ready <= at(1001));
  CHECK(bucket.ready_at(at(400)) >= at(1000));
  CHECK_FALSE(bucket.take(at(1000)));
  CHECK(bucket.ready_at(ready) == ready);
  CHECK(bucket.take(at(1200)));
}

TEST_CASE("a clock that goes back gives nothing") {
  TokenBucket bucket({.burst = 1, .per_second = 1});
  CHECK(bucket.take(at(5000)));
  CHECK_FALSE(bucket.take(at(1000)));
  CHECK_FALSE(bucket.take(at(5999)));
  CHECK(bucket.take(at(6000)));
}

TEST_CASE("whenever it is asked, no more is given than burst and rate allow") {
  Random random(11);
  constexpr double kBurst = 8;
  constexpr double kPerSecond = 4;
  TokenBucket bucket({.burst = kBurst, .per_second = kPerSecond});
  Instant now{};
  double taken = 0;
  for (int i = 0; i < 5000; ++i) {
    now += milliseconds(random.below(200));
    if (bucket.take(now)) ++taken;
    const double elapsed_s = std::chrono::duration<double>(now.time_since_epoch()).count();
    REQUIRE(taken <= kBurst + elapsed_s * kPerSecond + 1e-6);
  }
  // It is asked far more often than that.
  CHECK(taken >= 0.95 * kPerSecond * std::chrono::duration<double>(now.time_since_epoch()).count());
}

}  // namespace hawser
