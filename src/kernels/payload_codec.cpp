#include "kernels/payload_codec.hpp"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace hawser {
namespace {

constexpr int kLevel = 1;
/// Smaller planes are not worth a block each.
constexpr std::size_t kPlaneBytesMin = 512;

// Plane by plane: all first bytes of the elements, then all second ones, and so on. `first`: the elements
// before it are done.
void shuffle_plain(const std::byte* from, std::size_t count, std::size_t stride, std::size_t first,
                   std::byte* to) {
  for (std::size_t plane = 0; plane < stride; ++plane)
    for (std::size_t i = first; i < count; ++i) to[plane * count + i] = from[i * stride + plane];
}

void unshuffle_plain(const std::byte* from, std::size_t count, std::size_t stride, std::size_t first,
                     std::byte* to) {
  for (std::size_t plane = 0; plane < stride; ++plane)
    for (std::size_t i = first; i < count; ++i) to[i * stride + plane] = from[plane * count + i];
}

#if defined(__has_builtin)
#  if __has_builtin(__builtin_shufflevector)
#    define HAWSER_SHUFFLES_VECTORS 1
#  endif
#endif

#if defined(HAWSER_SHUFFLES_VECTORS)

// 16 bytes: what every x86-64 (SSE2) and AArch64 (NEON) has.
using Vector [[gnu::vector_size(16)]] = std::uint8_t;
constexpr std::size_t kLanes = sizeof(Vector);

Vector even_bytes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
Vector odd_bytes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
Vector zip_low(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
Vector zip_high(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// A byte's place in a group of 16 elements is (element, plane) and shall be (plane, element). Bringing all
// even bytes before all odd ones turns the place's bits round by one: its lowest becomes its highest. As
// often as the plane has bits, that is the transposition.
template <std::size_t kStride>
std::size_t shuffle_vectors(const std::byte* from, std::size_t count, std::byte* to) {
  const std::size_t whole = count - count % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    std::array<Vector, kStride> group;
    std::memcpy(&group, from + i * kStride, sizeof group);
    for (std::size_t turn = 1; turn < kStride; turn *= 2) {
      std::array<Vector, kStride> turned;
      for (std::size_t k = 0; k < kStride / 2; ++k) {
        turned[k] = even_bytes(group[2 * k], group[2 * k + 1]);
        turned[k + kStride / 2] = odd_bytes(group[2 * k], group[2 * k + 1]);
      }
      group = turned;
    }
    for (std::size_t plane = 0; plane < kStride; ++plane)
      std::memcpy(to + plane * count + i, &group[plane], kLanes);
  }
  return whole;
}

template <std::size_t kStride>
std::size_t unshuffle_vectors(const std::byte* from, std::size_t count, std::byte* to) {
  const std::size_t whole = count - count % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    std::array<Vector, kStride> group;
    for (std::size_t plane = 0; plane < kStride; ++plane)
      std::memcpy(&group[plane], from + plane * count + i, kLanes);
    for (std::size_t turn = 1; turn < kStride; turn *= 2) {
      std::array<Vector, kStride> turned;
      for (std::size_t k = 0; k < kStride / 2; ++k) {
        turned[2 * k] = zip_low(group[k], group[k + kStride / 2]);
        turned[2 * k + 1] = zip_high(group[k], group[k + kStride / 2]);
      }
      group = turned;
    }
    std::memcpy(to + i * kStride, &group, sizeof group);
  }
  return whole;
}

#else

template <std::size_t kStride>
std::size_t shuffle_vectors(const std::byte*, std::size_t, std::byte*) {
  return 0;
}
template <std::size_t kStride>
std::size_t unshuffle_vectors(const std::byte*, std::size_t, std::byte*) {
  return 0;
}

#endif

void shuffle(std::span<const std::byte> from, std::size_t stride, std::byte* to) {
  const std::size_t count = from.size() / stride;
  const std::size_t first = stride == 2   ? shuffle_vectors<2>(from.data(), count, to)
                            : stride == 4 ? shuffle_vectors<4>(from.data(), count, to)
                            : stride == 8 ? shuffle_vectors<8>(from.data(), count, to)
                                          : 0;
  shuffle_plain(from.data(), count, stride, first, to);
  const std::size_t rest = count * stride;
  if (rest < from.size()) std::memcpy(to + rest, from.data() + rest, from.size() - rest);
}

void unshuffle(const std::byte* from, std::size_t stride, std::span<std::byte> to) {
  const std::size_t count = to.size() / stride;
  const std::size_t first = stride == 2   ? unshuffle_vectors<2>(from, count, to.data())
                            : stride == 4 ? unshuffle_vectors<4>(from, count, to.data())
                            : stride == 8 ? unshuffle_vectors<8>(from, count, to.data())
                                          : 0;
  unshuffle_plain(from, count, stride, first, to.data());
  const std::size_t rest = count * stride;
  if (rest < to.size()) std::memcpy(to.data() + rest, from + rest, to.size() - rest);
}

/// Memory that a thread uses again and again.
class Scratch {
 public:
  /// Null if memory is short.
  std::byte* of(std::size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();  // first, so that there are never two
      memory_.reset(new (std::nothrow) std::byte[bytes]);
      capacity_ = memory_ ? bytes : 0;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

template <class Context, std::size_t (*kFree)(Context*)>
struct Free {
  void operator()(Context* context) const { kFree(context); }
};

ZSTD_CCtx* compressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, Free<ZSTD_CCtx, ZSTD_freeCCtx>> context(ZSTD_createCCtx());
  if (!context) context.reset(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, Free<ZSTD_DCtx, ZSTD_freeDCtx>> context(ZSTD_createDCtx());
  if (!context) context.reset(ZSTD_createDCtx());
  return context.get();
}

/// One frame of today's format that promises so many bytes. Without this, zstd would also take several
/// frames, frames that hold nothing, and, where it is built so, the formats before its first release.
bool is_one_frame(std::span<const std::byte> bytes, std::size_t content_bytes) {
  constexpr std::array kMagic{std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f}, std::byte{0xfd}};
  return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0 &&
         ZSTD_getFrameContentSize(bytes.data(), bytes.size()) == content_bytes &&
         ZSTD_findFrameCompressedSize(bytes.data(), bytes.size()) == bytes.size();
}

}  // namespace

/// Each plane in blocks of its own, since a block has one table of how often which byte occurs; all in one
/// frame that tells its length. None if `out` does not hold it.
std::optional<std::size_t> compress_planes(ZSTD_CCtx* context, std::span<const std::byte> planes,
                                           std::size_t plane_bytes, std::span<std::byte> out) {
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setPledgedSrcSize(context, planes.size());
  ZSTD_outBuffer written{.dst = out.data(), .size = out.size(), .pos = 0};
  for (std::size_t at = 0;;) {
    const std::size_t bytes = std::min(plane_bytes, planes.size() - at);
    const bool last = at + bytes == planes.size();
    ZSTD_inBuffer plane{.src = planes.data() + at, .size = bytes, .pos = 0};
    const std::size_t left =
        ZSTD_compressStream2(context, &written, &plane, last ? ZSTD_e_end : ZSTD_e_flush);
    // It stops short of the end only where there is no room.
    if (left != 0 || plane.pos != bytes) return std::nullopt;
    if (last) return written.pos;
    at += bytes;
  }
}

std::optional<std::size_t> compress_payload(std::span<const std::byte> from, std::size_t stride,
                                            std::span<std::byte> out) {
  ZSTD_CCtx* const context = compressor();
  if (context == nullptr) return std::nullopt;
  const std::byte* planes = from.data();
  if (stride > 1 && !from.empty()) {
    std::byte* const shuffled = scratch().of(from.size());
    if (shuffled == nullptr) return std::nullopt;
    shuffle(from, stride, shuffled);
    planes = shuffled;
  }
  const std::size_t plane_bytes = stride > 1 ? from.size() / stride : 0;
  // One call is quicker. It makes full blocks, which end where planes do that are multiples of them.
  if (plane_bytes >= kPlaneBytesMin && plane_bytes % ZSTD_BLOCKSIZE_MAX != 0)
    return compress_planes(context, {planes, from.size()}, plane_bytes, out);
  const std::size_t bytes = ZSTD_compressCCtx(context, out.data(), out.size(), planes, from.size(), kLevel);
  if (ZSTD_isError(bytes) != 0) return std::nullopt;
  return bytes;
}

bool decompress_payload(std::span<const std::byte> from, std::size_t stride, std::span<std::byte> to) {
  if (!is_one_frame(from, to.size())) return false;
  ZSTD_DCtx* const context = decompressor();
  if (context == nullptr) return false;
  const bool shuffled = stride > 1 && !to.empty();
  std::byte* const planes = shuffled ? scratch().of(to.size()) : to.data();
  if (shuffled && planes == nullptr) return false;
  if (ZSTD_decompressDCtx(context, planes, to.size(), from.data(), from.size()) != to.size()) return false;
  if (shuffled) unshuffle(planes, stride, to);
  return true;
}

}  // namespace hawser
