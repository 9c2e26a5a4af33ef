#include "device_kernels/digest_launches.hpp"

#include "device_kernels/digest_kernels.hpp"
#include "device_kernels/kernels.hpp"

namespace hawser::device_kernels {

void digest_slices(std::vector<device::Launch>& out, const std::byte* content, std::uint64_t bytes, std::uint64_t seed,
                   std::byte* digests) {
  if (bytes == 0) return;
  const std::uint64_t slices = slice_count(bytes);
  append<DigestSlices>(out, slices, {reads(content, bytes), writes(digests, slices * kDigestBytes)},
                       {.bytes = bytes, .seed = seed});
}

}  // namespace hawser::device_kernels
