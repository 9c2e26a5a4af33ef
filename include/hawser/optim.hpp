/// The arithmetic of the DiLoCo family for C++20, over hawser_optim.h, which has the contract. Include it together with
/// hawser/hawser.hpp. docs/optim.md has complete algorithms.
///
///     hawser::OuterOptimizer<float> optimizer("weights", outer, momentum);   // spans; Nesterov, 0.7, 0.9
///     optimizer.clear_momentum();
///     ...                                                                     // H inner steps on `inner`
///     hawser::pseudo_gradient(delta, outer, inner);
///     comm->all_reduce(delta, {.op = hawserAvg});
///     optimizer.step(delta);
///     hawser::take_over(inner, outer);
#pragma once

#include <hawser.h>
#include <hawser_optim.h>
#include <hawser/collectives.hpp>
#include <hawser/result.hpp>
#include <hawser/shared_state.hpp>

#include <cstddef>
#include <initializer_list>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser {
inline namespace v0 {

/// float for inner parameters of float, Bfloat16 and Float16; double for double.
template <class Inner>
using OuterElement = std::conditional_t<std::is_same_v<Inner, double>, double, float>;

namespace detail {

/// Elements of Range have the outer type to those of Inner.
template <class Range, class Inner>
concept OuterOf = Elements<Range> && std::is_same_v<ElementOf<Range>, OuterElement<ElementOf<Inner>>>;

inline Result<void> check_sizes(std::size_t count, std::initializer_list<std::size_t> others) {
  for (const std::size_t other : others)
    if (other != count)
      return Failure{.code = hawserErrorInvalidArgument,
                     .sentence = "the tensors have " + std::to_string(count) + " and " +
                                 std::to_string(other) + " elements; they must have equally many"};
  return {};
}

}  // namespace detail

/// delta = (outer - inner) * scale.
template <MutableElements Delta, Elements Outer, Elements Inner>
requires detail::OuterOf<Outer, Inner> && detail::OuterOf<Delta, Inner> Result<void> pseudo_gradient(
    Delta&& delta, const Outer& outer, const Inner& inner, double scale = 1) {
  const std::size_t count = std::ranges::size(delta);
  if (auto fine = detail::check_sizes(count, {std::ranges::size(outer), std::ranges::size(inner)}); !fine)
    return fine;
  return detail::check(hawserPseudoGradient(std::ranges::data(outer), std::ranges::data(inner),
                                            std::ranges::data(delta), count, data_type<ElementOf<Inner>>(),
                                            scale));
}

struct ScaleFactors {
  double multiplier = 1;
  double divisor = 1;
};
/// values = (values * multiplier) / divisor.
template <MutableElements Values>
Result<void> scale(Values&& values, const ScaleFactors& by) {
  return detail::check(hawserScale(std::ranges::data(values), std::ranges::size(values),
                                   data_type<ElementOf<Values>>(), by.multiplier, by.divisor));
}

/// local = (alpha * local) + ((1 - alpha) * global).
template <MutableElements Local, Elements Global>
requires detail::OuterOf<Global, Local> Result<void> mix(Local&& local, const Global& global, double alpha) {
  const std::size_t count = std::ranges::size(local);
  if (auto fine = detail::check_sizes(count, {std::ranges::size(global)}); !fine) return fine;
  return detail::check(hawserMix(std::ranges::data(local), std::ranges::data(global), count,
                                 data_type<ElementOf<Local>>(), alpha));
}

/// local = global, rounded to the type of local.
template <MutableElements Local, Elements Global>
requires detail::OuterOf<Global, Local> Result<void> take_over(Local&& local, const Global& global) {
  return mix(std::forward<Local>(local), global, 0);
}

/// local = local + (a - b).
template <MutableElements Local, Elements A, Elements B>
requires detail::OuterOf<A, Local> && detail::OuterOf<B, Local> Result<void> add_difference(Local&& local,
                                                                                            const A& a,
                                                                                            const B& b) {
  const std::size_t count = std::ranges::size(local);
  if (auto fine = detail::check_sizes(count, {std::ranges::size(a), std::ranges::size(b)}); !fine)
    return fine;
  return detail::check(hawserAddDifference(std::ranges::data(local), std::ranges::data(a),
                                           std::ranges::data(b), count, data_type<ElementOf<Local>>()));
}

/// The settings of torch.optim.SGD, with the values of the DiLoCo paper.
struct OuterOptimizerConfig {
  double learning_rate = 0.7;
  double momentum = 0.9;  ///< 0: none. The optimizer's momentum may be empty then.
  bool nesterov = true;
};

/// SGD on outer parameters in the caller's memory, which must stay where it is as long as this object lives. There is
/// no other state: a newcomer or a checkpoint needs only parameters and momentum. Make one object for each tensor. Two
/// calls at the same time on one tensor are a race of the caller.
template <class T>
requires std::is_same_v<T, float> || std::is_same_v<T, double>
class OuterOptimizer {
 public:
  OuterOptimizer(std::string name, std::span<T> outer, std::span<T> momentum,
                 const OuterOptimizerConfig& config = {})
      : name_(std::move(name)), outer_(outer), momentum_(momentum), config_(config) {}

  /// Call it before the first step of a fresh run, and not after a checkpoint or a synchronisation.
  Result<void> clear_momentum() {
    return detail::check(hawserClearMomentum(momentum_.data(), momentum_.size(), data_type<T>()));
  }

  /// Applies the group's pseudo-gradient. Errors: InvalidArgument (sizes, config, memory that overlaps).
  Result<void> step(std::span<const T> delta) {
    const std::size_t of_momentum = config_.momentum == 0 ? outer_.size() : momentum_.size();
    if (auto fine = detail::check_sizes(outer_.size(), {delta.size(), of_momentum}); !fine) return fine;
    hawserOuterStepOptions_t options = HAWSER_OUTER_STEP_OPTIONS_INIT;
    options.learning_rate = config_.learning_rate;
    options.momentum = config_.momentum;
    options.nesterov = config_.nesterov ? 1 : 0;
    return detail::check(hawserOuterStep(outer_.data(), momentum_.data(), delta.data(), outer_.size(),
                                         data_type<T>(), &options));
  }

  /// For a SharedState: "outer/NAME" and, if there is a momentum, "momentum/NAME".
  std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> list{NamedTensor("outer/" + name_, outer_)};
    if (!momentum_.empty()) list.emplace_back("momentum/" + name_, momentum_);
    return list;
  }

  std::span<T> outer() const { return outer_; }
  std::span<T> momentum() const { return momentum_; }
  const OuterOptimizerConfig& config() const { return config_; }
  /// Counts from the next step on.
  void set_learning_rate(double rate) { config_.learning_rate = rate; }

 private:
  std::string name_;
  std::span<T> outer_;
  std::span<T> momentum_;
  OuterOptimizerConfig config_;
};

}  // namespace v0
}  // namespace hawser
