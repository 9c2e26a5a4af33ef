#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/kernel.hpp"

/// Copies on one device. Each function appends the launches that do it, and touches no memory itself.
namespace hawser::device_kernels {

struct Segment {
  std::byte* at = nullptr;
  std::uint64_t bytes = 0;
};

/// Puts the segments one behind the other, at `to`. They share no memory with it.
void gather(std::vector<device::Launch>& out, std::span<const Segment> segments, std::byte* to);
/// Takes the segments from where they stand one behind the other.
void scatter(std::vector<device::Launch>& out, const std::byte* from, std::span<const Segment> segments);

/// Nothing, if both are the same memory; otherwise they share none.
void copy(std::vector<device::Launch>& out, std::byte* to, const std::byte* from, std::uint64_t bytes);

}  // namespace hawser::device_kernels
