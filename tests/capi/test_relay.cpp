/// Relays over real sockets: what members see of them, and what they do not.
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <hawser/hawser.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

namespace {

constexpr std::size_t kMembers = 3;
constexpr std::size_t kCount = 1 << 20;

hawser::Communicator make_one(const hawser::Master& master, const std::string& name, bool is_relay) {
  auto comm = hawser::Communicator::create({.master = master.address(),
                                            .name = name,
                                            .connect_ms = 60'000,
                                            .min_peers = is_relay ? 0 : std::uint32_t{kMembers},
                                            .relay = is_relay});
  REQUIRE(comm);
  return std::move(*comm);
}

/// Members 0 to 2, and a relay in their view.
struct Relayed {
  hawser::Master master;
  std::array<hawser::Communicator, kMembers> members;
  std::optional<hawser::Communicator> relay;

  Relayed()
      : master(start()),
        members{make_one(master, "a", false), make_one(master, "b", false), make_one(master, "c", false)} {
    relay.emplace(make_one(master, "relay", true));
    auto joined = std::async(std::launch::async, [this] { return relay->connect(); });
    std::vector<std::future<hawser::Result<void>>> connected;
    for (auto& comm : members) connected.push_back(std::async(std::launch::async, [&comm] { return comm.connect(); }));
    for (auto& one : connected) REQUIRE(one.get());
    // It may have come too late for the first view.
    while (joined.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      each([](std::size_t, hawser::Communicator& comm) { return static_cast<bool>(comm.update_topology()); });
    REQUIRE(joined.get());
  }
  static hawser::Master start() {
    auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 500});
    REQUIRE(master);
    REQUIRE(master->start());
    return std::move(*master);
  }
  template <class Body>
  void each(const Body& body) {
    std::vector<std::future<bool>> running;
    for (std::size_t i = 0; i < kMembers; ++i)
      running.push_back(std::async(std::launch::async, [&, i] { return body(i, members[i]); }));
    for (auto& one : running) CHECK(one.get());
  }
};

}  // namespace

TEST_CASE("a relay adds for members, counts as none of them, and calls nothing") {
  Relayed run;
  run.each([](std::size_t i, hawser::Communicator& comm) {
    std::vector<float> values(kCount, static_cast<float>(i + 1));
    const auto reduced = comm.all_reduce(values, {.op = hawserAvg});
    return reduced && reduced->world_size == kMembers && values.front() == 2 && values.back() == 2 &&
           reduced->plan_reason.find("1 relay adds") != std::string::npos && comm.info()->group_size == kMembers &&
           comm.info()->rank < kMembers && comm.members()->size() == kMembers;
  });
  run.each([](std::size_t i, hawser::Communicator& comm) {
    std::vector<float> values(kCount, static_cast<float>(i));
    return comm.all_reduce(values, {.quantization = {.scheme = hawserQuantizeMinMax}}) &&
           std::abs(values.front() - 3) < 0.1F;
  });
  std::vector<float> values(8);
  CHECK(run.relay->all_reduce(values).code() == hawserErrorInvalidUsage);
  CHECK(run.relay->update_topology().code() == hawserErrorInvalidUsage);
}

TEST_CASE("when a relay goes in the middle of calls, these begin again, and no caller hears of it") {
  Relayed run;
  std::atomic<int> under_way = 0;
  std::atomic<bool> relay_has_gone = false;
  std::thread ender([&] {
    while (under_way < 2 * static_cast<int>(kMembers)) std::this_thread::yield();
    run.relay.reset();
    relay_has_gone = true;
  });
  run.each([&](std::size_t i, hawser::Communicator& comm) {
    // All make as many calls: enough that some come after it has gone.
    std::vector<float> values(kCount);
    for (;;) {
      values.assign(kCount, static_cast<float>(i + 1));
      ++under_way;
      const auto reduced = comm.all_reduce(values);
      if (!reduced || values.front() != 6 || values.back() != 6) return false;
      // Whether to go on is agreed upon.
      std::vector<float> gone(1, relay_has_gone ? 1.0F : 0.0F);
      if (!comm.all_reduce(gone, {.op = hawserMin})) return false;
      if (gone[0] == 1) return true;
    }
  });
  ender.join();
  CHECK(relay_has_gone);
}

TEST_CASE("what a relay may not be") {
  const auto refused = [](hawser::CommunicatorConfig config) {
    config.master = "127.0.0.1:1";
    return hawser::Communicator::create(config).code();
  };
  CHECK(refused({.party = 7, .party_size = 2, .relay = true}) == hawserErrorInvalidArgument);
  CHECK(refused({.relay_mbit = 100}) == hawserErrorInvalidArgument);
  CHECK(refused({.relay = true, .relay_memory_mib = 0xffffffff}) == hawserErrorInvalidArgument);
}
