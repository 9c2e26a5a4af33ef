/// Only the installed face: hawser.h and hawser/hawser.hpp.
#include <array>
#include <atomic>
#include <cstring>
#include <hawser/hawser.hpp>
#include <mutex>
#include <thread>

#include "catch.hpp"

namespace {

hawser::Master start_master() {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200});
  REQUIRE(master);
  REQUIRE(master->start());
  return std::move(*master);
}

hawser::Communicator make_peer(const hawser::Master& master, const std::string& name = "") {
  auto comm = hawser::Communicator::create(
      {.master = master.address(), .name = name, .connections_per_link = 2, .connect_ms = 20000});
  REQUIRE(comm);
  return std::move(*comm);
}

void join(hawser::Communicator& comm, std::uint32_t world_size) {
  auto joined = comm.connect();
  while (joined && comm.info() && comm.info()->world_size < world_size) joined = comm.update_topology();
  if (!joined) throw std::runtime_error(joined.error().sentence);
}

template <class Body>
void in_two_threads(Body body) {
  std::thread other([&] { body(1); });
  body(0);
  other.join();
}

}  // namespace

TEST_CASE("two peers reduce through the C++ face") {
  const auto master = start_master();
  std::array<hawser::Communicator, 2> comms{make_peer(master, "one"), make_peer(master, "two")};
  std::array<hawser::Result<hawser::Reduced>, 2> apart{hawser::Failure{}, hawser::Failure{}};
  std::array<std::vector<float>, 2> results;
  std::array<std::vector<float>, 2> in_place{std::vector<float>(501, 1.5F), std::vector<float>(501, 2.5F)};
  in_two_threads([&](std::size_t who) {
    join(comms[who], 2);
    const std::vector<float> send(1000, who == 0 ? 1.0F : 4.0F);
    results[who].resize(1000);
    apart[who] =
        comms[who].all_reduce(send, results[who], {.op = hawserAvg, .tag = 5, .plan = hawserPlanDirect});
    const auto reduced = comms[who].all_reduce(in_place[who]);
    if (!reduced) in_place[who].clear();
  });
  for (std::size_t who = 0; who < 2; ++who) {
    REQUIRE(apart[who]);
    CHECK(apart[who]->world_size == 2);
    CHECK(apart[who]->contributors.size() == 2);
    CHECK(apart[who]->contributors[apart[who]->rank] == comms[who].info()->peer_id);
    CHECK(apart[who]->plan == hawserPlanDirect);
    CHECK(apart[who]->bytes_sent > 0);
    CHECK((results[who] == std::vector<float>(1000, 2.5F)));
    CHECK((in_place[who] == std::vector<float>(501, 4.0F)));
    const auto members = comms[who].members();
    REQUIRE(members);
    REQUIRE(members->size() == 2);
    CHECK(((*members)[0].name == "one" || (*members)[0].name == "two"));
    CHECK((*members)[0].address.rfind("127.0.0.1:", 0) == 0);
    CHECK_FALSE(*comms[who].are_peers_pending());
  }
  const std::vector<float> send(3);
  std::vector<float> receive(4);
  CHECK(comms[0].all_reduce(send, receive).code() == hawserErrorInvalidArgument);
}

TEST_CASE("failures carry a code, a name and a sentence") {
  const auto master = start_master();
  auto comm = make_peer(master);
  const auto info = comm.info();
  REQUIRE_FALSE(info);
  CHECK(info.code() == hawserErrorInvalidUsage);
  CHECK(std::string(info.error().name()) == "invalid usage");
  CHECK(info.error().sentence.find("connect") != std::string::npos);
  CHECK_FALSE(hawser::Communicator::create({}));
  CHECK(hawser::Master::create({.listen = "nonsense"}).code() == hawserErrorInvalidArgument);
  CHECK(hawser::Master::create({.listen = master.address()}).code() == hawserErrorSystem);
}

TEST_CASE("the only member is told that it is too few") {
  const auto master = start_master();
  auto comm = make_peer(master);
  join(comm, 1);
  std::vector<float> values(10, 3.0F);
  CHECK(comm.all_reduce(values).code() == hawserErrorTooFewPeers);
  CHECK((values == std::vector<float>(10, 3.0F)));
}
