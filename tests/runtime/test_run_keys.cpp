/// Whoever has no key of the run, or not the right one, gets no word in, and its members notice nothing.
#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <atomic>

#include "keyed_run.hpp"
#include "runtime/log.hpp"
#include "runtime/rules_file.hpp"
#include "runtime/status_query.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr std::int64_t kDaySeconds = 24 * 3600;
constexpr Duration kPatience = seconds(20);

/// A run with keys whose rules outlive its master.
struct KeyedRun {
  CommunicatorConfig with(const std::string& key_file, const std::string& name = "newcomer") const {
    CommunicatorConfig config = run.config();
    config.access.secret_file = key_file;
    config.engine.name = name;
    return config;
  }
  std::string command(OperatorVerb verb, const std::string& argument = {}) const {
    const auto done =
        operate(run.address(), kPatience, {.verb = verb, .argument = argument}, {.secret_file = files.secret()});
    if (!done.ok()) FAIL(done.error().sentence);
    return *done;
  }
  RunStatus status() const {
    const auto status = query_status(run.address(), kPatience, {}, {.secret_file = files.secret()});
    if (!status.ok()) FAIL(status.error().sentence);
    return status->status;
  }

  KeyFiles files{};
  TestRun run{{.secret_file = files.secret(), .rules_file = files.file("rules")}};
};

Epoch epoch_of(Communicator& peer) { return (*peer.info())->view.epoch; }

}  // namespace

TEST_CASE("a run with a secret reduces, and whoever has no right key is refused by name") {
  KeyedRun keyed;
  const Peers peers = keyed.run.assemble(3);
  reduce_all(peers);
  const Epoch epoch = epoch_of(*peers[0]);
  KeyFiles others;
  const auto fails = [&](const std::string& key_file, Status status, const std::string& part) {
    INFO(part);
    expect_refusal(*keyed.run.peer(keyed.with(key_file)), status, part);
    reduce_all(peers);
  };
  // Without trust it has not reached a master of its run.
  fails("", Status::master_unreachable, "secret_file");
  fails(others.secret(), Status::master_unreachable, "of another run");
  fails(others.issue({.name = "oslo"}), Status::master_unreachable, "of another run");
  const auto refused = [&](const std::string& key_file, const std::string& part) {
    fails(key_file, Status::refused, part);
  };
  refused(keyed.files.issue({.name = "screen", .role = Role::observer}), "observer's");
  refused(keyed.files.issue({.name = "copy", .role = Role::reader}), "reader's");
  refused(keyed.files.issue({.name = "guest", .role = Role::newcomer}), "newcomer's");
  refused(keyed.files.issue({.name = "tokyo", .groups = {1, 2}}), "not issued for group 0");
  CHECK(epoch_of(*peers[0]) == epoch);
  CHECK(keyed.status().world.size == 3);
}

TEST_CASE("a key whose time is over is refused where it is read") {
  KeyedRun keyed;
  const std::string file = keyed.files.issue({.name = "old", .days = 30}, trust::unix_time_now() - 60 * kDaySeconds);
  const auto peer = Communicator::create(keyed.with(file));
  REQUIRE_FALSE(peer.ok());
  INFO(peer.error().sentence);
  CHECK(peer.status() == Status::invalid_argument);
  CHECK(says(peer.error(), file.substr(file.rfind('/'))));
}

TEST_CASE("whoever asks for the status without a key of the run gets no word of it") {
  KeyedRun keyed;
  KeyFiles others;
  CHECK(query_status(keyed.run.address(), kPatience, {},
                     {.secret_file = keyed.files.issue({.name = "screen", .role = Role::observer})})
            .ok());
  CHECK_FALSE(query_status(keyed.run.address(), kPatience).ok());
  CHECK_FALSE(query_status(keyed.run.address(), kPatience, {}, {.secret_file = others.secret()}).ok());
  const auto reader =
      query_status(keyed.run.address(), kPatience, {},
                   {.secret_file = keyed.files.issue({.name = "copy", .role = Role::reader})});
  REQUIRE_FALSE(reader.ok());
  CHECK(reader.status() == Status::refused);
}

TEST_CASE("commands are an operator's alone") {
  KeyedRun keyed;
  const Peers peers = keyed.run.assemble(2);
  KeyFiles others;
  const OperatorCommand drain{.verb = OperatorVerb::drain};
  for (const Role role : {Role::member, Role::newcomer, Role::reader, Role::observer}) {
    const auto done = operate(keyed.run.address(), kPatience, drain,
                              {.secret_file = keyed.files.issue({.name = "nobody", .role = role})});
    REQUIRE_FALSE(done.ok());
    INFO(done.error().sentence);
    CHECK(says(done.error(), "commands need an operator's key"));
  }
  CHECK_FALSE(operate(keyed.run.address(), kPatience, drain, {.secret_file = others.secret()}).ok());
  CHECK_FALSE(operate(keyed.run.address(), kPatience, drain, {}).ok());
  CHECK_FALSE(keyed.status().world.size == 0);
  const std::string operators = keyed.files.issue({.name = "boss", .role = Role::run_operator});
  CHECK(operate(keyed.run.address(), kPatience, drain, {.secret_file = operators}).ok());
  expect_refusal(*keyed.run.peer(keyed.with(keyed.files.secret())), Status::refused, "drains this run");
  keyed.command(OperatorVerb::end_drain);
  reduce_all(peers);
}

