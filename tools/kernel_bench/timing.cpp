#include "kernel_bench/timing.hpp"

#include <algorithm>
#include <chrono>

namespace hawser::kernel_bench {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::minutes kBound{2};
/// Of one round, on the device. What the host needs to begin and to notice the end is some microseconds.
constexpr double kRoundSeconds = 0.05;
constexpr int kRepeatsMost = 10'000;

Result<double> timed(device::Stream& stream, int repeats, const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i)
    if (auto put = work(stream); !put.ok()) return put.error();
  const auto end = stream.record();
  if (!end.ok()) return end.error();
  const auto done = (*end)->wait(kBound);
  if (!done.ok()) return done.error();
  if (!*done) return Error{Status::timeout, "the device has not ended a kernel after two minutes; measure fewer bytes"};
  return Seconds(std::chrono::steady_clock::now() - begin).count() / repeats;
}

}  // namespace

Result<double> seconds_of(device::Stream& stream, int rounds, const Work& work) {
  // The first time loads the kernel.
  for (int i = 0; i < 2; ++i)
    if (const auto first = timed(stream, 1, work); !first.ok()) return first.error();
  const auto once = timed(stream, 1, work);
  if (!once.ok()) return once.error();
  const int repeats = std::clamp(static_cast<int>(kRoundSeconds / *once), 1, kRepeatsMost);
  double best = *once;
  for (int round = 0; round < rounds; ++round) {
    const auto seconds = timed(stream, repeats, work);
    if (!seconds.ok()) return seconds.error();
    best = std::min(best, *seconds);
  }
  return best;
}

}  // namespace hawser::kernel_bench
