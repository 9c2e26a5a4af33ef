/// Optimize-topology and measured links through the C and the C++ face. All peers are on one host here, where links are
/// not probed.
#include <hawser_status.h>

#include <hawser/hawser.hpp>
#include <memory>
#include <string>
#include <thread>

#include "catch.hpp"

using hawser::Communicator;
using hawser::Master;

namespace {

void join(Communicator& comm) {
  auto joined = comm.connect();
  while (joined && comm.info()->group_size < 2) joined = comm.update_topology();
  REQUIRE(joined);
}

/// Two members.
struct Pair {
  Pair() {
    REQUIRE(master.start());
    std::thread other([&] { join(b); });
    join(a);
    other.join();
    REQUIRE(a.info()->group_size == 2);
  }
  Communicator make() const {
    auto comm = Communicator::create({.master = master.address(), .connect_ms = 20'000});
    REQUIRE(comm);
    return std::move(*comm);
  }

  Master master = std::move(*Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200}));
  Communicator a = make();
  Communicator b = make();
};

}  // namespace

TEST_CASE("members of one host have no links to probe") {
  Pair pair;
  std::uint32_t progressed = 0;
  const hawser::OptimizeOptions options{.all_pairs = true,
                                        .age_ms_max = 5,
                                        .probe_ms_max = 100,
                                        .total_ms_max = 1000,
                                        .probe_bytes_max = 1 << 20,
                                        .progress = [&](std::uint64_t, std::uint64_t) { ++progressed; }};
  std::thread other([&] { CHECK(pair.b.optimize_topology({.probe_bytes_max = 1 << 20})); });
  const auto ended = pair.a.optimize_topology(options);
  other.join();
  REQUIRE(ended);
  CHECK(ended->world_size == 2);
  CHECK(ended->rank == pair.a.info()->rank);
  CHECK(ended->epoch == pair.a.info()->epoch);
  CHECK(ended->total_us > 0);
  CHECK(ended->pairs + ended->measured + ended->lower_bounds + ended->silent + ended->bytes_sent == 0);
  CHECK(progressed == 0);
}

TEST_CASE("absurd options are refused before anybody hears of them") {
  Pair pair;
  const auto call = [&](const hawserOptimizeOptions_t& options) {
    return hawserCommOptimizeTopology(pair.a.handle(), &options, nullptr);
  };
  hawserOptimizeOptions_t options = HAWSER_OPTIMIZE_OPTIONS_INIT;
  SECTION("a flag") { options.all_pairs = 2; }
  SECTION("too few bytes") { options.probe_bytes_max = 1; }
  SECTION("too many bytes") { options.probe_bytes_max = std::uint64_t{1} << 40; }
  SECTION("too long") { options.probe_ms_max = 10'001; }
  SECTION("a size that is none") { options.size = 1; }
  CHECK(call(options) == hawserErrorInvalidArgument);
  CHECK(hawserCommOptimizeTopology(nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);
}

TEST_CASE("what is not measured is told as unknown") {
  Pair pair;
  hawserStatus_t handle = nullptr;
  REQUIRE(hawserStatusQueryWithMatrix(pair.master.address().c_str(), 0, &handle) == hawserSuccess);
  const std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)> owner(handle, hawserStatusDestroy);
  hawserStatusGroup_t group = HAWSER_STATUS_GROUP_INIT;
  REQUIRE(hawserStatusGetGroup(handle, 0, &group) == hawserSuccess);
  CHECK(group.measures == 0);
  CHECK(group.has_matrix == 0);
  hawserMeasuredLink_t link = HAWSER_MEASURED_LINK_INIT;
  link.bytes_per_second = 77;
  REQUIRE(hawserStatusGetMeasuredLink(handle, 0, 0, 1, &link) == hawserSuccess);
  CHECK(link.bytes_per_second + link.delay_ns + link.probed + link.lower_bound == 0);
  std::uint64_t up = 1;
  std::uint64_t down = 1;
  REQUIRE(hawserStatusGetMeasuredAccess(handle, 0, 1, &up, &down) == hawserSuccess);
  CHECK(up + down == 0);
  CHECK(hawserStatusGetMeasuredLink(handle, 0, 0, 2, &link) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetMeasuredLink(handle, 1, 0, 1, &link) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetMeasuredAccess(handle, 0, 2, &up, &down) == hawserErrorInvalidArgument);
  CHECK(hawserStatusGetMeasuredAccess(handle, 0, 0, nullptr, &down) == hawserErrorInvalidArgument);
}
