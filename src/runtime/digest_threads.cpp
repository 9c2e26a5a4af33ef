#include "runtime/digest_threads.hpp"

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "transport/quiet_thread.hpp"

namespace hawser {
namespace {

/// Starting a thread costs about as much as digesting this.
constexpr std::size_t kSlicesPerThreadMin = 8;

}  // namespace

void digest_stale(StateContent& content, unsigned threads) {
  const std::vector<StateContent::Slice> slices = content.stale();
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  const auto useful = static_cast<unsigned>(
      std::clamp<std::size_t>(slices.size() / kSlicesPerThreadMin, 1, threads));
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t mine = next++; mine < slices.size(); mine = next++) content.digest(slices[mine]);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(useful);
  try {
    while (helpers.size() + 1 < useful) {
      auto helper = transport::start_quiet_thread(work);
      if (!helper.ok()) break;
      helpers.push_back(std::move(*helper));
    }
  } catch (const std::bad_alloc&) {
    // Without another thread this one does it all.
  }
  work();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace hawser
