#include "churn/sum_checks.hpp"

#include <random>
#include <vector>

#include "catch.hpp"
#include "churn/corpus.hpp"
#include "churn/digest.hpp"
#include "churn/next_character_model.hpp"

using namespace hawser::churn;

namespace {

std::vector<float> sum_of(const SumCheck& check, const std::vector<std::uint64_t>& members) {
  std::vector<float> total(check.count), one(check.count);
  for (const std::uint64_t id : members) {
    fill_sum_input(check, id, one);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += one[i];
  }
  return total;
}

}  // namespace

TEST_CASE("the sum of the contributors' inputs is right, everything near it wrong") {
  const SumCheck check{.key = 5, .count = 1001};
  const std::vector<std::uint64_t> members{1, 2, 99};
  std::vector<float> sum = sum_of(check, members);
  CHECK(verify_sum(check, members, sum).empty());
  CHECK_FALSE(verify_sum(check, std::vector<std::uint64_t>{1, 2}, sum).empty());
  CHECK_FALSE(verify_sum(check, std::vector<std::uint64_t>{1, 2, 2}, sum).empty());
  CHECK_FALSE(verify_sum({.key = 6, .count = 1001}, members, sum).empty());
  sum[1000] += 1;
  CHECK_FALSE(verify_sum(check, members, sum).empty());
}

TEST_CASE("members choose the same checks, of all the sizes that matter") {
  bool one = false, few = false, largest = false, pair = false, in_place = false, apart = false;
  for (std::uint32_t step = 0; step < 200; ++step) {
    const SumCheckPlan plan = choose_sum_checks(3, step, 5000);
    const SumCheckPlan again = choose_sum_checks(3, step, 5000);
    REQUIRE(plan.groups.size() == again.groups.size());
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      pair |= plan.groups[g].size() == 2;
      for (std::size_t i = 0; i < plan.groups[g].size(); ++i) {
        const SumCheck& check = plan.groups[g][i];
        CHECK(check.key == again.groups[g][i].key);
        CHECK(check.count == again.groups[g][i].count);
        CHECK((check.count >= 1 && check.count <= 5000));
        one |= check.count == 1;
        few |= check.count > 1 && check.count < 8;
        largest |= check.count == 5000;
        (check.in_place ? in_place : apart) = true;
      }
    }
  }
  CHECK((one && few && largest && pair && in_place && apart));
}

TEST_CASE("a digest changes with any bit and with the length") {
  std::vector<float> values(7, 1.0f);
  const std::uint64_t before = digest_bits(values);
  for (float& value : values) {
    value = -0.0f;
    const std::uint64_t minus = digest_bits(values);
    value = 0.0f;
    CHECK(digest_bits(values) != minus);
    value = 1.0f;
  }
  CHECK(digest_bits(values) == before);
  values.push_back(0.0f);
  CHECK(digest_bits(values) != before);
}

TEST_CASE("the model learns") {
  std::vector<std::uint8_t> text;
  for (std::uint32_t i = 0; i < 3000; ++i) text.push_back(static_cast<std::uint8_t>((i * i / 3) % 7 + 40));
  std::mt19937_64 random(1);
  NextCharacterModel model;
  const double first = model.learn({.text = text, .examples = 300, .rate = 0.15f}, random);
  const double last = model.learn({.text = text, .examples = 300, .rate = 0.15f}, random);
  CHECK(last < first);
}
