/// Runs with keys, through the installed C and C++ faces.
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <hawser/hawser.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "scratch_folder.hpp"

namespace {

/// The secret of a run, and keys that it issues.
class RunKeys {
 public:
  RunKeys() : secret_(folder_ / "run.secret") { REQUIRE(hawser::create_secret(secret_)); }
  const std::string& secret() const { return secret_; }
  std::string path(const std::string& name) const { return folder_ / name; }
  std::string issue(const std::string& name, hawserRole_t role) const {
    const std::string file = path(name + ".key");
    REQUIRE(hawser::issue_key({.file = file, .secret_file = secret_, .name = name, .role = role}));
    return file;
  }

 private:
  hawser::test::ScratchFolder folder_;
  std::string secret_;
};

hawser::Master keyed_master(const RunKeys& keys) {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200, .secret_file = keys.secret()});
  REQUIRE(master);
  REQUIRE(master->start());
  return std::move(*master);
}

hawser::Communicator keyed_peer(const hawser::Master& master, const std::string& key, bool tls_same_host = false) {
  auto comm = hawser::Communicator::create({.master = master.address(),
                                            .connect_ms = 20'000,
                                            .min_peers = 2,
                                            .secret_file = key,
                                            .tls_same_host = tls_same_host});
  REQUIRE(comm);
  return std::move(*comm);
}

/// Sums of two members that joined with these keys.
std::array<std::vector<float>, 2> sums_of(const hawser::Master& master, const std::array<std::string, 2>& keys,
                                          bool tls_same_host) {
  std::array<hawser::Communicator, 2> comms{keyed_peer(master, keys[0], tls_same_host),
                                            keyed_peer(master, keys[1], tls_same_host)};
  std::array<std::vector<float>, 2> values{std::vector<float>(70'000, 1.5F), std::vector<float>(70'000, 2.5F)};
  std::array<std::string, 2> failures;
  const auto body = [&](std::size_t who) {
    if (const auto joined = comms[who].connect(); !joined) {
      failures[who] = joined.error().sentence;
    } else if (const auto reduced = comms[who].all_reduce(values[who]); !reduced) {
      failures[who] = reduced.error().sentence;
    }
  };
  std::thread other([&] { body(1); });
  body(0);
  other.join();
  for (const std::string& failure : failures) CHECK(failure == "");
  return values;
}

}  // namespace

TEST_CASE("a secret and an issued key say what they are") {
  const RunKeys keys;
  const auto secret = hawser::key_info(keys.secret());
  REQUIRE(secret);
  CHECK(secret->is_secret);
  CHECK(secret->role == hawserRoleOperator);
  CHECK(secret->key.empty());
  CHECK_FALSE(secret->expires);
  const std::string file = keys.path("ada.key");
  REQUIRE(hawser::issue_key({.file = file,
                             .secret_file = keys.secret(),
                             .name = "ada",
                             .role = hawserRoleReader,
                             .days = 2,
                             .groups = {0, 7}}));
  const auto issued = hawser::key_info(file);
  REQUIRE(issued);
  CHECK(issued->run == secret->run);
  CHECK(issued->run.size() == HAWSER_RUN_NAME_BYTES - 1);
  CHECK(issued->key.size() == HAWSER_KEY_BYTES - 1);
  CHECK(issued->name == "ada");
  CHECK(std::string(hawserGetRoleName(issued->role)) == "reader");
  CHECK_FALSE(issued->is_secret);
  CHECK((issued->groups == std::vector<std::uint32_t>{0, 7}));
  const auto left = *issued->expires - std::chrono::system_clock::now();
  CHECK(left > std::chrono::hours(47));
  CHECK(left < std::chrono::hours(49));
  CHECK(std::string(hawserGetRoleName(static_cast<hawserRole_t>(5))) == "unknown");
}

TEST_CASE("orders for keys that cannot be are refused, and no file is made") {
  const RunKeys keys;
  const std::string file = keys.path("new.key");
  const auto refuses = [&](hawser::KeyOptions options) {
    options.file = file;
    return hawser::issue_key(options).code() == hawserErrorInvalidArgument;
  };
  CHECK(refuses({.secret_file = keys.secret()}));
  CHECK(refuses({.name = "ada"}));
  CHECK(refuses({.secret_file = keys.secret(), .name = "ada", .days = 3651}));
  CHECK(refuses({.secret_file = keys.secret(), .name = "ada", .groups = {2, 1}}));
  CHECK(refuses({.secret_file = keys.secret(), .name = std::string(64, 'x')}));
  CHECK(refuses({.secret_file = keys.issue("bob", hawserRoleOperator), .name = "ada"}));
  hawserKeyOptions_t unknown_role = HAWSER_KEY_OPTIONS_INIT;
  const std::string secret = keys.secret();
  unknown_role.file = file.c_str();
  unknown_role.secret_file = secret.c_str();
  unknown_role.name = "ada";
  unknown_role.role = static_cast<hawserRole_t>(5);
  CHECK(hawserKeyIssue(&unknown_role) == hawserErrorInvalidArgument);
  CHECK(hawserKeyIssue(nullptr) == hawserErrorInvalidArgument);
  CHECK(hawser::key_info(file).code() == hawserErrorSystem);
  CHECK(hawser::create_secret(keys.secret()).code() == hawserErrorInvalidArgument);
}

