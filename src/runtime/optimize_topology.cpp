#include "base/limits.hpp"
#include "runtime/clock.hpp"
#include "runtime/communicator.hpp"

namespace hawser {
namespace {

/// No caller's number for a collective is needed, since nothing runs beside it.
constexpr std::uint64_t kTag = ~std::uint64_t{0};
constexpr auto kProbingToldEvery = std::chrono::milliseconds(50);

Error bad_probe(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

Result<void> check_bounds(const ProbeBounds& bounds) {
  if (bounds.bytes_max < limits::kProbeBytesLeast || bounds.bytes_max > limits::kProbeBytesMax)
    return bad_probe("a probe may have " + std::to_string(limits::kProbeBytesLeast) + " to " +
                  std::to_string(limits::kProbeBytesMax) + " bytes, not " + std::to_string(bounds.bytes_max));
  if (bounds.time_max > limits::kProbeTimeMax)
    return bad_probe("a probe may last " + std::to_string(limits::kProbeTimeMax.count()) + " ms at most, not " +
                  std::to_string(whole_milliseconds(bounds.time_max)) + " ms");
  return {};
}

}  // namespace

Result<OptimizeInfo> Communicator::optimize_topology(
    const ProbeBounds& bounds, const ProbeWishes& wishes,
    const std::function<void(std::uint32_t, std::uint32_t)>& progress) {
  if (const auto fine = check_bounds(bounds); !fine.ok()) return fine.error();
  const auto held = hold();
  if (!held.ok()) return held.error();
  const auto probing = std::make_shared<ProbeCall>();
  probing->bounds = bounds;
  probing->wishes = wishes;
  CollectiveArguments arguments{.tag = kTag, .probing = probing};
  arguments.call.signature = {.collective = Collective::optimize, .type = DataType::uint8, .count = bounds.bytes_max};
  const Instant begun = now();
  const auto started = start(arguments);
  if (!started.ok()) return started.error();
  std::uint32_t told = 0;
  const auto tell = [&] {
    const std::uint32_t done = probing->pairs_done;
    if (progress && done != told) progress(told = done, probing->pairs_total);
  };
  Instant long_wait_told = begun;
  while (started->completion_->wait_for(kProbingToldEvery) == nullptr) {
    tell();
    if (now() - long_wait_told < kLongWaitToldEvery) continue;
    long_wait_told = now();
    started->log_->tell("optimize-topology", long_wait_told - begun);
  }
  tell();
  const auto ended = started->wait();
  if (!ended.ok()) return ended.error();
  return OptimizeInfo{.collective = **ended,
                      .pairs = probing->pairs_total,
                      .measured = probing->measured,
                      .lower_bounds = probing->lower_bounds,
                      .silent = probing->silent,
                      .total = now() - begun};
}

}  // namespace hawser
