#include "runtime/digest_threads.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "base/thrown.hpp"
#include "kernels/content_digest.hpp"
#include "transport/quiet_thread.hpp"

namespace hawser {
namespace {

/// Starting a thread costs about as much as digesting this.
constexpr std::size_t kSlicesPerThreadMin = 8;
/// That come from a device, one thread takes so many in a row.
constexpr std::uint64_t kSlicesInARow = 16;

/// What is to be read, handed out to threads.
class Digesting {
 public:
  Digesting(StateContent& content, DeviceTensors* devices)
      : content_(content),
        devices_(devices),
        by_kernel_(devices != nullptr && devices->can_digest()),
        slices_in_a_row_(by_kernel_ ? DeviceTensors::kDigestedMost : kSlicesInARow) {
    for (const StateContent::Slice slice : content.stale()) {
      if (content.tensors()[slice.tensor].device == kOnHost)
        slices_.push_back(slice);
      else if (!rows_.empty() && follows(slice))
        ++rows_.back().slices;
      else
        rows_.push_back({.first = slice, .slices = 1});
    }
  }

  std::size_t threads_worth() const {
    return slices_.size() / kSlicesPerThreadMin + std::min<std::size_t>(rows_.size(), readers_most());
  }

  /// Takes part until there is nothing left. From any thread.
  void work() noexcept {
    try {
      if (const auto read = work_on_devices(); !read.ok()) fail(thrown_of(read.error()));
    } catch (...) {
      fail(what_was_thrown());
    }
    for (std::size_t mine = next_slice_++; mine < slices_.size(); mine = next_slice_++) content_.digest(slices_[mine]);
  }

  Result<void> outcome() const {
    if (failure_) return failure_->error();
    return {};
  }

 private:
  bool follows(StateContent::Slice slice) const {
    const DeviceTensors::Row& last = rows_.back();
    return last.first.tensor == slice.tensor && last.first.slice + last.slices == slice.slice &&
           last.slices < slices_in_a_row_;
  }
  /// Threads of the host that are busy with devices.
  unsigned readers_most() const { return by_kernel_ ? 1 : DeviceTensors::kReadersMost; }

  Result<void> work_on_devices() {
    if (rows_.empty() || readers_++ >= readers_most()) return {};
    if (by_kernel_) return devices_->digest(content_, rows_);
    DeviceTensors::Reader reader(*devices_);
    for (std::size_t mine = next_row_++; mine < rows_.size() && !has_failed_; mine = next_row_++)
      if (const auto read = digest(rows_[mine], reader); !read.ok()) return read;
    return {};
  }

  Result<void> digest(const DeviceTensors::Row& row, DeviceTensors::Reader& reader) {
    const std::span<const std::byte> all = DeviceTensors::memory_of(content_, row);
    if (const auto begun = reader.begin(content_.tensors()[row.first.tensor].device, all); !begun.ok()) return begun;
    StateContent::Slice slice = row.first;
    while (true) {
      auto piece = reader.next();
      if (!piece.ok()) return piece.error();
      if (piece->empty()) return {};
      for (std::span<const std::byte> left = *piece; !left.empty(); ++slice.slice) {
        const auto bytes = std::min(left.size(), kDigestSliceBytes);
        content_.digested(slice, digest_slice(left.first(bytes), kContentSeed));
        left = left.subspan(bytes);
      }
    }
  }

  void fail(const Thrown& thrown) noexcept {
    const std::lock_guard lock(mutex_);
    has_failed_ = true;
    if (!failure_) failure_ = thrown;
  }

  StateContent& content_;
  DeviceTensors* devices_;
  std::vector<StateContent::Slice> slices_;  ///< On the host.
  bool by_kernel_;
  std::uint64_t slices_in_a_row_;
  std::vector<DeviceTensors::Row> rows_;  ///< On devices.
  std::atomic<std::size_t> next_slice_{0};
  std::atomic<std::size_t> next_row_{0};
  std::atomic<unsigned> readers_{0};
  std::atomic<bool> has_failed_{false};
  std::mutex mutex_;
  std::optional<Thrown> failure_;
};

}  // namespace

Result<void> digest_stale(StateContent& content, unsigned threads, DeviceTensors* devices) {
  Digesting digesting(content, devices);
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  const auto useful = static_cast<unsigned>(std::clamp<std::size_t>(digesting.threads_worth(), 1, threads));
  std::vector<std::thread> helpers;
  helpers.reserve(useful);
  try {
    while (helpers.size() + 1 < useful) {
      auto helper = transport::start_quiet_thread([&] { digesting.work(); });
      if (!helper.ok()) break;
      helpers.push_back(std::move(*helper));
    }
  } catch (const std::bad_alloc&) {
    // Without another thread this one does it all.
  }
  digesting.work();
  for (std::thread& helper : helpers) helper.join();
  return digesting.outcome();
}

}  // namespace hawser
