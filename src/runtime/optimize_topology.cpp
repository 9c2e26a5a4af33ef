#include "runtime/clock.hpp"
#include "runtime/communicator.hpp"

namespace hawser {
namespace {

/// No caller's number for a collective is needed, since nothing runs beside it.
constexpr std::uint64_t kTag = ~std::uint64_t{0};
constexpr auto kProbingProgressEvery = std::chrono::milliseconds(50);

}  // namespace

Result<OptimizeInfo> Communicator::optimize_topology(
    const ProbeBounds& bounds, const ProbeWishes& wishes,
    const std::function<void(std::uint32_t, std::uint32_t)>& progress) {
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
  Instant long_wait_logged = begun;
  while (started->completion_->wait_for(kProbingProgressEvery) == nullptr) {
    tell();
    if (now() - long_wait_logged < kLongWaitLogEvery) continue;
    long_wait_logged = now();
    started->log_->tell("optimize-topology", long_wait_logged - begun);
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
