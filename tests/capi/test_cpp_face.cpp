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

TEST_CASE("every collective is reached through the C++ face") {
  const auto master = start_master();
  std::array<hawser::Communicator, 2> comms{make_peer(master), make_peer(master)};
  in_two_threads([&](std::size_t who) { join(comms[who], 2); });
  std::array<std::vector<std::int32_t>, 2> gathered;
  std::array<std::vector<std::int32_t>, 2> share;
  std::array<std::vector<double>, 2> spread;
  std::array<std::vector<float>, 2> background;
  std::array<std::vector<std::int8_t>, 2> small;
  std::array<std::string, 2> failures;
  const auto must = [&](std::size_t who, const auto& result) {
    if (!result) failures[who] += result.error().sentence + "; ";
    return static_cast<bool>(result);
  };
  in_two_threads([&](std::size_t who) {
    auto& comm = comms[who];
    const auto rank = static_cast<std::int32_t>(comm.info()->rank);
    gathered[who].resize(6);
    share[who].resize(3);
    must(who, comm.all_gather(std::vector<std::int32_t>(3, rank + 1), gathered[who]));
    must(who, comm.reduce_scatter(gathered[who], share[who], {.op = hawserMax}));
    spread[who].assign(100, rank == 1 ? 0.5 : 0);
    must(who, comm.broadcast(spread[who], 1));
    must(who, comm.barrier());
    auto residual = hawser::Residual::create(2000, hawserFloat32);
    must(who, residual);
    background[who].assign(2000, static_cast<float>(rank + 1));
    auto operation = comm.all_reduce_async(
        background[who], {.quantization = {hawserQuantizeBlockwise, hawserToInt8, 64, 0}, .residual = &*residual});
    if (must(who, operation)) {
      const auto reduced = operation->wait();
      if (must(who, reduced) && (reduced->world_size != 2 || reduced->plan_reason.empty()))
        failures[who] += "the info is wrong; ";
      if (!operation->test()) failures[who] += "it has not ended; ";
    }
    small[who].assign(5, static_cast<std::int8_t>(rank + 1));
    std::vector<float> other(7, 2);
    const std::array list{hawser::tensor(small[who]), hawser::tensor(other)};
    const auto many = comm.all_reduce_many(list);
    if (must(who, many) && (many->tensors != 2 || other[6] != 4)) failures[who] += "the list is wrong; ";
    if (comm.all_gather(share[who], share[who]).code() != hawserErrorInvalidArgument)
      failures[who] += "a receive span that is too short is taken; ";
  });
  for (std::size_t who = 0; who < 2; ++who) {
    CHECK(failures[who].empty());
    CHECK((gathered[who] == std::vector<std::int32_t>{1, 1, 1, 2, 2, 2}));
    CHECK((share[who] == std::vector<std::int32_t>(3, static_cast<std::int32_t>(comms[who].info()->rank) + 1)));
    CHECK((spread[who] == std::vector<double>(100, 0.5)));
    CHECK((background[who] == std::vector<float>(2000, 3)));
    CHECK((small[who] == std::vector<std::int8_t>(5, 3)));
  }
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
