/// IPv4, IPv6, host names, port ranges, and mixtures of them.
#include <sys/socket.h>

#include <set>

#include "run_fixture.hpp"
#include "transport/listener.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

bool host_has_ipv6() {
  asio::io_context io;
  return transport::Listener::open(io, {.host = "::1"}).ok();
}

void check_all(const Peers& peers) {
  std::vector<Outcome> outcomes(peers.size());
  std::vector<std::size_t> everyone;
  for (std::size_t who = 0; who < peers.size(); ++who) everyone.push_back(who);
  on_all(peers, [&](std::size_t who, Communicator& peer) { outcomes[who] = reduce_once(who, peer, {}); });
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.sentence);
    REQUIRE(outcome.status == Status::success);
    CHECK(is_sum_of(outcome.result, everyone));
  }
}

/// So many neighbouring ports that are free at this moment.
std::uint16_t free_range(std::uint16_t count) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    asio::io_context io;
    std::vector<std::shared_ptr<transport::Listener>> taken;
    auto first = transport::Listener::open(io, {});
    REQUIRE(first.ok());
    const std::uint16_t base = (*first)->address().port;
    if (base > 65535 - count) continue;
    taken.push_back(*first);
    bool whole = true;
    for (std::uint16_t i = 1; i < count && whole; ++i) {
      const auto port = static_cast<std::uint16_t>(base + i);
      auto next = transport::Listener::open(io, {.port_first = port, .port_last = port});
      whole = next.ok();
      if (whole) taken.push_back(*next);
    }
    if (whole) return base;
  }
  FAIL("no free range of ports");
  return 0;
}

}  // namespace

TEST_CASE("everything over IPv6") {
  if (!host_has_ipv6()) return;
  TestRun::Options options;
  options.listen_host = "::1";
  TestRun run(options);
  const Peers peers = run.assemble(3);
  CHECK((*peers[0]->info())->view.members[0].address.host == "::1");
  check_all(peers);
}

TEST_CASE("host names for the master and for what a peer advertises") {
  TestRun::Options options;
  options.listen_host = "localhost";
  TestRun run(options);
  const Peers peers = run.assemble(3, [&](std::size_t who, CommunicatorConfig& config) {
    config.master.host = "localhost";
    if (who == 1) config.advertise_host = "localhost";
    if (who == 2) config.listen_host = "localhost";
  });
  check_all(peers);
}

TEST_CASE("a master without a host in its address is reached over both families") {
  TestRun::Options options;
  options.listen_host = "";
  TestRun run(options);
  const Peers peers = run.assemble(3, [&](std::size_t who, CommunicatorConfig& config) {
    config.master = run.master().address();
    if (who == 1) config.master.host = "127.0.0.1";
    if (who == 2) config.master.host = host_has_ipv6() ? "::1" : "localhost";
  });
  check_all(peers);
}

TEST_CASE("a master on 0.0.0.0 leaves the IPv6 port to others") {
  if (!host_has_ipv6()) return;
  TestRun::Options options;
  options.listen_host = "0.0.0.0";
  options.insecure = true;
  const TestRun run(options);
  const std::uint16_t port = run.address().port;
  asio::io_context io;
  CHECK(transport::Listener::open(io, {.host = "::1", .port_first = port, .port_last = port}).ok());
}

TEST_CASE("loopback literals and names mix in one run") {
  TestRun run;
  const Peers peers = run.assemble(4, [&](std::size_t who, CommunicatorConfig& config) {
    if (who == 1) config.advertise_host = "127.0.0.1";
    if (who == 2) config.advertise_host = host_has_ipv6() ? "::1" : "127.0.0.1";
    if (who == 3) config.listen_host = "127.0.0.1";
  });
  check_all(peers);
}

TEST_CASE("eight peers started at one instant share a port range") {
  constexpr std::uint16_t kPeers = 8;
  for (int round = 0; round < 10; ++round) {
    const std::uint16_t base = free_range(kPeers);
    CommunicatorConfig config;
    config.master = {.host = "127.0.0.1", .port = 1};
    config.port_first = base;
    config.port_last = static_cast<std::uint16_t>(base + kPeers - 1);
    std::vector<Result<std::unique_ptr<Communicator>>> made;
    for (int i = 0; i < kPeers; ++i) made.emplace_back(Error{});
    std::atomic<int> waiting{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kPeers; ++i)
      threads.emplace_back([&, i] {
        for (++waiting; waiting < kPeers;) std::this_thread::yield();
        made[i] = Communicator::create(config);
      });
    for (auto& thread : threads) thread.join();
    std::set<std::uint16_t> ports;
    for (auto& one : made) {
      if (!one.ok()) FAIL(one.error().sentence);
      ports.insert((*one)->listen_address().port);
    }
    CHECK(ports.size() == kPeers);
    // The range is full now.
    CHECK(Communicator::create(config).status() == Status::system);
  }
}

TEST_CASE("a bad place to listen is said") {
  CommunicatorConfig config;
  config.port_first = 10;
  config.port_last = 9;
  CHECK(Communicator::create(config).status() == Status::invalid_argument);
  config = {};
  config.access.insecure = true;
  config.listen_host = "192.0.2.1";
  CHECK(Communicator::create(config).status() == Status::system);
  config.listen_host = "no-such-host.invalid";
  const auto made = Communicator::create(config);
  REQUIRE(made.status() == Status::system);
  CHECK(made.error().sentence.find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("a taken port is said, and is free again after the master's end") {
  auto first = Master::create({.listen = {.host = "127.0.0.1", .port = 0}});
  REQUIRE(first.ok());
  const Address address = (*first)->address();
  const auto second = Master::create({.listen = address});
  REQUIRE(second.status() == Status::system);
  CHECK(second.error().sentence.find(std::to_string(address.port)) != std::string::npos);
  REQUIRE((*first)->start().ok());
  (*first)->stop();
  CHECK(Master::create({.listen = address}).ok());
}
