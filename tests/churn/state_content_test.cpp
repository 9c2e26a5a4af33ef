#include "churn/state_content.hpp"

#include <set>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace hawser::churn;

TEST_CASE("the state has the tensors that mean something first, and as many bytes as asked for") {
  const auto tensors = state_tensors(100, 4 << 20);
  CHECK(tensors[kWeightsTensor].count == 100);
  CHECK(tensors[kProgressTensor].bytes() == 24);
  CHECK(tensors[kLocalTensor].may_differ);
  std::set<std::string> names;
  std::uint64_t ballast = 0;
  std::uint64_t tiny = 0;
  for (const StateTensorSpec& tensor : tensors) {
    names.insert(tensor.name);
    if (tensor.ballast) ballast += tensor.bytes();
    tiny += tensor.bytes() < 100;
  }
  CHECK(names.size() == tensors.size());
  CHECK((ballast >= 4 << 20 && ballast < (4 << 20) + 1000));
  CHECK(tiny >= 8);
}

TEST_CASE("ballast that is written step by step is what it must be after each step") {
  const std::size_t bytes = GENERATE(0u, 1u, 9u, kStretchBytes, kStretchBytes + 3, 3 * kStretchBytes);
  const BallastRule rule{.origin = 7, .tensor = 2, .compressible = bytes % 2 == 1};
  std::vector<std::byte> grown(bytes), filled(bytes);
  for (std::uint64_t step = 0; step < 9; ++step) {
    write_ballast(rule, step, grown);
    CHECK_FALSE(find_wrong_ballast(rule, step, grown));
    fill_ballast(rule, step, filled);
    CHECK(grown == filled);
    if (bytes > 8) CHECK(find_wrong_ballast(rule, step + 1, grown));
  }
}

TEST_CASE("ballast of another place, origin or with another byte is wrong") {
  const BallastRule rule{.origin = 7, .tensor = 2};
  std::vector<std::byte> bytes(2 * kStretchBytes);
  fill_ballast(rule, 5, bytes);
  CHECK(find_wrong_ballast({.origin = 8, .tensor = 2}, 5, bytes) == 0u);
  CHECK(find_wrong_ballast({.origin = 7, .tensor = 3}, 5, bytes) == 0u);
  bytes[kStretchBytes + 77] ^= std::byte{1};
  CHECK(find_wrong_ballast(rule, 5, bytes) == kStretchBytes + 77);
}
