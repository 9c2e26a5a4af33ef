#include "base/digest128.hpp"

#include "catch.hpp"

namespace hawser {

TEST_CASE("a digest is 32 lower-case digits, the high half first") {
  const Digest128 digest{.low = 0x0123456789abcdef, .high = 0xfedcba9876543210};
  CHECK(to_string(digest) == "fedcba98765432100123456789abcdef");
  CHECK(to_string(Digest128{}) == std::string(32, '0'));
  CHECK(parse_digest128(to_string(digest)) == digest);
  CHECK(parse_digest128(to_string(Digest128{})) == Digest128{});
}

TEST_CASE("only what to_string writes is read as a digest") {
  const std::string good = "fedcba98765432100123456789abcdef";
  for (const std::string& text :
       {std::string{}, good.substr(1), good + "0", "F" + good.substr(1), "g" + good.substr(1),
        " " + good.substr(1), "-" + good.substr(1), std::string(32, '\0'), "0x" + good.substr(2)})
    CHECK_FALSE(parse_digest128(text).has_value());
}

TEST_CASE("a digest travels as sixteen bytes, the low half first") {
  const Digest128 digest{.low = 0x0807060504030201, .high = 0x100f0e0d0c0b0a09};
  std::vector<std::byte> bytes;
  append_digest(digest, bytes);
  REQUIRE(bytes.size() == kDigestBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) CHECK(bytes[i] == static_cast<std::byte>(i + 1));
  CHECK(read_digest(std::span<const std::byte, kDigestBytes>(bytes)) == digest);
}

}  // namespace hawser
