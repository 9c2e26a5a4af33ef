/// What members agree on before they are admitted, and calls that wait for others to come and go.
#include <array>
#include <future>
#include <hawser/hawser.hpp>

#include "catch.hpp"

namespace {

hawser::Master start_master(std::uint32_t bootstrap_ms = 200) {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = bootstrap_ms});
  REQUIRE(master);
  REQUIRE(master->start());
  return std::move(*master);
}

hawser::Communicator make_peer(const hawser::Master& master, const std::string& name, std::uint32_t min_peers = 0) {
  auto comm = hawser::Communicator::create(
      {.master = master.address(), .name = name, .connect_ms = 20000, .min_peers = min_peers});
  REQUIRE(comm);
  return std::move(*comm);
}

bool says(const hawser::Failure& failure, const std::string& what) {
  return failure.sentence.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("terms are checked before anybody hears of them") {
  const auto master = start_master();
  auto comm = make_peer(master, "one");
  CHECK(comm.set_term("", "1").code() == hawserErrorInvalidArgument);
  CHECK(comm.set_term(std::string(64, 'n'), "1").code() == hawserErrorInvalidArgument);
  CHECK(comm.set_term("rate\n", "1").code() == hawserErrorInvalidArgument);
  CHECK(comm.set_term("rate", std::string(128, '1')).code() == hawserErrorInvalidArgument);
  CHECK(comm.set_term("rate", "\xff").code() == hawserErrorInvalidArgument);
  for (int i = 0; i < 32; ++i) REQUIRE(comm.set_term("term " + std::to_string(i), "1"));
  CHECK(comm.set_term("one more", "1").code() == hawserErrorInvalidArgument);
  // Another value of a known one needs no place, and one that is taken back frees its own.
  CHECK(comm.set_term("term 3", "2"));
  auto* const handle = comm.handle();
  CHECK(hawserCommSetTerm(handle, "term 3", nullptr) == hawserSuccess);
  CHECK(comm.set_term("one more", "1"));
  CHECK(hawserCommSetTerm(handle, nullptr, "1") == hawserErrorInvalidArgument);
  REQUIRE(comm.connect());
  CHECK(comm.set_term("late", "1").code() == hawserErrorInvalidUsage);
}

TEST_CASE("a newcomer whose terms differ is refused with both values, and the member goes on") {
  const auto master = start_master();
  auto member = make_peer(master, "member");
  REQUIRE(member.set_term("sync_every", "500"));
  REQUIRE(member.connect());
  auto newcomer = make_peer(master, "newcomer");
  REQUIRE(newcomer.set_term("sync_every", "250"));
  const auto refused = newcomer.connect();
  CHECK(refused.code() == hawserErrorRefused);
  INFO(refused.error().sentence);
  CHECK(says(refused.error(), "sync_every"));
  CHECK(says(refused.error(), "500"));
  CHECK(says(refused.error(), "250"));
  CHECK_FALSE(*member.are_peers_pending());
  REQUIRE(member.update_topology());
  CHECK(member.info()->world_size == 1);
}

TEST_CASE("a group begins with as many as most of its members wish") {
  const auto master = start_master(1);
  std::array<hawser::Communicator, 3> comms{make_peer(master, "a", 3), make_peer(master, "b", 3),
                                            make_peer(master, "c", 3)};
  std::vector<std::future<hawser::Result<void>>> connected;
  for (auto& comm : comms) connected.push_back(std::async(std::launch::async, [&comm] { return comm.connect(); }));
  for (auto& each : connected) REQUIRE(each.get());
  for (auto& comm : comms) CHECK(comm.info()->group_size == 3);
}

TEST_CASE("arguments of a wait") {
  const auto master = start_master();
  auto comm = make_peer(master, "one");
  CHECK(comm.wait({.joiner = true}).code() == hawserErrorInvalidUsage);
  REQUIRE(comm.connect());
  CHECK(comm.wait({}).code() == hawserErrorInvalidArgument);
  CHECK(hawserCommWait(comm.handle(), nullptr, nullptr) == hawserErrorInvalidArgument);
  hawserWaitOptions_t options = HAWSER_WAIT_OPTIONS_INIT;
  options.size = 1;
  options.joiner = 1;
  CHECK(hawserCommWait(comm.handle(), &options, nullptr) == hawserErrorInvalidArgument);
  options = HAWSER_WAIT_OPTIONS_INIT;
  options.group_size = 1;
  CHECK(hawserCommWait(comm.handle(), &options, nullptr) == hawserSuccess);
}

TEST_CASE("a wait ends at its bound, and tells what did not come") {
  const auto master = start_master();
  auto comm = make_peer(master, "one");
  REQUIRE(comm.connect());
  const auto late = comm.wait({.joiner = true, .group_size = 2, .epoch = comm.info()->epoch, .timeout_ms = 20});
  CHECK(late.code() == hawserErrorTimeout);
  INFO(late.error().sentence);
  CHECK(says(late.error(), "nobody wanted to join"));
  CHECK(says(late.error(), "the group did not have 2 members"));
}

TEST_CASE(
    "a member waits until somebody wants in, a newcomer until the group has its size, and one until another left") {
  const auto master = start_master();
  auto member = make_peer(master, "member");
  REQUIRE(member.connect());
  const auto alone = member.info()->epoch;
  CHECK(*member.wait({.group_size = 1, .epoch = alone + 1}) == (HAWSER_MET_GROUP_SIZE | HAWSER_MET_EPOCH));
  auto newcomer = make_peer(master, "newcomer");
  auto both = std::async(std::launch::async, [&] {
    const auto connected = newcomer.connect();
    return connected ? newcomer.wait({.group_size = 2}) : hawser::Result<std::uint32_t>(connected.error());
  });
  const auto wanted = member.wait({.joiner = true});
  REQUIRE(wanted);
  CHECK(*wanted == HAWSER_MET_JOINER);
  REQUIRE(member.update_topology());
  const auto complete = both.get();
  REQUIRE(complete);
  CHECK(*complete == HAWSER_MET_GROUP_SIZE);
  const auto together = member.info()->epoch;
  CHECK(together > alone);
  auto left = std::async(std::launch::async, [&] { return member.wait({.epoch = together}); });
  CHECK(hawserCommClose(newcomer.handle()) == hawserSuccess);
  const auto noticed = left.get();
  REQUIRE(noticed);
  CHECK(*noticed == HAWSER_MET_EPOCH);
  CHECK(member.info()->group_size == 1);
}

TEST_CASE("closing ends a wait") {
  const auto master = start_master();
  auto comm = make_peer(master, "one");
  REQUIRE(comm.connect());
  auto waiting =
      std::async(std::launch::async, [&] { return comm.wait({.joiner = true, .timeout_ms = UINT32_MAX}); });
  CHECK(waiting.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  CHECK(hawserCommClose(comm.handle()) == hawserSuccess);
  CHECK(waiting.get().code() == hawserErrorClosed);
}

TEST_CASE("an address that nobody can dial is no advertised one") {
  for (const char* address : {"0.0.0.0", "::", "0.0.0.0:0"}) {
    CAPTURE(address);
    const auto comm = hawser::Communicator::create({.master = "127.0.0.1:1", .advertise_address = address});
    CHECK(comm.code() == hawserErrorInvalidArgument);
    CHECK(says(comm.error(), address));
  }
}
