#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/host_device.hpp"
#include "device/kernel.hpp"
#include "device_kernels/block_threads.hpp"

/// Loops over the elements of arrays. An array is an operand: In, Out, InOut, or another type with the same members:
///
///     Value             what an element is in registers
///     kBytes            of an element in memory, at most
///     fits(pack)        whether packs of so many elements can be loaded and stored as one
///     load, store       a pack of elements from `index` on; `aligned` is what fits() said of that size
namespace hawser::device_kernels {

HAWSER_HOST_DEVICE inline bool is_aligned(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

/// Elements that one instruction moves.
template <class T, unsigned kCount>
struct alignas(sizeof(T) * kCount > 16 ? 16 : sizeof(T) * kCount) Pack {
  T values[kCount];
};

/// `aligned`: to all of these values.
template <class T, unsigned kCount>
HAWSER_HOST_DEVICE inline void load_pack(T (&values)[kCount], const std::byte* from, [[maybe_unused]] bool aligned) {
#if defined(__CUDA_ARCH__)
  if (aligned) {
    const Pack<T, kCount> pack = *reinterpret_cast<const Pack<T, kCount>*>(from);
    HAWSER_UNROLLED
    for (unsigned i = 0; i < kCount; ++i) values[i] = pack.values[i];
    return;
  }
#endif
  std::memcpy(values, from, sizeof values);
}

template <class T, unsigned kCount>
HAWSER_HOST_DEVICE inline void store_pack(std::byte* to, const T (&values)[kCount], [[maybe_unused]] bool aligned) {
#if defined(__CUDA_ARCH__)
  if (aligned) {
    Pack<T, kCount> pack;
    HAWSER_UNROLLED
    for (unsigned i = 0; i < kCount; ++i) pack.values[i] = values[i];
    *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
    return;
  }
#endif
  std::memcpy(to, values, sizeof values);
}

template <class T>
struct In {
  using Value = T;
  static constexpr unsigned kBytes = sizeof(T);
  const std::byte* at;

  HAWSER_HOST_DEVICE bool fits(unsigned pack) const { return is_aligned(at, pack * sizeof(T)); }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&values)[kCount], std::uint64_t index, bool aligned) const {
    load_pack(values, at + index * sizeof(T), aligned);
  }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void store(const T (&)[kCount], std::uint64_t, bool) const {}
};

/// Null: the elements go nowhere.
template <class T>
struct Out {
  using Value = T;
  static constexpr unsigned kBytes = sizeof(T);
  std::byte* at;

  HAWSER_HOST_DEVICE bool fits(unsigned pack) const { return is_aligned(at, pack * sizeof(T)); }
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&)[kCount], std::uint64_t, bool) const {}
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void store(const T (&values)[kCount], std::uint64_t index, bool aligned) const {
    if (at != nullptr) store_pack(at + index * sizeof(T), values, aligned);
  }
};

template <class T>
struct InOut : Out<T> {
  template <unsigned kCount>
  HAWSER_HOST_DEVICE void load(T (&values)[kCount], std::uint64_t index, bool aligned) const {
    load_pack(values, this->at + index * sizeof(T), aligned);
  }
};

/// How the elements of a block lie on its threads, by the bytes of the widest element: a thread has kPacks packs, and
/// neighbouring threads have neighbouring packs.
template <unsigned kWidest>
struct Layout {
  static constexpr unsigned kPack = kWidest >= 16 ? 1 : 16 / kWidest;
  static constexpr unsigned kPacks = kPack >= 16 ? 1 : kPack >= 4 ? 16 / kPack : 4;
  static constexpr unsigned kOfThread = kPack * kPacks;
  static constexpr unsigned kOfBlock = kOfThread * device::kKernelThreads;
};

/// Elements of one block.
constexpr unsigned elements_of_block(std::size_t widest_bytes) {
  switch (widest_bytes) {
    case 1: return Layout<1>::kOfBlock;
    case 2: return Layout<2>::kOfBlock;
    case 4: return Layout<4>::kOfBlock;
    case 8: return Layout<8>::kOfBlock;
    default: return Layout<16>::kOfBlock;
  }
}
constexpr std::uint64_t blocks_for(std::uint64_t count, std::size_t widest_bytes) {
  return (count + elements_of_block(widest_bytes) - 1) / elements_of_block(widest_bytes);
}

/// One operand's elements while a thread works on them.
template <class Operand, unsigned kPack, unsigned kPacks>
struct Held {
  Operand operand;
  bool aligned;
  typename Operand::Value values[kPacks][kPack];

  HAWSER_HOST_DEVICE explicit Held(const Operand& of) : operand(of), aligned(of.fits(kPack)) {}
};

/// The packs at `first`, first + stride and so on, as far as they lie before `end`.
template <unsigned kPack, unsigned kPacks, class Op, class... Operands>
HAWSER_HOST_DEVICE inline void work_on(std::uint64_t first, unsigned stride, std::uint64_t end, const Op& op,
                                       Held<Operands, kPack, kPacks>... held) {
  HAWSER_UNROLLED
  for (unsigned i = 0; i < kPacks; ++i)
    if (first + i * stride < end) (held.operand.load(held.values[i], first + i * stride, held.aligned), ...);
  HAWSER_UNROLLED
  for (unsigned i = 0; i < kPacks; ++i)
    if (first + i * stride < end) {
      HAWSER_UNROLLED
      for (unsigned j = 0; j < kPack; ++j) op(first + i * stride + j, held.values[i][j]...);
      (held.operand.store(held.values[i], first + i * stride, held.aligned), ...);
    }
}

/// Calls op(index, element of each operand...) for one thread's share of a tile: elements_of_block() elements, from a
/// multiple of that on. Outputs may be inputs.
template <class Op, class... Operands>
HAWSER_HOST_DEVICE inline void tile_elements(unsigned thread, std::uint64_t tile, std::uint64_t count, const Op& op,
                                             const Operands&... operands) {
  constexpr unsigned kSizes[] = {Operands::kBytes...};
  constexpr unsigned kWidest = [&kSizes] {
    unsigned most = 1;
    for (const unsigned size : kSizes) most = size > most ? size : most;
    return most;
  }();
  using Of = Layout<kWidest>;
  const std::uint64_t first = tile * Of::kOfBlock;
  if (first + Of::kOfBlock <= count && (operands.fits(Of::kPack) && ...)) {
    work_on<Of::kPack, Of::kPacks>(first + thread * Of::kPack, device::kKernelThreads * Of::kPack, count, op,
                                   Held<Operands, Of::kPack, Of::kPacks>(operands)...);
    return;
  }
  // One by one, some at a time.
  constexpr unsigned kAtATime = 4;
  HAWSER_ROLLED
  for (unsigned done = 0; done < Of::kOfThread; done += kAtATime)
    work_on<1, kAtATime>(first + done * device::kKernelThreads + thread, device::kKernelThreads, count, op,
                         Held<Operands, 1, kAtATime>(operands)...);
}

/// Likewise for all threads of a block, whose number is the tile's.
template <class Op, class... Operands>
HAWSER_HOST_DEVICE inline void for_elements(unsigned block, std::uint64_t count, const Op& op,
                                            const Operands&... operands) {
  each_thread([&](unsigned thread) { tile_elements(thread, block, count, op, operands...); });
}

}  // namespace hawser::device_kernels
