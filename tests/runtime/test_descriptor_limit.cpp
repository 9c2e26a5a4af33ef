// What becomes of a limit of open files that the links of a peer may exceed.
#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "catch.hpp"
#include "runtime/descriptor_limit.hpp"
#include "runtime/log.hpp"
#include "runtime/run_fixture.hpp"
#include "links/connection_count.hpp"

namespace hawser::test {
namespace {

/// The soft limit of this process, put back at the end.
class SoftLimit {
 public:
  explicit SoftLimit(rlim_t descriptors) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit limit = before_;
    limit.rlim_cur = descriptors;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ~SoftLimit() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;

 private:
  rlimit before_{};
};

/// The lines of the log that begin with the name of one event.
class LinesOf {
 public:
  explicit LinesOf(std::string what) : start_(std::move(what) + ": ") {
    set_log_sink([this](LogLevel level, const std::string& line) {
      const std::lock_guard lock(mutex_);
      if (line.starts_with(start_)) levels_.push_back(level);
    });
  }
  ~LinesOf() { set_log_sink({}); }
  LinesOf(const LinesOf&) = delete;
  LinesOf& operator=(const LinesOf&) = delete;
  std::vector<LogLevel> levels() {
    const std::lock_guard lock(mutex_);
    return levels_;
  }

 private:
  std::string start_;
  std::mutex mutex_;
  std::vector<LogLevel> levels_;
};

constexpr std::uint32_t kConnections = 12;

std::vector<LogLevel> told_under(std::uint64_t descriptors) {
  LinesOf warnings("few-descriptors");
  const SoftLimit limit(descriptors);
  TestRun run;
  const auto with_connections = [](std::size_t, CommunicatorConfig& config) {
    config.connections_per_link = kConnections;
  };
  const Peers peers = run.assemble(2, with_connections);
  return warnings.levels();
}

}  // namespace

TEST_CASE("the limit is the one that the system holds") {
  const SoftLimit limit(321);
  CHECK(descriptor_limit().soft == 321);
  CHECK(descriptor_limit().hard >= 321);
}

TEST_CASE("links within a host are counted apart, and not the one to oneself") {
  View view;
  for (std::uint64_t i = 1; i <= 5; ++i) view.members.push_back({.id = PeerId{i}, .machine = i < 3 ? 9 : i % 2});
  const LinksHeld automatic = links_held(view, PeerId{1}, 0);
  CHECK(automatic.within_host == 1);
  CHECK(automatic.between_hosts == 3);
  CHECK(automatic.connections_within_host == 1);
  CHECK(automatic.connections_between_hosts == kConnectionsAutomaticMost);
  const LinksHeld configured = links_held(view, PeerId{1}, 5);
  CHECK(configured.connections_within_host == 5);
  CHECK(configured.connections_between_hosts == 5);
  // Two machines that are not known are not one.
  CHECK(links_held(view, PeerId{4}, 0).within_host == 0);
}

TEST_CASE("a member of a large group has links to its neighbours only") {
  View view;
  for (std::uint64_t i = 1; i <= 1024; ++i) view.members.push_back({.id = PeerId{i}, .machine = 1 + i % 2});
  const LinksHeld links = links_held(view, PeerId{500}, 2);
  CHECK(links.within_host + links.between_hosts == 62);
  CHECK(descriptors_needed(links) == kDescriptorsBeside + 124);
  CHECK(links_held(view, PeerId{5000}, 2).between_hosts == 0);
}

TEST_CASE("each peer says once that its limit of open files is below what its links may need") {
  const std::uint64_t needed = descriptors_needed(
      {.between_hosts = 0, .within_host = 1, .connections_between_hosts = 0, .connections_within_host = kConnections});
  CHECK(told_under(needed).empty());
  CHECK(told_under(needed - 1) == std::vector<LogLevel>(2, LogLevel::warning));
}

}  // namespace hawser::test
