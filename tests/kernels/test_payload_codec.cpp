#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "kernels/payload_codec.hpp"

using namespace hawser;

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kStrides[] = {1, 2, 3, 4, 5, 7, 8, 12, 16};
constexpr std::size_t kGuardBytes = 64;
constexpr std::byte kGuard{0xa5};

Bytes random_bytes(std::size_t size, std::mt19937_64& random) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Bytes gaussian_floats(std::size_t size, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(size / sizeof(float) + 1);
  for (float& value : values) value = normal(random);
  Bytes bytes(size);
  std::memcpy(bytes.data(), values.data(), size);
  return bytes;
}

/// In memory of exactly its size, so that a sanitizer sees a step beyond.
Bytes compressed(const Bytes& from, std::size_t stride) {
  Bytes out(from.size() + from.size() / 8 + 64);
  const auto size = compress_payload(from, stride, out);
  REQUIRE(size.has_value());
  REQUIRE(*size <= out.size());
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*size)};
}

/// The result of decompression, and whether nothing beside the target was written.
struct Decompressed {
  bool good = false;
  Bytes bytes;
  bool stayed_inside = false;
};

Decompressed decompressed(const Bytes& from, std::size_t stride, std::size_t size) {
  Bytes guarded(size + 2 * kGuardBytes, kGuard);
  const auto to = std::span(guarded).subspan(kGuardBytes, size);
  Decompressed result;
  result.good = decompress_payload(from, stride, to);
  result.bytes.assign(to.begin(), to.end());
  const auto is_guard = [](std::byte byte) { return byte == kGuard; };
  result.stayed_inside = std::all_of(guarded.begin(), guarded.begin() + kGuardBytes, is_guard) &&
                         std::all_of(guarded.end() - kGuardBytes, guarded.end(), is_guard);
  return result;
}

void require_round_trip(const Bytes& bytes, std::size_t stride) {
  const Decompressed back = decompressed(compressed(bytes, stride), stride, bytes.size());
  REQUIRE(back.good);
  REQUIRE(back.stayed_inside);
  REQUIRE(back.bytes == bytes);
}

}  // namespace

TEST_CASE("payloads of all small sizes and strides come back", "[payload_codec]") {
  std::mt19937_64 random(1);
  for (const std::size_t stride : kStrides)
    for (std::size_t size = 0; size <= 300; ++size) {
      INFO("stride " << stride << ", " << size << " bytes");
      require_round_trip(random_bytes(size, random), stride);
    }
}

