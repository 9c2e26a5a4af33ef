#include "device_kernels/list_launches.hpp"

#include <algorithm>

#include "device_kernels/kernels.hpp"
#include "device_kernels/list_kernels.hpp"

namespace hawser::device_kernels {
namespace {

/// Segments that are copied by one launch.
class SegmentBatch {
 public:
  SegmentBatch(std::vector<device::Launch>& out, bool is_gather) : out_(out) { given_.is_gather = is_gather; }

  /// `packed`: where this segment stands in the buffer.
  void add(std::byte* packed, const Segment& segment) {
    if (given_.segments == CopySegments::kSegments) flush();
    if (given_.segments == 0) buffer_ = packed;
    segments_.push_back(writes(segment.at, segment.bytes));
    const std::uint32_t index = given_.segments++;
    const std::uint64_t blocks = (segment.bytes + CopySegments::kOfBlock - 1) / CopySegments::kOfBlock;
    given_.begins[index + 1] = given_.begins[index] + segment.bytes;
    given_.first_block[index + 1] = given_.first_block[index] + static_cast<std::uint32_t>(blocks);
  }
  void flush() {
    if (given_.segments == 0) return;
    Memories memory{writes(buffer_, given_.begins[given_.segments])};
    memory.insert(memory.end(), segments_.begin(), segments_.end());
    append<CopySegments>(out_, given_.first_block[given_.segments], std::move(memory), given_);
    segments_.clear();
    given_.segments = 0;
  }

 private:
  std::vector<device::Launch>& out_;
  std::byte* buffer_ = nullptr;
  Memories segments_;
  CopySegments::Parameters given_{};
};

void copy_segments(std::vector<device::Launch>& out, std::byte* packed, std::span<const Segment> segments,
                   bool is_gather) {
  SegmentBatch batch(out, is_gather);
  for (const Segment& segment : segments) {
    if (segment.bytes == 0) continue;
    batch.add(packed, segment);
    packed += segment.bytes;
  }
  batch.flush();
}

}  // namespace

void gather(std::vector<device::Launch>& out, std::span<const Segment> segments, std::byte* to) {
  copy_segments(out, to, segments, true);
}

void scatter(std::vector<device::Launch>& out, const std::byte* from, std::span<const Segment> segments) {
  copy_segments(out, const_cast<std::byte*>(from), segments, false);
}

void copy(std::vector<device::Launch>& out, std::byte* to, const std::byte* from, std::uint64_t bytes) {
  if (to == from) return;
  const Segment whole{.at = const_cast<std::byte*>(from), .bytes = bytes};
  gather(out, {&whole, 1}, to);
}

}  // namespace hawser::device_kernels