TEST_CASE("a banned key is out when the command is answered, and stays out when the master is restarted") {
  KeyedRun keyed;
  const std::string oslo = keyed.files.issue({.name = "oslo"});
  Peers peers = keyed.run.assemble(3, [&](std::size_t who, CommunicatorConfig& config) {
    if (who == 2) config.access.secret_file = oslo;
  });
  reduce_all(peers);
  CHECK(says({.sentence = keyed.command(OperatorVerb::ban, to_string(key_of(oslo)))}, "1 peer was removed"));
  CHECK(keyed.status().world.size == 2);
  REQUIRE(eventually([&] { return (*peers[0]->info())->view.size() == 2 && (*peers[1]->info())->view.size() == 2; }));
  reduce_all(peers, {0, 1});
  REQUIRE(eventually([&] { return !peers[2]->info().ok(); }));
  CHECK(says(peers[2]->info().error(), "banned the key"));
  expect_refusal(*keyed.run.peer(keyed.with(oslo)), Status::refused, "is banned from this run");
  keyed.run.restart_master();
  expect_refusal(*keyed.run.peer(keyed.with(oslo)), Status::refused, "is banned from this run");
  reduce_all(peers, {0, 1});
  keyed.command(OperatorVerb::unban, to_string(key_of(oslo)));
  const auto again = keyed.run.peer(keyed.with(oslo));
  Result<void> joined;
  std::thread newcomer([&] { joined = join(*again, 3); });
  REQUIRE(eventually([&] {
    if ((*peers[0]->info())->pending > 0)
      on_all(peers, [](std::size_t who, Communicator& peer) {
        if (who < 2) (void)peer.update_topology();
      });
    return (*peers[0]->info())->view.size() == 3;
  }));
  newcomer.join();
  CHECK(joined.ok());
}

TEST_CASE("a master whose rules file is not there says so, until it is there") {
  std::atomic<int> told = 0;
  set_log_sink([&](LogLevel, const std::string& line) { told += line.starts_with("rules-file-missing: ") ? 1 : 0; });
  const struct Restored {
    ~Restored() { set_log_sink({}); }
  } restored;
  KeyedRun keyed;
  // A command is answered after all that the master says at its start.
  keyed.command(OperatorVerb::drain);
  CHECK(told == 1);
  keyed.run.restart_master();
  CHECK(keyed.status().world.size == 0);
  CHECK(told == 1);
  const auto read = read_rules(keyed.files.file("rules"));
  REQUIRE(read.ok());
  REQUIRE(read->has_value());
  CHECK((*read)->draining);
  const auto missing = read_rules(keyed.files.file("none"));
  REQUIRE(missing.ok());
  CHECK_FALSE(missing->has_value());
}

TEST_CASE("a peer that was kicked may come back, and a newcomer joins once it is admitted") {
  KeyedRun keyed;
  const std::string guest = keyed.files.issue({.name = "guest", .role = Role::newcomer});
  const Peers peers = keyed.run.assemble(2);
  CHECK(says({.sentence = keyed.command(OperatorVerb::kick, "peer1")}, "1 peer was removed"));
  REQUIRE(eventually([&] { return !peers[1]->info().ok(); }));
  CHECK(says(peers[1]->info().error(), "removed this peer"));
  const auto newcomer = keyed.run.peer(keyed.with(guest, "guest"));
  expect_refusal(*newcomer, Status::refused, "newcomer's");
  keyed.command(OperatorVerb::admit, to_string(key_of(guest)));
  Result<void> came, came_back;
  std::thread first([&] { came = join(*newcomer, 3); });
  std::thread second([&] { came_back = join(*peers[1], 3); });
  REQUIRE(eventually([&] {
    if ((*peers[0]->info())->pending == 2 || (*peers[0]->info())->view.size() == 2)
      CHECK(peers[0]->update_topology().ok());
    return (*peers[0]->info())->view.size() == 3;
  }));
  first.join();
  second.join();
  CHECK(came.ok());
  CHECK(came_back.ok());
}

