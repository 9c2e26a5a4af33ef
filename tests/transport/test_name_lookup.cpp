/// Threads, sharing, bounds and memory of look-ups, with a resolver of the test's own: no DNS.
#include <algorithm>
#include <asio/post.hpp>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "link_fixture.hpp"
#include "transport/name_lookup.hpp"

using namespace hawser;
using namespace hawser::test;
using transport::HostAddresses;
using transport::LookupConfig;
using transport::LookupQueue;
using transport::LookupSource;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kForever = std::chrono::hours(1);

/// A resolver whose answers the test gives: all names hang until they are let go.
class Names {
 public:
  explicit Names(asio::io_context& io) : io_(io) {
    // The promise is the deleter's, which may be at work still when the future is ready.
    const auto promise = std::make_shared<std::promise<void>>();
    ended_ = promise->get_future();
    last_use_ = std::shared_ptr<void>(nullptr, [promise](void*) { promise->set_value(); });
  }
  /// Threads that nobody joins may be at work here until they have let go of the resolver.
  ~Names() {
    let_all_go();
    last_use_.reset();
    ended_.wait();
  }
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  transport::Resolver resolver() {
    return [this, use = last_use_](const std::string& host) { return resolve(host); };
  }
  void let_go(const std::string& host) {
    const std::lock_guard lock(mutex_);
    free_.insert(host);
    changed_.notify_all();
  }
  void let_all_go() {
    const std::lock_guard lock(mutex_);
    all_ = true;
    changed_.notify_all();
  }
  void fail(const std::string& host) {
    const std::lock_guard lock(mutex_);
    failing_.insert(host);
  }
  std::vector<std::string> asked() const { return locked(asked_); }
  std::size_t most_at_once() const { return locked(most_at_once_); }
  std::size_t threads() const { return locked(threads_).size(); }

 private:
  Result<HostAddresses> resolve(const std::string& host) {
    std::unique_lock lock(mutex_);
    asked_.push_back(host);
    threads_.insert(std::this_thread::get_id());
    most_at_once_ = std::max(most_at_once_, ++at_once_);
    // Wakes the test up.
    asio::post(io_, [] {});
    changed_.wait(lock, [&] { return all_ || free_.contains(host); });
    --at_once_;
    if (failing_.contains(host)) return Error{Status::system, host + " fails"};
    return HostAddresses{asio::ip::address_v4::loopback()};
  }
  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  asio::io_context& io_;
  std::future<void> ended_;
  std::shared_ptr<void> last_use_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> asked_;
  std::set<std::thread::id> threads_;
  std::set<std::string> free_, failing_;
  std::size_t at_once_ = 0, most_at_once_ = 0;
  bool all_ = false;
};

struct Bench {
  explicit Bench(LookupConfig config = {.patience = kForever}) : lookup(io, with_resolver(std::move(config))) {}
  ~Bench() {
    lookup.close();
    // What is queued holds the resolver too.
    io.restart();
    io.poll();
  }

  LookupConfig with_resolver(LookupConfig config) {
    config.resolve = names.resolver();
    return config;
  }
  void find(const std::string& host, LookupSource source = {}) {
    lookup.find(
        host,
        [this, host](const Result<HostAddresses>& result) {
          ++answered[host];
          last[host] = result;
        },
        source);
  }
  bool until(const std::function<bool()>& condition) { return run_until(io, condition); }
  bool until_asked(std::size_t count) {
    return until([&] { return names.asked().size() == count; });
  }
  std::size_t answers() const {
    std::size_t all = 0;
    for (const auto& [host, count] : answered) all += static_cast<std::size_t>(count);
    return all;
  }

  asio::io_context io;
  Names names{io};
  std::map<std::string, int> answered;
  std::map<std::string, std::optional<Result<HostAddresses>>> last;
  NameLookup lookup;
};

std::string name(std::size_t number) { return "host-" + std::to_string(number); }

}  // namespace

TEST_CASE("a literal takes no thread and no look-up") {
  Bench bench;
  bench.find("127.0.0.1");
  bench.find("::1");
  CHECK(bench.answers() == 0);
  REQUIRE(bench.until([&] { return bench.answers() == 2; }));
  CHECK(bench.lookup.workers() == 0);
  CHECK(bench.names.asked().empty());
}

