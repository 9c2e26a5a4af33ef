#include "next_character_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "corpus.hpp"

namespace hawser::churn {
namespace {

constexpr std::size_t kColumnCount =
    std::size_t{kContextLength} * kAlphabetSize + 1;  // the last one is the bias

std::array<std::size_t, kContextLength + 1> columns_of(const std::uint8_t* context) {
  std::array<std::size_t, kContextLength + 1> columns{};
  for (std::size_t place = 0; place < kContextLength; ++place) {
    columns[place] = (place * kAlphabetSize + context[place]) * kAlphabetSize;
  }
  columns[kContextLength] = (kColumnCount - 1) * kAlphabetSize;
  return columns;
}

}  // namespace

NextCharacterModel::NextCharacterModel() : weights_(kColumnCount * kAlphabetSize, 0.0f) {}

double NextCharacterModel::learn(const Lesson& lesson, std::mt19937_64& random) {
  std::uniform_int_distribution<std::size_t> place(0, lesson.text.size() - kContextLength - 1);
  double loss = 0;
  for (std::uint32_t i = 0; i < lesson.examples; ++i) {
    const std::uint8_t* context = lesson.text.data() + place(random);
    loss += learn_one(context, context[kContextLength], lesson.rate);
  }
  return loss / lesson.examples;
}

double NextCharacterModel::learn_one(const std::uint8_t* context, std::uint8_t next, float rate) {
  const auto columns = columns_of(context);
  std::array<float, kAlphabetSize> p{};
  for (const std::size_t column : columns) {
    for (std::size_t v = 0; v < kAlphabetSize; ++v) p[v] += weights_[column + v];
  }
  const float top = *std::max_element(p.begin(), p.end());
  float total = 0;
  for (float& x : p) total += x = std::exp(x - top);
  for (float& x : p) x /= total;
  const double loss = -std::log(std::max(p[next], 1e-12f));
  p[next] -= 1.0f;
  for (const std::size_t column : columns) {
    for (std::size_t v = 0; v < kAlphabetSize; ++v) weights_[column + v] -= rate * p[v];
  }
  return loss;
}

}  // namespace hawser::churn
