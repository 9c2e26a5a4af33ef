#include <memory>
#include <set>
#include <string>

#include "base/bug_found.hpp"
#include "base/result.hpp"
#include "catch.hpp"

namespace hawser {

TEST_CASE("a result holds a value or an error, and says which") {
  const Result<int> good = 7;
  REQUIRE(good.ok());
  CHECK(*good == 7);
  CHECK(good.status() == Status::success);
  CHECK_THROWS_AS(good.error(), BugFound);

  const Result<int> bad = Error{Status::timeout, "too late"};
  REQUIRE_FALSE(bad);
  CHECK(bad.status() == Status::timeout);
  CHECK(bad.error().sentence == "too late");
  CHECK_THROWS_AS(bad.value(), BugFound);
}

TEST_CASE("a result carries what can only be moved") {
  Result<std::unique_ptr<int>> held = std::make_unique<int>(3);
  REQUIRE(held.ok());
  const std::unique_ptr<int> taken = std::move(held.value());
  CHECK(*taken == 3);
}

TEST_CASE("a result without a value") {
  CHECK(Result<void>().ok());
  CHECK(Result<void>().status() == Status::success);
  const Result<void> bad = Error{Status::closed, "closed"};
  CHECK_FALSE(bad.ok());
  CHECK(bad.status() == Status::closed);
  CHECK_THROWS_AS(Result<void>().error(), BugFound);
}

TEST_CASE("every status has a name of its own") {
  std::set<std::string> names;
  for (int status = 0; status <= kStatusMax; ++status) names.insert(status_name(static_cast<Status>(status)));
  CHECK(names.size() == kStatusMax + 1);
  CHECK(names.count("unknown result") == 0);
  CHECK(std::string(status_name(static_cast<Status>(kStatusMax + 1))) == "unknown result");
}

TEST_CASE("an assertion names what does not hold and where") {
  try {
    HAWSER_ASSERT(1 + 1 == 3);
    FAIL("nothing was thrown");
  } catch (const BugFound& bug) {
    const std::string text = bug.what();
    CHECK(text.find("1 + 1 == 3") != std::string::npos);
    CHECK(text.find("test_result.cpp") != std::string::npos);
  }
}

}  // namespace hawser
