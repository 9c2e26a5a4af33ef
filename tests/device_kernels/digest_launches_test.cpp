#include "device_kernels/digest_launches.hpp"

#include "compared.hpp"
#include "kernels/content_digest.hpp"
#include "run_launches.hpp"

// Digests on devices are those of the xxHash library, for every length, seed and alignment.

namespace hawser::device_kernels {
namespace {

std::vector<std::byte> host_digests(std::span<const std::byte> content, std::uint64_t seed) {
  std::vector<std::byte> digests;
  for (std::uint64_t slice = 0; slice < slice_count(content.size()); ++slice)
    append_digest(digest_slice(content.subspan(slice * kDigestSliceBytes, slice_bytes(content.size(), slice)), seed),
                  digests);
  return digests;
}

void compare_digests(std::span<const std::byte> content, std::uint64_t seed, std::size_t misalignment) {
  INFO(content.size() << " bytes, seed " << seed);
  const auto expected = host_digests(content, seed);
  GuardedBuffer digests(misalignment, expected.size());
  std::vector<device::Launch> launches;
  digest_slices(launches, content.data(), content.size(), seed, digests.data());
  run_launches(launches);
  REQUIRE(digests.content() == expected);
  REQUIRE(digests.guards_hold());
}

}  // namespace

TEST_CASE("digests on devices are the host's for every length") {
  constexpr std::uint64_t kSeeds[] = {0, 1, 0x9e3779b97f4a7c15ULL, ~std::uint64_t{0}};
  Random random(1);
  GuardedBuffer content(0, any_elements(DataType::uint8, 2 * kDigestSliceBytes + 4096, random));
  std::size_t compared = 0;
  const auto compare = [&](std::size_t bytes) {
    for (const std::uint64_t seed : kSeeds) {
      const std::size_t misalignment = compared % 3 == 0 ? 0 : random.below(64);
      compare_digests({content.data() + misalignment, bytes}, seed, compared % 3 == 0 ? 0 : random.below(16));
      ++compared;
    }
  };
  for (std::size_t bytes = 0; bytes <= 3000; ++bytes) compare(bytes);
  for (int i = 0; i < 20; ++i) compare(3000 + random.below(kDigestSliceBytes - 3000));
  for (const std::size_t rounds : {63U, 64U, 65U, 128U, 1023U, 1024U})
    for (const std::size_t more : {0U, 1U, 64U, 65U, 1023U}) compare(rounds * 1024 + more);
  for (const std::size_t more : {std::size_t{1}, std::size_t{17}, std::size_t{500}, kDigestSliceBytes})
    compare(kDigestSliceBytes + more);
  CHECK(compared == (3001 + 20 + 30 + 4) * std::size(kSeeds));
}

}  // namespace hawser::device_kernels