TEST_CASE("a peer's place after a break is for its key alone, whatever a thief knows") {
  KeyedRun keyed;
  const std::string oslo = keyed.files.issue({.name = "oslo"});
  const std::string thief = keyed.files.issue({.name = "thief"});
  // A group of its own: it is a member without any link.
  Introduction who{.id = PeerId{77}, .token = 4711, .connection = 1, .group = 5, .name = "oslo"};
  who.address = {.host = "127.0.0.1", .port = 9};
  std::optional<StartView> view;
  RunId run;
  const auto note = [&](const MasterMessage& message) {
    if (const auto* const welcome = std::get_if<Welcome>(&message)) run = welcome->run;
    if (const auto* const started = std::get_if<StartView>(&message)) view = *started;
    return view.has_value();
  };
  say_to_master(keyed.run.address(), tls_of(oslo), Hello{.who = who}, note);
  REQUIRE(view);
  Resume resume{.who = who, .run = run};
  resume.who.connection = 2;
  resume.view = {.epoch = view->epoch, .id = view->id, .size = 1, .fingerprint = view->fingerprint};
  const auto answer_to = [&](const std::string& key_file) {
    ++resume.who.connection;
    return say_to_master(keyed.run.address(), tls_of(key_file), resume, [](const MasterMessage&) { return true; });
  };
  const auto stolen = answer_to(thief);
  REQUIRE_FALSE(stolen.empty());
  CHECK_FALSE(std::holds_alternative<Welcome>(stolen.front()));
  const auto own = answer_to(oslo);
  REQUIRE_FALSE(own.empty());
  CHECK(std::holds_alternative<Welcome>(own.front()));
}

TEST_CASE("one side with keys, the other without: each says what to do") {
  KeyFiles files;
  TestRun with_keys({.secret_file = files.secret()});
  TestRun plain;
  auto config = with_keys.config();
  config.access = {};
  expect_refusal(*with_keys.peer(config), Status::master_unreachable, "secret_file");
  config = plain.config();
  config.access.secret_file = files.secret();
  expect_refusal(*plain.peer(config), Status::master_unreachable, "it has no secret_file, and this process has one");
}

TEST_CASE("a newcomer whose connections are closed amid the handshake tries again after growing pauses") {
  KeyedRun keyed;
  const Address at = keyed.run.address();
  keyed.run.stop_master();
  const auto peer = keyed.run.peer(keyed.with(keyed.files.secret()));
  Result<void> joined;
  std::thread newcomer([&] { joined = join(*peer, 1); });
  {
    // As a master does whose port has too many connections at the moment.
    asio::io_context io;
    asio::ip::tcp::acceptor full(io, {asio::ip::make_address(at.host), at.port}, true);
    std::vector<std::chrono::steady_clock::time_point> came;
    while (came.size() < 5) {
      auto socket = full.accept();
      came.push_back(std::chrono::steady_clock::now());
      std::array<char, 4096> hello;
      std::error_code ignored;
      socket.read_some(asio::buffer(hello), ignored);
    }
    // The first may have come before this port was there.
    for (std::size_t i = 2; i < came.size(); ++i)
      CHECK(came[i] - came[i - 1] >= std::chrono::milliseconds(50) * (1 << (i - 1)));
  }
  keyed.run.restart_master();
  newcomer.join();
  INFO((joined.ok() ? std::string() : joined.error().sentence));
  CHECK(joined.ok());
}

TEST_CASE("only the secret or an operator's key makes a master") {
  KeyedRun keyed;
  for (const Role role : {Role::member, Role::newcomer, Role::reader, Role::observer}) {
    const std::string stolen = keyed.files.issue({.name = "stolen", .role = role});
    const auto master =
        Master::create({.listen = {.host = "127.0.0.1", .port = 0}, .access = {.secret_file = stolen}});
    REQUIRE_FALSE(master.ok());
    CHECK(master.status() == Status::invalid_argument);
    CHECK(says(master.error(), "a master needs the run's secret"));
    // Whoever holds such a key may run other software.
    const KeyedImpostor impostor({.host = "127.0.0.1", .port = 0}, tls_of(stolen));
    auto config = keyed.with(keyed.files.secret());
    config.master = impostor.address();
    expect_refusal(*keyed.run.peer(config), Status::master_unreachable, "a master needs the run's secret");
    CHECK(impostor.bytes_heard() == 0);
  }
}

TEST_CASE("a man in the middle with a stolen observer's key gets nothing from members, and they outlast him") {
  KeyedRun keyed;
  const Peers peers = keyed.run.assemble(3);
  reduce_all(peers);
  const Address at = keyed.run.address();
  keyed.run.stop_master();
  {
    const KeyedImpostor middle(at, tls_of(keyed.files.issue({.name = "screen", .role = Role::observer})));
    CHECK(eventually([&] { return middle.connections() >= 3; }));
    CHECK(middle.bytes_heard() == 0);
  }
  keyed.run.restart_master();
  reduce_all(peers);
}

TEST_CASE("without a key nothing leaves this machine, and the sentence says what to do") {
  TestRun run;
  const auto expect = [](const auto& result) {
    REQUIRE_FALSE(result.ok());
    INFO(result.error().sentence);
    CHECK(says(result.error(), "this machine only"));
    CHECK(says(result.error(), "hawser keygen"));
  };
  expect(Master::create({.listen = {.host = "0.0.0.0", .port = 0}}));
  auto config = run.config();
  config.listen_host = "0.0.0.0";
  expect(Communicator::create(config));
  config = run.config();
  config.master = {.host = "192.0.2.1", .port = 48500};
  expect(run.peer(config)->connect());
}
