#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <vector>

#include "catch.hpp"
#include "device/sim_devices.hpp"

namespace hawser::device {
namespace {

std::vector<std::byte> bytes_of(std::size_t count, unsigned seed) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed);
  return bytes;
}

constexpr std::chrono::minutes kEventBound{5};

TEST_CASE("options of the simulated device are read, and unknown ones refused") {
  const auto config = parse_sim_config("seed=7,gbit=100,delay_us=0,fails=9,devices=3,mib=64,kernels=0");
  REQUIRE(config.ok());
  CHECK(config->seed == 7);
  CHECK(config->bytes_per_second == 12.5e9);
  CHECK(config->delay_most.count() == 0);
  CHECK(config->fails_one_in == 9);
  CHECK(config->devices == 3);
  CHECK(config->memory_bytes == std::size_t{64} << 20);
  for (const char* const wrong :
       {"seed", "seed=", "seed=x", "sed=1", "devices=0", "devices=65", "seed=1;gbit=2", "mib=0"})
    CHECK(parse_sim_config(wrong).status() == Status::invalid_argument);
}

TEST_CASE("a stream copies down, up and between two places of a device") {
  const auto devices = SimDevices::make({});
  auto stream = devices->make_stream(0);
  REQUIRE(stream.ok());
  auto a = devices->allocate(0, 5000);
  auto b = devices->allocate(0, 5000);
  REQUIRE(a.ok());
  REQUIRE(b.ok());
  const auto input = bytes_of(4000, 1);
  std::vector<std::byte> output(4000);
  REQUIRE((*stream)->copy((*a)->bytes() + 1, input.data(), input.size()).ok());
  REQUIRE((*stream)->copy((*b)->bytes() + 3, (*a)->bytes() + 1, input.size()).ok());
  REQUIRE((*stream)->copy(output.data(), (*b)->bytes() + 3, output.size()).ok());
  auto end = (*stream)->record();
  REQUIRE(end.ok());
  const auto ended = (*end)->wait(kEventBound);
  REQUIRE(ended.ok());
  CHECK(*ended);
  CHECK(output == input);
  CHECK(devices->counters().bytes_down == 4000);
  CHECK(devices->counters().bytes_up == 4000);
}

namespace kernels {
/// memory[0] += the parameter, 16 bytes by each block.
void add(const KernelArguments& arguments, unsigned block) {
  for (unsigned i = 0; i < 16; ++i) {
    std::byte& one = arguments.memory[0][block * 16 + i];
    one = static_cast<std::byte>(static_cast<unsigned>(one) + arguments.parameters[0]);
  }
}
constexpr Kernel kAdd{.name = "add", .run_block = add, .image = nullptr};
}  // namespace kernels

TEST_CASE("a stream runs kernels on its device's memory, in their order, and on no other memory") {
  const auto devices = SimDevices::make({});
  auto memory = devices->allocate(0, 64);
  auto other = devices->allocate(1, 64);
  auto stream = devices->make_stream(0);
  REQUIRE((memory.ok() && other.ok() && stream.ok()));
  auto expected = bytes_of(64, 1);
  std::vector<std::byte> output(64);
  CHECK(devices->runs(kernels::kAdd));
  REQUIRE((*stream)->copy((*memory)->bytes(), expected.data(), 64).ok());
  const unsigned char three = 3;
  REQUIRE((*stream)->launch(Launch::of(kernels::kAdd, 4, {{(*memory)->bytes(), 64}}, three)).ok());
  REQUIRE((*stream)->copy(output.data(), (*memory)->bytes(), 64).ok());
  auto end = (*stream)->record();
  REQUIRE(end.ok());
  REQUIRE(*(*end)->wait(kEventBound));
  for (std::byte& one : expected) one = static_cast<std::byte>(static_cast<unsigned>(one) + 3);
  CHECK(output == expected);
  CHECK(devices->counters().launches == 1);
  for (std::byte* const wrong : {(*other)->bytes(), output.data()})
    CHECK((*stream)->launch(Launch::of(kernels::kAdd, 1, {{wrong, 64}}, three)).status() == Status::invalid_argument);
  CHECK((*stream)->launch(Launch::of(kernels::kAdd, 1, {{(*memory)->bytes(), 65}}, three)).status() ==
        Status::invalid_argument);
}

TEST_CASE("a caller's stream runs kernels, and waits at a gate") {
  const auto devices = SimDevices::make({});
  auto memory = devices->allocate(0, 16);
  REQUIRE(memory.ok());
  devices->copy_now((*memory)->bytes(), bytes_of(16, 0).data(), 16);
  const std::uintptr_t stream = devices->make_user_stream(0);
  auto gate = devices->make_gate();
  REQUIRE(gate.ok());
  REQUIRE(devices->wait_on(0, stream, *gate).ok());
  const unsigned char one = 1;
  REQUIRE(devices->launch_on(0, stream, Launch::of(kernels::kAdd, 1, {{(*memory)->bytes(), 16}}, one)).ok());
  const auto end = devices->record_on(0, stream);
  REQUIRE(end.ok());
  CHECK_FALSE(*(*end)->wait(std::chrono::milliseconds(20)));
  (*gate)->open();
  CHECK(*(*end)->wait(kEventBound));
  std::byte first{};
  devices->copy_now(&first, (*memory)->bytes(), 1);
  CHECK(first == std::byte{1});
  CHECK(devices->launch_on(0, stream + 1, Launch::of(kernels::kAdd, 1, {}, one)).status() == Status::invalid_argument);
}

