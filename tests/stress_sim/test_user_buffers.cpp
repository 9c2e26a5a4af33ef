#include <cstring>

#include "catch.hpp"
#include "sim/user_buffers.hpp"
#include "sim/violation.hpp"

using namespace hawser;

namespace {

sim::UserBuffers::Shape shape_of(bool in_place, Collective collective = Collective::all_reduce) {
  return {.signature = {.collective = collective, .count = 5}, .world_size = 3, .rank = 1, .in_place = in_place};
}

}  // namespace

TEST_CASE("contributions are whole numbers from 1 to 16 that differ between calls") {
  int same = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const double value = sim::contribution(7, i);
    CHECK(value >= 1);
    CHECK(value <= 16);
    CHECK(value == static_cast<double>(static_cast<int>(value)));
    if (value == sim::contribution(8, i)) ++same;
  }
  CHECK(same < 200);
}

TEST_CASE("a changed input is noticed") {
  sim::UserBuffers buffers(shape_of(true), 42);
  CHECK(buffers.send_intact());
  buffers.receive()[3] ^= std::byte{1};
  CHECK_FALSE(buffers.send_intact());
}

TEST_CASE("in place the parts of a gathered buffer that are not the own may change") {
  sim::UserBuffers buffers(shape_of(true, Collective::all_gather), 42);
  CHECK(buffers.send() == buffers.receive() + 20);
  std::memset(buffers.receive(), 0, 20);
  std::memset(buffers.receive() + 40, 0, 20);
  CHECK(buffers.send_intact());
  CHECK(buffers.result().size() == 60);
}

TEST_CASE("out of place the receive buffer is apart") {
  sim::UserBuffers buffers(shape_of(false), 42);
  std::memset(buffers.receive(), 0, 20);
  CHECK(buffers.send_intact());
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a write to the memory of a call that has ended is noticed") {
  sim::Quarantine quarantine;
  sim::UserBuffers buffers(shape_of(false), 42);
  std::byte* const receive = buffers.receive();
  std::move(buffers).retire_to(quarantine);
  CHECK_NOTHROW(quarantine.inspect());
  receive[7] = std::byte{0};
  CHECK_THROWS_AS(quarantine.inspect(), sim::Violation);
}
#endif
