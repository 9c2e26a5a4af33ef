#include "kernels/content_digest.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/bug_found.hpp"
#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

constexpr std::size_t kSlice = kDigestSliceBytes;

std::vector<std::byte> pattern(std::size_t bytes) {
  std::vector<std::byte> content(bytes);
  for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<std::byte>(i * i + 7 * i + (i >> 9));
  return content;
}

std::vector<std::byte> noise(std::size_t bytes, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> content(bytes);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random.next());
  return content;
}

}  // namespace

TEST_CASE("digests are those of another implementation of XXH3") {
  // Computed with Python's xxhash module, by the formula in the header.
  struct Known {
    std::size_t bytes;
    std::uint64_t seed;
    const char* digest;
  };
  for (const auto& [bytes, seed, digest] : {
           Known{0, 0, "e5189a9599e3f86205ea23ef06e28b2d"},
           Known{0, 0x1234567890abcdef, "1328266a1aed19ad1d640fb089a26d36"},
           Known{1, 0, "24472f67f4579e8b68503adcb0d3bdb2"},
           Known{1, 0x1234567890abcdef, "44b1f27fa92282eb262b0b4b686223b2"},
           Known{255, 0, "619401033281a7b3e313f240d68015f5"},
           Known{255, 0x1234567890abcdef, "3e80feade804f4cb199492e6f06fafea"},
           Known{4096, 0, "0cd60600bd7aeef02598abd3c2b4f224"},
           Known{4096, 0x1234567890abcdef, "3a80ed71471f788e64bb780fd98b36ab"},
           Known{kSlice - 1, 0, "388a68d69e6cb74d97961c5381794926"},
           Known{kSlice - 1, 0x1234567890abcdef, "dc0c80e2657724621cf93cdf2a3e47b6"},
           Known{kSlice, 0, "53bba112657b2cfdf2dda71c6e6a37d1"},
           Known{kSlice, 0x1234567890abcdef, "580b0b27806921a4ae248f7a775a7107"},
           Known{kSlice + 1, 0, "cf5841ee301cf3337378b25454fbaec5"},
           Known{kSlice + 1, 0x1234567890abcdef, "d216dc63c9bb552a5484b03c55e722b8"},
           Known{3 * kSlice + 5, 0, "d78540ae078997bc14d8c2d1bd3bd73f"},
           Known{3 * kSlice + 5, 0x1234567890abcdef, "1803693335cbd42906656ec1bebc750d"},
       }) {
    INFO(bytes << " bytes, seed " << seed);
    CHECK(to_string(digest_content(pattern(bytes), seed)) == digest);
  }
  CHECK(to_string(digest_slice(pattern(1000), 42)) == "cde9bfa6161dd84a8aa6c9cb199a0758");
}

TEST_CASE("slices cut the content without gap") {
  CHECK(slice_count(0) == 0);
  CHECK(slice_count(1) == 1);
  CHECK(slice_count(kSlice) == 1);
  CHECK(slice_count(kSlice + 1) == 2);
  CHECK(slice_bytes(1, 0) == 1);
  CHECK(slice_bytes(kSlice, 0) == kSlice);
  CHECK(slice_bytes(kSlice + 1, 0) == kSlice);
  CHECK(slice_bytes(kSlice + 1, 1) == 1);
  CHECK(slice_bytes(2 * kSlice, 1) == kSlice);
}

TEST_CASE("a span's digest is that of its slices' digests, in any order and on any threads") {
  const auto content = noise(5 * kSlice + 12345, 1);
  const Digest128 whole = digest_content(content, 9);

  DigestJob backwards(content, 9);
  REQUIRE(backwards.slices() == 6);
  for (std::size_t slice = backwards.slices(); slice-- > 0;) backwards.digest(slice);
  CHECK(backwards.root() == whole);
  CHECK(digest_of_slices(backwards.slice_digests(), content.size(), 9) == whole);
  CHECK(backwards.slice_digests()[5] == digest_slice(std::span(content).subspan(5 * kSlice), 9));

  DigestJob threaded(content, 9);
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 3; ++first)
    threads.emplace_back([&threaded, first] {
      for (std::size_t slice = first; slice < threaded.slices(); slice += 3) threaded.digest(slice);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(threaded.root() == whole);
}

TEST_CASE("any change of content, length or seed changes the digest") {
  auto content = noise(2 * kSlice + 100, 2);
  const Digest128 whole = digest_content(content, 0);
  for (const std::size_t at : {std::size_t{0}, kSlice - 1, kSlice, 2 * kSlice, 2 * kSlice + 99})
    for (int bit = 0; bit < 8; ++bit) {
      content[at] ^= static_cast<std::byte>(1 << bit);
      CHECK(digest_content(content, 0) != whole);
      content[at] ^= static_cast<std::byte>(1 << bit);
    }
  CHECK(digest_content(content, 0) == whole);
  CHECK(digest_content(content, 1) != whole);
  CHECK(digest_content(std::span(content).first(content.size() - 1), 0) != whole);
  auto longer = content;
  longer.push_back(std::byte{0});
  CHECK(digest_content(longer, 0) != whole);

  SECTION("slices that change places") {
    std::swap_ranges(content.begin(), content.begin() + kSlice, content.begin() + kSlice);
    CHECK(digest_content(content, 0) != whole);
  }
  SECTION("zeros of different lengths") {
    std::vector<Digest128> seen;
    for (const std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{2}, kSlice, kSlice + 1, 2 * kSlice})
      seen.push_back(digest_content(std::vector<std::byte>(bytes), 0));
    std::sort(seen.begin(), seen.end());
    CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  }
}

TEST_CASE("content may lie anywhere") {
  const auto content = noise(kSlice + 777, 3);
  const Digest128 whole = digest_content(content, 0);
  for (std::size_t shift = 1; shift < 9; ++shift) {
    std::vector<std::byte> moved(shift);
    moved.insert(moved.end(), content.begin(), content.end());
    CHECK(digest_content(std::span(moved).subspan(shift), 0) == whole);
  }
}

TEST_CASE("misuse of slices is our own bug") {
  const std::vector<std::byte> too_long(kSlice + 1);
  CHECK_THROWS_AS(digest_slice(too_long, 0), BugFound);
  CHECK_THROWS_AS(digest_slice({}, 0), BugFound);
  const std::vector<Digest128> digests(2);
  CHECK_THROWS_AS(digest_of_slices(digests, kSlice, 0), BugFound);
  DigestJob job({too_long.data(), 1}, 0);
  CHECK_THROWS_AS(job.digest(1), BugFound);
}

}  // namespace hawser
