/// How a run stands, through the C face.
#include <hawser_status.h>

#include <array>
#include <chrono>
#include <hawser/hawser.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

namespace {

using Status = std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)>;

Status query(const std::string& master) {
  hawserStatus_t handle = nullptr;
  const hawserResult_t result = hawserStatusQuery(master.c_str(), 20'000, &handle);
  INFO(hawserGetLastError());
  REQUIRE(result == hawserSuccess);
  return {handle, hawserStatusDestroy};
}

hawserStatusInfo_t info_of(const Status& status) {
  hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
  REQUIRE(hawserStatusGetInfo(status.get(), &info) == hawserSuccess);
  return info;
}

/// A master with two members, and an all-reduce that only the member "caller" has called.
class HeldUpRun {
 public:
  HeldUpRun() : master_(std::move(*hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200}))) {
    REQUIRE(master_.start());
    std::thread other([&] { join(sleeper_); });
    join(caller_);
    other.join();
    REQUIRE(caller_.info()->group_size == 2);
    REQUIRE(sleeper_.info()->group_size == 2);
    waiting_ = std::thread([this] { (void)caller_.all_reduce(values_); });
  }
  ~HeldUpRun() {
    // Ends the call.
    (void)hawserCommClose(caller_.handle());
    waiting_.join();
  }
  std::string address() const { return master_.address(); }
  std::uint32_t sleepers_rank() const { return sleeper_.info()->rank; }
  /// A master that is asked very often refuses now and then.
  Status status_in_flight() const {
    hawserStatus_t handle = nullptr;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      const hawserResult_t result = hawserStatusQuery(address().c_str(), 20'000, &handle);
      INFO(hawserGetLastError());
      REQUIRE((result == hawserSuccess || result == hawserErrorRefused));
      if (result == hawserErrorRefused) continue;
      Status status(handle, hawserStatusDestroy);
      if (info_of(status).collectives > 0) return status;
    }
    FAIL("the all-reduce does not show");
    return {nullptr, hawserStatusDestroy};
  }

 private:
  hawser::Communicator make(const std::string& name) const {
    auto comm = hawser::Communicator::create({.master = address(), .name = name, .connect_ms = 20'000});
    REQUIRE(comm);
    return std::move(*comm);
  }
  static void join(hawser::Communicator& comm) {
    auto joined = comm.connect();
    while (joined && comm.info()->world_size < 2) joined = comm.update_topology();
  }

  hawser::Master master_;
  hawser::Communicator caller_ = make("caller");
  hawser::Communicator sleeper_ = make("sleeper");
  std::vector<float> values_ = std::vector<float>(100, 1.0F);
  std::thread waiting_;
};

}  // namespace

TEST_CASE("members, and who holds up a collective, are told") {
  const HeldUpRun run;
  const Status status = run.status_in_flight();
  const hawserStatusInfo_t info = info_of(status);
  CHECK(std::string(info.version) == hawserGetVersion());
  CHECK(info.world_size == 2);
  CHECK(info.groups == 1);
  CHECK(info.peers == 2);
  CHECK(info.collectives == 1);
  CHECK(info.in_update == 0);
  CHECK(info.peers_left_out == 0);

  hawserStatusGroup_t group = HAWSER_STATUS_GROUP_INIT;
  REQUIRE(hawserStatusGetGroup(status.get(), 0, &group) == hawserSuccess);
  CHECK(group.group == 0);
  CHECK(group.group_size == 2);
  CHECK(group.peers == 2);
  CHECK(group.first_peer == 0);
  std::array<std::string, 2> names;
  for (std::uint32_t i = 0; i < 2; ++i) {
    hawserStatusPeer_t peer = HAWSER_STATUS_PEER_INIT;
    REQUIRE(hawserStatusGetPeer(status.get(), i, &peer) == hawserSuccess);
    CHECK(peer.member == 1);
    CHECK(peer.rank == i);
    names[i] = peer.name;
  }
  const std::uint32_t sleeper = run.sleepers_rank();
  CHECK(names[sleeper] == "sleeper");
  CHECK(names[1 - sleeper] == "caller");

  hawserStatusCollective_t reduce = HAWSER_STATUS_COLLECTIVE_INIT;
  REQUIRE(hawserStatusGetCollective(status.get(), 0, &reduce) == hawserSuccess);
  CHECK(std::string(reduce.what) == "all-reduce of 100 float32, sum");
  CHECK(reduce.called == 1);
  CHECK(reduce.reported == 0);
  CHECK(reduce.alike == 1);
  std::uint32_t part = 0;
  REQUIRE(hawserStatusGetPart(status.get(), 0, sleeper, &part) == hawserSuccess);
  CHECK(part == HAWSER_STATUS_WAITED_FOR);
  REQUIRE(hawserStatusGetPart(status.get(), 0, 1 - sleeper, &part) == hawserSuccess);
  CHECK(part == HAWSER_STATUS_CALLED);
}

TEST_CASE("wrong arguments of a status are refused") {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0"});
  REQUIRE(master);
  REQUIRE(master->start());
  const Status status = query(master->address());
  hawserStatus_t handle = nullptr;
  CHECK(hawserStatusQuery(nullptr, 0, &handle) == hawserErrorInvalidArgument);
  CHECK(hawserStatusQuery("127.0.0.1:1", 0, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserStatusQuery("no port", 0, &handle) == hawserErrorInvalidArgument);
  hawserStatusTotals_t totals = HAWSER_STATUS_TOTALS_INIT;
  REQUIRE(hawserStatusGetTotals(status.get(), &totals) == hawserSuccess);
  CHECK(totals.joined == 0);
  CHECK(hawserStatusGetTotals(status.get(), nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetTotals(nullptr, &totals) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetInfo(status.get(), nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetInfo(nullptr, nullptr) == hawserErrorInvalidArgument);
  hawserStatusInfo_t unset{};
  CHECK(hawserStatusGetInfo(status.get(), &unset) == hawserErrorInvalidArgument);
  hawserStatusGroup_t group = HAWSER_STATUS_GROUP_INIT;
  hawserStatusPeer_t peer = HAWSER_STATUS_PEER_INIT;
  hawserStatusCollective_t collective = HAWSER_STATUS_COLLECTIVE_INIT;
  std::uint32_t part = 0;
  CHECK(hawserStatusGetGroup(status.get(), 0, &group) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetPeer(status.get(), 0, &peer) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetCollective(status.get(), 0, &collective) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetPart(status.get(), 0, 0, &part) == hawserErrorInvalidArgument);
  CHECK(hawserStatusDestroy(nullptr) == hawserSuccess);
  CHECK(std::string(hawserGetAwaitsName(hawserAwaitsUpdate)) == "waits for update-topology");
}

TEST_CASE("a master that is not there is told, and the place for the status is left alone") {
  std::string address;
  {
    auto master = hawser::Master::create({.listen = "127.0.0.1:0"});
    REQUIRE(master);
    address = master->address();
  }
  hawserStatus_t handle = nullptr;
  CHECK(hawserStatusQuery(address.c_str(), 20'000, &handle) == hawserErrorMasterUnreachable);
  CHECK(std::string(hawserGetLastError()).find(address) != std::string::npos);
  CHECK(handle == nullptr);
}
