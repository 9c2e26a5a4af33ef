#include <cstring>

#include "catch.hpp"
#include "sim/user_buffers.hpp"
#include "sim/violation.hpp"

using namespace hawser;

TEST_CASE("contributions are whole numbers from 1 to 16 that differ between calls") {
  int same = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const float value = sim::contribution(7, i);
    CHECK(value >= 1);
    CHECK(value <= 16);
    CHECK(value == static_cast<float>(static_cast<int>(value)));
    if (value == sim::contribution(8, i)) ++same;
  }
  CHECK(same < 200);
}

TEST_CASE("a changed input is noticed") {
  sim::UserBuffers buffers(5, 42, true);
  CHECK(buffers.send_intact());
  buffers.receive()[3] ^= std::byte{1};
  CHECK_FALSE(buffers.send_intact());
}

TEST_CASE("out of place the receive buffer is apart") {
  sim::UserBuffers buffers(5, 42, false);
  std::memset(buffers.receive(), 0, 20);
  CHECK(buffers.send_intact());
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a write to the memory of a call that has ended is noticed") {
  sim::Quarantine quarantine;
  sim::UserBuffers buffers(5, 42, false);
  std::byte* const receive = buffers.receive();
  std::move(buffers).retire_to(quarantine);
  CHECK_NOTHROW(quarantine.inspect());
  receive[7] = std::byte{0};
  CHECK_THROWS_AS(quarantine.inspect(), sim::Violation);
}
#endif
