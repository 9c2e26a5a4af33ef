#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace hawser::churn {

/// Characters before the one to guess.
inline constexpr std::uint32_t kContextLength = 4;

/// Softmax regression for the next character: logits are the sum of one column of weights per character of
/// the context (one-hot contexts) plus a bias. Convex, so the loss goes down whatever the order of the
/// examples.
class NextCharacterModel {
 public:
  /// All weights zero.
  NextCharacterModel();

  std::span<float> weights() { return weights_; }
  std::span<const float> weights() const { return weights_; }

  struct Lesson {
    std::span<const std::uint8_t> text;
    std::uint32_t examples;
    float rate;
  };
  /// Plain SGD, one example at a time, at random places of the text.
  /// Returns the mean cross-entropy (nats) of the examples, each before its own update.
  double learn(const Lesson& lesson, std::mt19937_64& random);

 private:
  double learn_one(const std::uint8_t* context, std::uint8_t next, float rate);

  std::vector<float> weights_;
};

}  // namespace hawser::churn
