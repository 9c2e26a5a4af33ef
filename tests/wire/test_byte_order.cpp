#include <array>
#include <cstddef>

#include "base/bug_found.hpp"
#include "catch.hpp"
#include "wire/byte_order.hpp"

namespace hawser {

TEST_CASE("fields are little-endian, one after another") {
  std::array<std::byte, 15> bytes;
  FieldWriter writer(bytes);
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0f0e0d0c0b0a0908);
  CHECK(writer.written().size() == bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) CHECK(std::to_integer<std::size_t>(bytes[i]) == i + 1);

  FieldReader reader(bytes);
  CHECK(reader.u8() == 0x01);
  CHECK(reader.u16() == 0x0302);
  CHECK(reader.u32() == 0x07060504);
  CHECK(reader.u64() == 0x0f0e0d0c0b0a0908);
}

TEST_CASE("writing or reading past the end is a bug that is found") {
  std::array<std::byte, 3> bytes{};
  CHECK_THROWS_AS(FieldWriter(bytes).u32(1), BugFound);
  CHECK_THROWS_AS(FieldReader(bytes).u32(), BugFound);
  CHECK_THROWS_AS(FieldReader(bytes).skip(4), BugFound);
}

}  // namespace hawser
