#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "device/kernel.hpp"
#include "device_kernels/image.hpp"

/// Kernels as values, and how launches of them are made. A kernel is a struct with kName, Parameters, Shared (the
/// memory that a block's threads share) and run(arguments, block, shared).
namespace hawser::device_kernels {

template <class Body>
void run_block(const device::KernelArguments& arguments, unsigned block) {
  typename Body::Shared shared;
  Body::run(arguments, block, shared);
}

template <class Body>
inline constexpr device::Kernel kKernel{.name = Body::kName, .run_block = run_block<Body>, .image = kImage};

using Memories = std::vector<device::Launch::Memory>;

inline device::Launch::Memory reads(const std::byte* at, std::uint64_t bytes) {
  return {.at = const_cast<std::byte*>(at), .bytes = bytes};
}
inline device::Launch::Memory writes(std::byte* at, std::uint64_t bytes) { return {.at = at, .bytes = bytes}; }

template <class Body>
void append(std::vector<device::Launch>& out, std::uint64_t blocks, Memories memory,
            const typename Body::Parameters& parameters) {
  HAWSER_ASSERT(blocks >= 1 && blocks <= INT32_MAX);
  out.push_back(device::Launch::of(kKernel<Body>, blocks, std::move(memory), parameters));
}

/// Of the kernel for float64, or that for float32 and what works in it.
template <template <class> class Body>
void append_for(bool is_double, std::vector<device::Launch>& out, std::uint64_t blocks, Memories memory,
                const typename Body<float>::Parameters& parameters) {
  if (is_double)
    append<Body<double>>(out, blocks, std::move(memory), parameters);
  else
    append<Body<float>>(out, blocks, std::move(memory), parameters);
}

/// Every kernel of this folder.
std::vector<const device::Kernel*> all_kernels();

}  // namespace hawser::device_kernels