TEST_CASE("members with the run's secret and with issued keys reduce, in plain on one machine or under TLS") {
  const RunKeys keys;
  const auto master = keyed_master(keys);
  const std::array<std::string, 2> files{keys.secret(), keys.issue("ada", hawserRoleMember)};
  for (const bool tls_same_host : {false, true})
    for (const std::vector<float>& sum : sums_of(master, files, tls_same_host))
      CHECK((sum == std::vector<float>(70'000, 4.0F)));
}

TEST_CASE("whoever has no key of the run, or one of another role, cannot join") {
  const RunKeys keys;
  const RunKeys others;
  const auto master = keyed_master(keys);
  const auto check = [&](const std::string& key, hawserResult_t code, const char* part) {
    const auto joined = keyed_peer(master, key).connect();
    REQUIRE(joined.code() == code);
    INFO(joined.error().sentence);
    CHECK(joined.error().sentence.find(part) != std::string::npos);
  };
  check(others.secret(), hawserErrorMasterUnreachable, "another run");
  check("", hawserErrorMasterUnreachable, "secret_file");
  check(keys.issue("eve", hawserRoleObserver), hawserErrorRefused, "observer");
}

TEST_CASE("a key file that others may read is refused, and the sentence says how to mend it") {
  const RunKeys keys;
  REQUIRE(::chmod(keys.secret().c_str(), 0644) == 0);
  const auto comm = hawser::Communicator::create({.master = "127.0.0.1:1", .secret_file = keys.secret()});
  CHECK(comm.code() == hawserErrorInvalidArgument);
  CHECK(comm.error().sentence.find("chmod 600") != std::string::npos);
  CHECK(hawser::Master::create({.listen = "127.0.0.1:0", .secret_file = keys.secret()}).code() ==
        hawserErrorInvalidArgument);
}

TEST_CASE("without a key only insecure reaches other machines") {
  CHECK(hawser::Master::create({.listen = "0.0.0.0:0"}).code() == hawserErrorInvalidArgument);
  CHECK(hawser::Master::create({.listen = "0.0.0.0:0", .insecure = true}));
  CHECK(hawser::Communicator::create({.master = "127.0.0.1:1", .listen_address = "0.0.0.0"}).code() ==
        hawserErrorInvalidArgument);
  CHECK(hawser::Communicator::create({.master = "127.0.0.1:1", .listen_address = "0.0.0.0", .insecure = true}));
}

TEST_CASE("an observer reads the status, an operator bans a key, and the rules are kept in a file") {
  const RunKeys keys;
  const std::string rules = keys.path("rules");
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .secret_file = keys.secret(), .rules_file = rules});
  REQUIRE(master);
  REQUIRE(master->start());
  const hawser::QueryOptions observer{.timeout_ms = 20'000, .secret_file = keys.issue("eve", hawserRoleObserver)};
  const hawser::QueryOptions owner{.timeout_ms = 20'000, .secret_file = keys.secret()};
  const auto status = hawser::RunStatus::query(master->address(), observer);
  REQUIRE(status);
  CHECK(status->info().has_keys == 1);
  CHECK(hawser::RunStatus::query(master->address(), {.timeout_ms = 20'000}).code() == hawserErrorRefused);
  CHECK(hawser::operate(master->address(), hawserOperatorDrain, {}, observer).code() == hawserErrorRefused);
  const auto key = hawser::key_info(keys.issue("ada", hawserRoleMember));
  REQUIRE(key);
  const auto banned = hawser::operate(master->address(), hawserOperatorBan, key->key, owner);
  REQUIRE(banned);
  CHECK_FALSE(banned->empty());
  const auto joined = keyed_peer(*master, keys.path("ada.key")).connect();
  CHECK(joined.code() == hawserErrorRefused);
  std::ifstream file(rules);
  const std::string written{std::istreambuf_iterator<char>(file), {}};
  CHECK(written.find("deny key " + key->key) != std::string::npos);
}

TEST_CASE("who gives an order learns if it ends with the master, and rules that cannot be read start no master") {
  const RunKeys keys;
  auto master = keyed_master(keys);
  const hawser::QueryOptions owner{.timeout_ms = 20'000, .secret_file = keys.secret()};
  const auto drained = hawser::operate(master.address(), hawserOperatorDrain, {}, owner);
  REQUIRE(drained);
  CHECK(drained->find("it ends with this master, which has no rules_file") != std::string::npos);
  // A folder can be opened, and not be read.
  const std::string folder = std::filesystem::path(keys.secret()).parent_path().string();
  const auto unread =
      hawser::Master::create({.listen = "127.0.0.1:0", .secret_file = keys.secret(), .rules_file = folder});
  CHECK(unread.code() == hawserErrorSystem);
}