TEST_CASE("large payloads of odd sizes come back", "[payload_codec]") {
  std::mt19937_64 random(2);
  for (const std::size_t stride : kStrides)
    for (const std::size_t size : {65'536ul, 65'537ul, 262'143ul, 1'048'576ul, 1'048'573ul}) {
      INFO("stride " << stride << ", " << size << " bytes");
      require_round_trip(gaussian_floats(size, random), stride);
      require_round_trip(Bytes(size), stride);
    }
}

TEST_CASE("bytes at odd addresses come back", "[payload_codec]") {
  std::mt19937_64 random(3);
  const Bytes bytes = random_bytes(5000, random);
  for (const std::size_t stride : {2ul, 4ul, 8ul})
    for (std::size_t offset = 0; offset < 17; ++offset) {
      const Bytes part(bytes.begin() + static_cast<std::ptrdiff_t>(offset), bytes.end());
      Bytes out(6000);
      const auto size = compress_payload(std::span(bytes).subspan(offset), stride, out);
      REQUIRE(size);
      Bytes back(5000);
      const auto to = std::span(back).subspan(offset);
      REQUIRE(decompress_payload(std::span(out).first(*size), stride, to));
      REQUIRE(std::equal(to.begin(), to.end(), part.begin(), part.end()));
    }
}

TEST_CASE("the shuffle makes planes", "[payload_codec]") {
  // Elements of which only the last byte carries anything: without planes zstd would not see the runs.
  for (const std::size_t stride : {2ul, 3ul, 4ul, 8ul}) {
    std::mt19937_64 random(4);
    Bytes bytes = random_bytes(96'000, random);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (i % stride != stride - 1) bytes[i] = std::byte{static_cast<unsigned char>(i / stride / 1000)};
    CHECK(compressed(bytes, stride).size() < bytes.size() / stride + 2000);
  }
}

TEST_CASE("what does not pay is not compressed", "[payload_codec]") {
  std::mt19937_64 random(5);
  const Bytes noise = random_bytes(100'000, random);
  Bytes out(noise.size() - 1);
  CHECK_FALSE(compress_payload(noise, 4, out));

  const Bytes floats = gaussian_floats(100'000, random);
  const std::size_t needed = compressed(floats, 4).size();
  CHECK(needed < floats.size() * 9 / 10);
  for (const std::size_t room : {0ul, 1ul, 17ul, needed / 2, needed - 1}) {
    Bytes guarded(room + kGuardBytes, kGuard);
    CHECK_FALSE(compress_payload(floats, 4, std::span(guarded).first(room)));
    CHECK(std::all_of(guarded.end() - kGuardBytes, guarded.end(), [](std::byte b) { return b == kGuard; }));
  }
}

TEST_CASE("another length or stride is no match", "[payload_codec]") {
  std::mt19937_64 random(6);
  const Bytes bytes = gaussian_floats(10'000, random);
  const Bytes small = compressed(bytes, 4);
  for (const std::size_t size : {0ul, 1ul, 9'996ul, 9'999ul, 10'001ul, 20'000ul}) {
    const Decompressed result = decompressed(small, 4, size);
    CHECK_FALSE(result.good);
    CHECK(result.stayed_inside);
  }
  const Decompressed other = decompressed(small, 8, bytes.size());
  CHECK(other.good);  // a stride is not written down
  CHECK(other.bytes != bytes);
  CHECK(decompressed(small, 0, bytes.size()).stayed_inside);
}

TEST_CASE("garbage is refused", "[payload_codec]") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = random_bytes(random() % 200, random);
    // Half of it begins as a frame does.
    constexpr std::array<unsigned char, 4> kMagic{0x28, 0xb5, 0x2f, 0xfd};
    if (round % 2 == 0 && bytes.size() >= 4) std::memcpy(bytes.data(), kMagic.data(), 4);
    const Decompressed result =
        decompressed(bytes, kStrides[random() % std::size(kStrides)], random() % 5000);
    REQUIRE(result.stayed_inside);
    if (round % 2 == 1) REQUIRE_FALSE(result.good);
  }
}

TEST_CASE("truncated and lengthened payloads are refused", "[payload_codec]") {
  std::mt19937_64 random(8);
  const Bytes bytes = gaussian_floats(3001, random);
  const Bytes small = compressed(bytes, 4);
  for (std::size_t size = 0; size < small.size(); ++size) {
    const Decompressed result = decompressed(
        Bytes(small.begin(), small.begin() + static_cast<std::ptrdiff_t>(size)), 4, bytes.size());
    REQUIRE_FALSE(result.good);
    REQUIRE(result.stayed_inside);
  }
  Bytes longer = small;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decompressed(longer, 4, bytes.size()).good);
}

TEST_CASE("damaged payloads never reach beyond the target", "[payload_codec]") {
  std::mt19937_64 random(9);
  for (const std::size_t size : {200ul, 3001ul, 40'000ul}) {
    Bytes runs = gaussian_floats(size, random);
    std::fill(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(size / 2), std::byte{7});
    const Bytes small = compressed(runs, 4);
    for (int round = 0; round < 4000; ++round) {
      Bytes damaged = small;
      const std::size_t flips = 1 + random() % 3;
      for (std::size_t flip = 0; flip < flips; ++flip)
        // Most of them in the headers, where lengths and tables are.
        damaged[random() % (round % 2 == 0 ? std::min<std::size_t>(40, small.size()) : small.size())] ^=
            static_cast<std::byte>(1u << random() % 8);
      REQUIRE(decompressed(damaged, 4, size).stayed_inside);
    }
  }
}

TEST_CASE("only one frame of the present format is taken", "[payload_codec]") {
  const Bytes bytes(1000, std::byte{3});
  const Bytes small = compressed(bytes, 1);
  REQUIRE(decompressed(small, 1, bytes.size()).good);

  const auto joined = [](Bytes first, const Bytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  };
  CHECK_FALSE(decompressed(joined(small, small), 1, 2 * bytes.size()).good);
  CHECK_FALSE(decompressed(joined(small, compressed({}, 1)), 1, bytes.size()).good);

  Bytes skippable(12);
  constexpr std::array<unsigned char, 8> kSkippable{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0};
  std::memcpy(skippable.data(), kSkippable.data(), kSkippable.size());
  CHECK_FALSE(decompressed(joined(skippable, small), 1, bytes.size()).good);
  CHECK_FALSE(decompressed(skippable, 1, 0).good);

  for (unsigned char version = 0x20; version < 0x28; ++version) {  // zstd 0.1 to 0.7
    Bytes legacy = small;
    legacy[0] = std::byte{version};
    CHECK_FALSE(decompressed(legacy, 1, bytes.size()).good);
  }
}

TEST_CASE("a frame that announces a huge window is refused or costs nothing", "[payload_codec]") {
  // No single segment, window descriptor at its largest (3.75 TiB), content size 16 bytes, one RLE block.
  constexpr std::array<unsigned char, 4 + 2 + 8 + 4> kFrame{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0xff, 16, 0, 0,
                                                            0,    0,    0,    0,    0,    0x83, 0,  0, 7};
  Bytes frame(kFrame.size());
  std::memcpy(frame.data(), kFrame.data(), kFrame.size());
  for (const std::size_t size : {0ul, 16ul, 1000ul}) CHECK(decompressed(frame, 1, size).stayed_inside);
}

TEST_CASE("threads have contexts of their own", "[payload_codec]") {
  std::vector<std::thread> threads;
  std::vector<int> good(4);
  for (std::size_t t = 0; t < good.size(); ++t)
    threads.emplace_back([&good, t] {
      std::mt19937_64 random(t);
      for (int round = 0; round < 20; ++round) {
        const Bytes bytes = gaussian_floats(10'000 + t, random);
        Bytes out(bytes.size()), back(bytes.size());
        const auto size = compress_payload(bytes, 4, out);
        good[t] += size && decompress_payload(std::span(out).first(*size), 4, back) && back == bytes;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const int count : good) CHECK(count == 20);
}