TEST_CASE("one thread looks up one name after the other") {
  Bench bench;
  bench.names.let_all_go();
  for (std::size_t i = 0; i < 50; ++i) bench.find(name(i), i);
  REQUIRE(bench.until([&] { return bench.answers() == 50; }));
  CHECK(bench.lookup.workers() == 1);
  CHECK(bench.names.threads() == 1);
}

TEST_CASE("names that hang take few threads, and one of these is kept for our own names") {
  Bench bench({.patience = milliseconds(1)});
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 900; ++i)
    bench.lookup.find(
        name(i), [&](const Result<HostAddresses>& result) { refused += result.ok() ? 0 : 1; }, i);
  const std::size_t others = NameLookup::kWorkersMax - 1;
  REQUIRE(bench.until_asked(others));
  // Those beyond the bound are refused at once; one to three have left the queue by then.
  const std::size_t beyond = 900 - (LookupQueue::kPlacesMax - LookupQueue::kOwnPlaces);
  REQUIRE(bench.until([&] { return refused >= beyond - others; }));
  bench.io.poll();
  CHECK(refused < beyond);
  bench.find("master");
  REQUIRE(bench.until_asked(others + 1));
  CHECK(bench.names.asked().back() == "master");
  CHECK(bench.lookup.workers() == NameLookup::kWorkersMax);
  bench.find("store");
  bench.names.let_go("master");
  REQUIRE(bench.until([&] { return bench.answered["master"] == 1; }));
  REQUIRE(bench.until_asked(others + 2));
  CHECK(bench.names.asked().back() == "store");
  CHECK(bench.names.most_at_once() == NameLookup::kWorkersMax);
  CHECK(bench.names.threads() == NameLookup::kWorkersMax);
}

TEST_CASE("one name that hangs does not hold up the next ones") {
  Bench bench({.patience = milliseconds(1)});
  bench.find("dead", 1);
  REQUIRE(bench.until_asked(1));
  bench.names.let_go("good");
  bench.find("good", 2);
  REQUIRE(bench.until([&] { return bench.answered["good"] == 1; }));
  CHECK(bench.answered["dead"] == 0);
  CHECK(bench.lookup.workers() == 2);
}

TEST_CASE("threads that nothing waits for any more end, but for one") {
  struct Farewell {
    std::function<void()> say;
    ~Farewell() {
      if (say) say();
    }
  };
  asio::io_context io;
  Names names(io);
  std::size_t ended = 0;
  NameLookup lookup(io, {.resolve =
                             [&io, &ended, resolve = names.resolver()](const std::string& host) {
                               thread_local Farewell farewell;
                               farewell.say = [&io, &ended] { asio::post(io, [&ended] { ++ended; }); };
                               return resolve(host);
                             },
                         .patience = milliseconds(1)});
  for (std::size_t i = 0; i < 3; ++i) lookup.find(name(i), [](const Result<HostAddresses>&) {}, i);
  REQUIRE(run_until(io, [&] { return names.asked().size() == 3; }));
  names.let_all_go();
  REQUIRE(run_until(io, [&] { return ended == 2; }));
  CHECK(lookup.workers() == 1);
  bool answered = false;
  lookup.find("later", [&](const Result<HostAddresses>&) { answered = true; });
  REQUIRE(run_until(io, [&] { return answered; }));
  CHECK(names.threads() == 3);
  lookup.close();
  REQUIRE(run_until(io, [&] { return ended == 3; }));
}

TEST_CASE("equal questions share one look-up, whether it waits or is under way") {
  Bench bench;
  bench.find("first", 1);
  bench.find("shared", 1);
  bench.find("shared", 2);
  REQUIRE(bench.until_asked(1));
  bench.find("first", 3);
  bench.names.let_all_go();
  REQUIRE(bench.until([&] { return bench.answers() == 4; }));
  CHECK(bench.answered["shared"] == 2);
  CHECK(bench.names.asked() == std::vector<std::string>{"first", "shared"});
}