TEST_CASE("the host cannot touch a device's memory") {
  const auto devices = SimDevices::make({});
  auto memory = devices->allocate(0, 4096);
  REQUIRE(memory.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    const volatile std::byte* const at = (*memory)->bytes();
    ::_exit(static_cast<int>(*at));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  // A sanitizer catches the signal and ends the process itself.
  CHECK((WIFSIGNALED(status) || WEXITSTATUS(status) != 0));
}

TEST_CASE("where bytes lie") {
  const auto devices = SimDevices::make({});
  auto memory = devices->allocate(1, 4096);
  REQUIRE(memory.ok());
  const std::byte here{};
  CHECK(*devices->where(&here, 1) == kHost);
  CHECK(*devices->where(nullptr, 0) == kHost);
  CHECK(*devices->where((*memory)->bytes(), 4096) == 1);
  CHECK(*devices->where((*memory)->bytes() + 4095, 1) == 1);
  CHECK(devices->where((*memory)->bytes() + 1, 4096).status() == Status::invalid_argument);
  CHECK(*devices->where((*memory)->bytes() + 4096, 1) == kHost);
}

TEST_CASE("a device's memory is bounded, and comes back") {
  const auto devices = SimDevices::make({.memory_bytes = 1 << 20});
  {
    auto most = devices->allocate(0, 1 << 20);
    REQUIRE(most.ok());
    CHECK(devices->allocate(0, 1).status() == Status::system);
    CHECK(devices->allocate(1, 1).ok());
  }
  CHECK(devices->allocate(0, 1 << 20).ok());
  CHECK(devices->allocate(2, 1).status() == Status::invalid_argument);
  CHECK(devices->make_stream(-1).status() == Status::invalid_argument);
}

TEST_CASE("memory may be freed while a stream has work on it") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(5)});
  const std::uintptr_t user = devices->make_user_stream(0);
  const auto input = bytes_of(100'000, 1);
  for (int i = 0; i < 20; ++i) {
    auto memory = devices->allocate(0, input.size());
    REQUIRE(memory.ok());
    REQUIRE(devices->upload_on(user, (*memory)->bytes(), input.data(), input.size()).ok());
  }
  auto end = devices->record_on_user_stream(user);
  REQUIRE(end.ok());
  CHECK(*(*end)->wait(kEventBound));
}

TEST_CASE("a stream of one device refuses the memory of another") {
  const auto devices = SimDevices::make({});
  auto stream = devices->make_stream(0);
  auto memory = devices->allocate(1, 64);
  REQUIRE(stream.ok());
  REQUIRE(memory.ok());
  std::byte here[64];
  CHECK((*stream)->copy(here, (*memory)->bytes(), 64).status() == Status::invalid_argument);
}

TEST_CASE("an event on the caller's stream is after what was put there, and other streams wait for it") {
  const auto devices = SimDevices::make({.delay_most = std::chrono::milliseconds(5)});
  auto memory = devices->allocate(0, 1000);
  REQUIRE(memory.ok());
  const std::uintptr_t user = devices->make_user_stream(0);
  auto stream = devices->make_stream(0);
  REQUIRE(stream.ok());
  for (unsigned round = 1; round <= 20; ++round) {
    const auto input = bytes_of(1000, round);
    REQUIRE(devices->upload_on(user, (*memory)->bytes(), input.data(), input.size()).ok());
    auto written = devices->record_on(0, user);
    REQUIRE(written.ok());
    REQUIRE((*stream)->wait_for(*written).ok());
    std::vector<std::byte> output(1000);
    REQUIRE((*stream)->copy(output.data(), (*memory)->bytes(), output.size()).ok());
    auto end = (*stream)->record();
    REQUIRE(end.ok());
    REQUIRE(*(*end)->wait(kEventBound));
    CHECK(output == input);
  }
  CHECK(devices->record_on(1, user).status() == Status::invalid_argument);
  CHECK(devices->record_on(0, 77).status() == Status::invalid_argument);
  CHECK(devices->record_on(0, 0).ok());
}

TEST_CASE("a stream that failed does nothing any more, and each later event says so") {
  const auto devices = SimDevices::make({.delay_most = {}, .fails_one_in = 1});
  auto memory = devices->allocate(0, 8);
  auto stream = devices->make_stream(0);
  REQUIRE(memory.ok());
  REQUIRE(stream.ok());
  std::byte here[8] = {};
  REQUIRE((*stream)->copy((*memory)->bytes(), here, 8).ok());
  for (int i = 0; i < 2; ++i) {
    auto end = (*stream)->record();
    REQUIRE(end.ok());
    const auto ended = (*end)->wait(kEventBound);
    REQUIRE(!ended.ok());
    CHECK(ended.error().sentence == "simulated device 0 failed");
  }
  CHECK(devices->counters().bytes_up == 0);
}

}  // namespace
}  // namespace hawser::device
