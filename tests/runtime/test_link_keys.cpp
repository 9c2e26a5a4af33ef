/// Links of a run with keys: a connection is a member's only with that member's key, whatever else is right about it.
#include <atomic>

#include "keyed_run.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// A run whose members have issued keys.
struct LinkedRun {
  std::string key_file(std::size_t who) const { return keys.at(who); }
  View view() const { return (*peers[0]->info())->view; }
  PeerId id(std::size_t who) const { return (*peers[who]->info())->self; }
  Address port(std::size_t who) const { return view().find(id(who))->address; }
  /// All that is right about a greeting of one member to another.
  LinkGreeting greeting(std::size_t from, std::size_t to, std::uint32_t index, std::uint32_t total) const {
    return {.link_secret = view().link_secret,
            .from = id(from),
            .to = id(to),
            .connection_index = index,
            .connections_total = total};
  }

  KeyFiles files{};
  std::vector<std::string> keys{files.issue({.name = "lima"}), files.issue({.name = "oslo"}),
                                files.issue({.name = "rome"})};
  TestRun run{{.secret_file = files.secret()}};
  Peers peers = run.assemble(
      3, [this](std::size_t who, CommunicatorConfig& config) { config.access.secret_file = keys.at(who); });
};

/// Members that reduce again and again until it is gone; every result is right.
class Reducing {
 public:
  explicit Reducing(const Peers& peers) : peers_(peers) {
    thread_ = std::thread([this] {
      while (!is_over_ && wrong_.empty()) {
        wrong_ = reduce_wrongly(peers_, all_of(peers_));
        ++rounds_;
      }
    });
  }
  ~Reducing() {
    is_over_ = true;
    thread_.join();
    CHECK(wrong_ == "");
  }
  Reducing(const Reducing&) = delete;
  Reducing& operator=(const Reducing&) = delete;
  bool goes_on() const {
    const int before = rounds_;
    return eventually([&] { return rounds_ >= before + 2; });
  }

 private:
  const Peers& peers_;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> rounds_ = 0;
  std::string wrong_;  ///< Of the thread, while it runs.
  std::thread thread_;
};

}  // namespace

TEST_CASE(
    "a member that greets as another member gets no connection, not beside one that stands and not in its place") {
  LinkedRun linked;
  const Epoch epoch = linked.view().epoch;
  {
    const Reducing reducing(linked.peers);
    REQUIRE(reducing.goes_on());
    const auto outsider = tls_of(linked.files.issue({.name = "new"}));
    const auto insider = tls_of(linked.key_file(2));
    for (const auto& tls : {outsider, insider, tls_of(linked.files.secret())})
      for (const auto& [index, total] : {std::pair{0U, 1U}, {1U, 2U}, {0U, 2U}, {2U, 64U}}) {
        CHECK(greet(linked.port(0), tls, linked.greeting(1, 0, index, total)) == GreetingAnswer::refused_unknown);
        CHECK(greet(linked.port(1), tls, linked.greeting(0, 1, index, total)) == GreetingAnswer::refused_unknown);
      }
    CHECK(reducing.goes_on());
  }
  CHECK(linked.view().epoch == epoch);
  // With the right key the same words are taken, by the side that did not dial itself.
  const auto at_0 = greet(linked.port(0), tls_of(linked.key_file(1)), linked.greeting(1, 0, 1, 2));
  const auto at_1 = greet(linked.port(1), tls_of(linked.key_file(0)), linked.greeting(0, 1, 1, 2));
  CHECK((at_0 == GreetingAnswer::accepted || at_1 == GreetingAnswer::accepted));
}

TEST_CASE("another process of the run at a lost member's address is not taken for it") {
  LinkedRun linked;
  reduce_all(linked.peers);
  const Address port = linked.port(1);
  linked.peers[1]->vanish();
  const KeyedImpostor squatter({.host = "127.0.0.1", .port = port.port}, tls_of(linked.files.issue({.name = "new"})));
  reduce_all(linked.peers, {0, 2});
  CHECK(squatter.bytes_heard() == 0);
}