TEST_CASE("a source with many names delays its own only") {
  Bench bench;
  for (std::size_t i = 0; i < 8; ++i) bench.find(name(i), 1);
  REQUIRE(bench.until_asked(1));
  bench.find("of another", 2);
  bench.find("our own");
  bench.names.let_all_go();
  REQUIRE(bench.until([&] { return bench.answers() == 10; }));
  const auto asked = bench.names.asked();
  CHECK(asked[1] == "our own");
  CHECK(std::find(asked.begin(), asked.end(), "of another") <= asked.begin() + 3);
}

TEST_CASE("a source that asks for too much is told at once, and can share what others ask") {
  Bench bench;
  bench.find("under way", 1);
  REQUIRE(bench.until_asked(1));
  for (std::size_t i = 0; i < LookupQueue::kPlacesPerSourceMax; ++i) bench.find(name(i), 1);
  bench.find("too much", 1);
  CHECK(bench.answers() == 0);
  REQUIRE(bench.until([&] { return bench.answered["too much"] == 1; }));
  REQUIRE_FALSE(bench.last["too much"]->ok());
  CHECK(bench.last["too much"]->error().sentence.find("\"too much\"") != std::string::npos);
  // That was no answer about the name, so another source asks anew.
  bench.find("too much", 2);
  bench.find("too much", 1);
  bench.names.let_all_go();
  REQUIRE(bench.until([&] { return bench.answered["too much"] == 3; }));
  CHECK(bench.last["too much"]->ok());
}

TEST_CASE("answers are remembered, failures for a shorter time") {
  Bench bench({.patience = kForever, .found_kept_for = kForever, .failure_kept_for = milliseconds(0)});
  bench.names.let_all_go();
  bench.names.fail("bad");
  for (int times = 1; times <= 3; ++times) {
    bench.find("good");
    bench.find("bad");
    REQUIRE(bench.until([&] { return bench.answered["good"] == times && bench.answered["bad"] == times; }));
  }
  CHECK(bench.names.asked() == std::vector<std::string>{"good", "bad", "bad", "bad"});
}

TEST_CASE("a failure is not asked for again at once") {
  Bench bench({.patience = kForever, .found_kept_for = milliseconds(0), .failure_kept_for = kForever});
  bench.names.let_all_go();
  bench.names.fail("bad");
  for (int times = 1; times <= 3; ++times) {
    bench.find("good");
    bench.find("bad");
    REQUIRE(bench.until([&] { return bench.answered["good"] == times && bench.answered["bad"] == times; }));
    REQUIRE_FALSE(bench.last["bad"]->ok());
  }
  CHECK(bench.names.asked() == std::vector<std::string>{"good", "bad", "good", "good"});
}

TEST_CASE("a resolver that throws is an error with a sentence") {
  asio::io_context io;
  NameLookup lookup(io, {.resolve = [](const std::string&) -> Result<HostAddresses> {
                           throw std::runtime_error("no memory for it");
                         }});
  std::optional<Result<HostAddresses>> got;
  lookup.find("host", [&](const Result<HostAddresses>& result) { got = result; });
  REQUIRE(run_until(io, [&] { return got.has_value(); }));
  REQUIRE_FALSE(got->ok());
  CHECK(got->error().sentence.find("no memory for it") != std::string::npos);
}

TEST_CASE("closing waits for no look-up, and no answer comes afterwards") {
  asio::io_context io;
  int answers = 0;
  const auto count = [&](const Result<HostAddresses>&) { ++answers; };
  {
    Names names(io);
    {
      NameLookup lookup(io, {.resolve = names.resolver(), .patience = milliseconds(1)});
      lookup.find("first", count);
      REQUIRE(run_until(io, [&] { return names.asked().size() == 1; }));
      lookup.find("second", count);
      lookup.find("127.0.0.1", count);
      lookup.close();
      lookup.find("third", count);
      CHECK(lookup.workers() == 0);
    }
    io.restart();
    io.poll();
    CHECK(names.asked().size() < 3);
  }
  io.restart();
  io.poll();
  CHECK(answers == 0);
}

TEST_CASE("an answer may close the look-up") {
  Bench bench;
  bench.names.let_all_go();
  int closed = 0;
  for (int i = 0; i < 2; ++i)
    bench.lookup.find("host", [&](const Result<HostAddresses>&) {
      ++closed;
      bench.lookup.close();
    });
  REQUIRE(bench.until([&] { return closed == 1; }));
  bench.io.poll();
  CHECK(closed == 1);
}
