#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/kernel.hpp"

/// The digests of kernels/content_digest.hpp on the memory of a device.
namespace hawser::device_kernels {

/// Appends the launch that digests each slice of the content: slice_count(bytes) digests of 16 bytes, as append_digest()
/// writes them. Of no bytes: none. The root is for the host to make (digest_of_slices).
void digest_slices(std::vector<device::Launch>& out, const std::byte* content, std::uint64_t bytes, std::uint64_t seed,
                   std::byte* digests);

}  // namespace hawser::device_kernels
