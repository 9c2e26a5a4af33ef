/// Every argument of the C face that can be wrong, structs of other versions, errors per thread, the log.
#include <hawser.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

namespace {

hawserCommConfig_t good_config() {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  config.master = "127.0.0.1:1";
  return config;
}

hawserResult_t create(const hawserCommConfig_t& config) {
  hawserComm_t comm = nullptr;
  const hawserResult_t result = hawserCommCreate(&config, &comm);
  if (result == hawserSuccess) (void)hawserCommDestroy(comm);
  return result;
}

}  // namespace

TEST_CASE("results have names") {
  CHECK(std::string(hawserGetResultName(hawserSuccess)) == "success");
  CHECK(std::string(hawserGetResultName(hawserErrorInternal)) == "internal error");
  CHECK(std::string(hawserGetVersion()) == "0.1.0");
}

TEST_CASE("null handles and outputs are refused, null is destroyed") {
  hawserComm_t comm = nullptr;
  const hawserCommConfig_t config = good_config();
  CHECK(hawserCommCreate(nullptr, &comm) == hawserErrorInvalidArgument);
  CHECK(hawserCommCreate(&config, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCommConnect(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCommUpdateTopology(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCommGetInfo(nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCommGetMembers(nullptr, nullptr, 0, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCommArePeersPending(nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserAllReduce(nullptr, nullptr, nullptr, 0, hawserFloat32, nullptr, nullptr) ==
        hawserErrorInvalidArgument);
  CHECK(hawserMasterCreate(nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserMasterRun(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserMasterStart(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserMasterStop(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserMasterGetAddress(nullptr, nullptr, 0) == hawserErrorInvalidArgument);
  CHECK(hawserCommDestroy(nullptr) == hawserSuccess);
  CHECK(hawserMasterDestroy(nullptr) == hawserSuccess);
}

TEST_CASE("configs are checked") {
  hawserCommConfig_t config = good_config();
  CHECK(create(config) == hawserSuccess);
  SECTION("no master") { config.master = nullptr; }
  SECTION("a master without a port") { config.master = "127.0.0.1"; }
  SECTION("a master with port 0") { config.master = "127.0.0.1:0"; }
  SECTION("a long name") { config.name = "0123456789012345678901234567890123456789012345678901234567890123"; }
  SECTION("a name with a newline") { config.name = "a\nb"; }
  SECTION("a name that is no UTF-8") { config.name = "\xff\xfe"; }
  SECTION("an address with the port 0 to advertise") { config.advertise_address = "1.2.3.4:0"; }
  SECTION("an address with a port that there is not") { config.advertise_address = "[2001:db8::1]:65536"; }
  SECTION("a port without an address to advertise") { config.advertise_address = ":5"; }
  SECTION("an address with a port to listen on") { config.listen_address = "1.2.3.4:5"; }
  SECTION("an empty address to listen on") { config.listen_address = ""; }
  SECTION("an empty port range") {
    config.port_first = 2;
    config.port_last = 1;
  }
  SECTION("too many connections") { config.connections_per_link = 65; }
  SECTION("a congestion control that is not there") { config.congestion_control = "no_such"; }
  SECTION("more threads than there may be") { config.io_threads = 65; }
  SECTION("a socket buffer of more than 1 GiB") { config.send_buffer_bytes = (1U << 30) + 1; }
  SECTION("no size") { config.size = 0; }
  CHECK(create(config) == hawserErrorInvalidArgument);
  CHECK(std::strlen(hawserGetLastError()) > 10);
}

TEST_CASE("an address to advertise may have a port") {
  hawserCommConfig_t config = good_config();
  for (const char* const address : {"1.2.3.4", "1.2.3.4:5", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5",
                                    "example.org", "example.org:5"}) {
    INFO(address);
    config.advertise_address = address;
    CHECK(create(config) == hawserSuccess);
  }
}

TEST_CASE("one port is a range, too") {
  hawserMasterConfig_t master_config = HAWSER_MASTER_CONFIG_INIT;
  master_config.listen = "127.0.0.1:0";
  hawserMaster_t master = nullptr;
  REQUIRE(hawserMasterCreate(&master_config, &master) == hawserSuccess);
  char address[HAWSER_ADDRESS_BYTES] = "";
  REQUIRE(hawserMasterGetAddress(master, address, sizeof address) == hawserSuccess);
  // The master has it: so it is this port that is asked for, and no other.
  hawserCommConfig_t config = good_config();
  config.listen_address = "127.0.0.1";
  config.port_first =
      static_cast<std::uint16_t>(std::stoul(std::string(address).substr(std::string(address).rfind(':') + 1)));
  CHECK(create(config) == hawserErrorSystem);
  CHECK(hawserMasterDestroy(master) == hawserSuccess);
}

TEST_CASE("a master's configs are checked") {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = "127.0.0.1:0";
  hawserResult_t expected = hawserErrorInvalidArgument;
  SECTION("an address without a port") { config.listen = "127.0.0.1"; }
  SECTION("all interfaces") {
    config.listen = ":0";
    expected = hawserSuccess;
  }
  SECTION("a straggler policy that is not there") { config.straggler_policy = 7; }
  SECTION("a straggler ratio above 1") { config.straggler_ratio = 1.5; }
  SECTION("a straggler ratio that is no number") { config.straggler_ratio = std::nan(""); }
  SECTION("good ones") {
    config.straggler_policy = hawserStragglerExpel;
    config.straggler_ms = 3000;
    config.straggler_ratio = 0.1;
    expected = hawserSuccess;
  }
  hawserMaster_t master = nullptr;
  CHECK(hawserMasterCreate(&config, &master) == expected);
  CHECK(hawserMasterDestroy(master) == hawserSuccess);
}

TEST_CASE("good configs of unusual kinds") {
  hawserCommConfig_t config = good_config();
  SECTION("a name of 63 bytes") {
    config.name = "012345678901234567890123456789012345678901234567890123456789012";
  }
  SECTION("a name in another script") { config.name = "Ankertau \xc3\xa9 \xe7\xb9\xa9"; }
  SECTION("an address in brackets") { config.advertise_address = "[::1]"; }
  SECTION("a scoped address") { config.advertise_address = "fe80::1%eth0"; }
  CHECK(create(config) == hawserSuccess);
}

TEST_CASE("structs of older and newer callers") {
  // Older: it knew `size` and `master` only; what lies behind is not read.
  struct Older {
    std::size_t size;
    const char* master;
    unsigned char garbage[200];
  } older{offsetof(hawserCommConfig_t, name), "127.0.0.1:1", {}};
  std::memset(older.garbage, 0xff, sizeof older.garbage);
  CHECK(create(reinterpret_cast<const hawserCommConfig_t&>(older)) == hawserSuccess);

  struct Newer {
    hawserCommConfig_t known;
    std::uint64_t unknown;
  } newer{good_config(), 0};
  newer.known.size = sizeof newer;
  CHECK(create(newer.known) == hawserSuccess);
  newer.unknown = 1;
  CHECK(create(newer.known) == hawserErrorInvalidArgument);
}

TEST_CASE("the last error is kept per thread") {
  CHECK(hawserCommConnect(nullptr) == hawserErrorInvalidArgument);
  const std::string mine = hawserGetLastError();
  CHECK_FALSE(mine.empty());
  std::string before;
  std::string after;
  std::thread other([&] {
    before = hawserGetLastError();
    (void)hawserMasterRun(nullptr);
    after = hawserGetLastError();
  });
  other.join();
  CHECK(before.empty());
  CHECK(after.find("master") != std::string::npos);
  CHECK(mine == hawserGetLastError());
}

TEST_CASE("the master's address is given with its real port") {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = "127.0.0.1:0";
  hawserMaster_t master = nullptr;
  REQUIRE(hawserMasterCreate(&config, &master) == hawserSuccess);
  std::array<char, HAWSER_ADDRESS_BYTES> address{};
  REQUIRE(hawserMasterGetAddress(master, address.data(), address.size()) == hawserSuccess);
  CHECK(std::string(address.data()).rfind("127.0.0.1:", 0) == 0);
  CHECK(std::string(address.data()) != "127.0.0.1:0");
  CHECK(hawserMasterGetAddress(master, address.data(), 5) == hawserErrorInvalidArgument);
  // Run in this thread, stopped from another.
  std::thread stopper([&] { CHECK(hawserMasterStop(master) == hawserSuccess); });
  const hawserResult_t run = hawserMasterRun(master);
  stopper.join();
  // Stopped before it began, it may say so.
  CHECK((run == hawserSuccess || run == hawserErrorInvalidUsage));
  CHECK(hawserMasterDestroy(master) == hawserSuccess);
}

TEST_CASE("log lines go to the callback at and above the level") {
  struct Lines {
    std::vector<std::pair<hawserLogLevel_t, std::string>> all;
  } lines;
  REQUIRE(hawserSetLogCallback(
              [](void* user, hawserLogLevel_t level, const char* message) {
                static_cast<Lines*>(user)->all.emplace_back(level, message);
              },
              &lines) == hawserSuccess);
  const auto run_and_stop = [] {
    hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
    config.listen = "127.0.0.1:0";
    config.bootstrap_ms = 50;
    hawserMaster_t master = nullptr;
    REQUIRE(hawserMasterCreate(&config, &master) == hawserSuccess);
    REQUIRE(hawserMasterStart(master) == hawserSuccess);
    std::array<char, HAWSER_ADDRESS_BYTES> address{};
    REQUIRE(hawserMasterGetAddress(master, address.data(), address.size()) == hawserSuccess);
    hawserCommConfig_t comm_config = HAWSER_COMM_CONFIG_INIT;
    comm_config.master = address.data();
    hawserComm_t comm = nullptr;
    REQUIRE(hawserCommCreate(&comm_config, &comm) == hawserSuccess);
    REQUIRE(hawserCommConnect(comm) == hawserSuccess);
    REQUIRE(hawserCommDestroy(comm) == hawserSuccess);
    REQUIRE(hawserMasterDestroy(master) == hawserSuccess);
  };
  // A normal life logs no warning and no error.
  run_and_stop();
  for (const auto& [level, line] : lines.all) {
    INFO(line);
    CHECK(level == hawserLogNotice);
  }
  lines.all.clear();
  REQUIRE(hawserSetLogLevel(hawserLogDebug) == hawserSuccess);
  run_and_stop();
  CHECK_FALSE(lines.all.empty());
  REQUIRE(hawserSetLogCallback(nullptr, nullptr) == hawserSuccess);
  REQUIRE(hawserSetLogLevel(hawserLogNotice) == hawserSuccess);
  const std::size_t count = lines.all.size();
  run_and_stop();
  CHECK(lines.all.size() == count);
}
