// A process with a communicator: update-topology, an all-reduce, perhaps a synchronisation, again and again. It says
// what became of each step, and each sentence that it was told.

#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <hawser/hawser.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "churn/control_channel.hpp"
#include "churn/reporter.hpp"
#include "churn/reset_connections.hpp"
#include "hostile/hanging_resolver.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {
namespace {

using churn::LineBuilder;
using churn::now_ns;

constexpr auto kAfterRefusal = std::chrono::milliseconds(10);
constexpr auto kAfterTooFew = std::chrono::milliseconds(50);

std::string word_of(const Failure& failure) {
  std::string word = failure.name();
  for (char& letter : word)
    if (letter == ' ') letter = '_';
  return word;
}

class MemberRole {
 public:
  MemberRole(const MemberOptions& options, Communicator comm)
      : options_(options), comm_(std::move(comm)), values_(options.elements, 1.0F) {}

  int run();

 private:
  void first();
  /// Until it is in.
  void join();
  /// Calls until the call succeeds. False: this peer is out of the run.
  template <class Call>
  bool insist(const char* phase, const Call& call);
  bool step();
  bool synchronise();
  void tell(const char* word, const Failure& failure, const char* phase, std::uint64_t since_ns);

  const MemberOptions& options_;
  Communicator comm_;
  churn::Reporter reporter_;
  std::vector<float> values_;
  std::vector<std::uint8_t> content_;
  std::optional<SharedState> state_;
  std::uint64_t steps_ = 0;
};

void MemberRole::tell(const char* word, const Failure& failure, const char* phase, std::uint64_t since_ns) {
  reporter_.say(LineBuilder(word)
                    .add("kind", word_of(failure))
                    .add("phase", phase)
                    .add("ms", static_cast<double>(now_ns() - since_ns) / 1e6)
                    .add("t", now_ns())
                    .text(failure.sentence));
}

void MemberRole::join() {
  for (;;) {
    const std::uint64_t begin = now_ns();
    const auto joined = comm_.connect();
    if (joined) {
      reporter_.say(LineBuilder("in").add("ms", static_cast<double>(now_ns() - begin) / 1e6).add("t", now_ns()));
      return;
    }
    tell("refused", joined.error(), "connect", begin);
    std::this_thread::sleep_for(kAfterRefusal);
  }
}

template <class Call>
bool MemberRole::insist(const char* phase, const Call& call) {
  for (;;) {
    const std::uint64_t begin = now_ns();
    const auto done = call();
    if (done) return true;
    const bool is_out = done.error().must_reconnect();
    tell(is_out ? "lost" : "error", done.error(), phase, begin);
    if (is_out) return false;
    if (done.code() != hawserErrorTooFewPeers) continue;
    // Alone: only an update-topology lets others in.
    std::this_thread::sleep_for(kAfterTooFew);
    (void)comm_.update_topology();
  }
}

bool MemberRole::synchronise() {
  if (options_.state_bytes == 0) return true;
  const auto view = comm_.info();
  if (view && view->rank == 0) {
    // Another content in each step, which the others have to fetch.
    for (std::size_t i = 0; i < content_.size(); i += 4096) content_[i] = static_cast<std::uint8_t>(steps_ + i);
    (void)state_->mark_all_changed();
    (void)state_->set_revision(state_->revision() ? *state_->revision() + 1 : 1);
  }
  std::uint64_t revision = 0;
  const bool done = insist("sync", [&] {
    auto synced = state_->sync(comm_);
    if (synced) revision = synced->revision;
    return synced;
  });
  if (!done) return false;
  const auto digest = state_->digest();
  reporter_.keep(LineBuilder("synced").add("revision", revision).add("digest", digest ? *digest : std::string("none")));
  return true;
}

bool MemberRole::step() {
  const std::uint64_t begin = now_ns();
  std::uint32_t world = 0;
  const auto reduce = [&] {
    auto reduced = comm_.all_reduce(values_, {.op = hawserAvg});
    if (reduced) world = reduced->world_size;
    return reduced;
  };
  if (!insist("update_topology", [&] { return comm_.update_topology(); }) || !insist("all_reduce", reduce) ||
      !synchronise())
    return false;
  ++steps_;
  const std::uint64_t now = now_ns();
  reporter_.say(
      LineBuilder("step").add("t", now).add("took_us", (now - begin) / 1000).add("world", std::uint64_t{world}));
  return true;
}

/// One connect and one all-reduce; then nobody leaves before all have their result.
void MemberRole::first() {
  join();
  const std::uint64_t begin = now_ns();
  if (const auto reduced = comm_.all_reduce(values_, {.op = hawserAvg}); !reduced)
    return tell("error", reduced.error(), "all_reduce", begin);
  reporter_.say(LineBuilder("first").add("t", now_ns()));
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

int MemberRole::run() {
  std::promise<void> go;
  // The connection to the master is reset on demand.
  const churn::ControlChannel ears(
      [&](std::string_view line) {
        if (line == "go") go.set_value();
        if (line == "reset")
          reporter_.say(LineBuilder("reset").add("count", std::uint64_t{churn::reset_connections_to(options_.master)}));
      },
      nullptr);
  if (options_.first_of > 0) {
    reporter_.say(LineBuilder("ready"));
    go.get_future().wait();
    return first(), 0;
  }
  if (options_.state_bytes > 0) {
    content_.resize(options_.state_bytes);
    auto made = SharedState::create({{"content", content_}});
    if (!made) return std::fprintf(stderr, "member: %s\n", made.error().sentence.c_str()), 1;
    state_.emplace(std::move(*made));
  }
  join();
  while (options_.is_idle) std::this_thread::sleep_for(std::chrono::seconds(1));
  while (options_.steps == 0 || steps_ < options_.steps)
    if (!step()) join();
  return 0;
}

}  // namespace

int run_member(const MemberOptions& options) {
  if (options.resolver_hangs) hang_resolver();
  auto comm = Communicator::create({.master = options.master,
                                    .name = options.name,
                                    .advertise_address = options.address,
                                    .port_first = options.port,
                                    .port_last = options.port,
                                    .min_peers = options.first_of});
  if (!comm) return std::fprintf(stderr, "member: %s\n", comm.error().sentence.c_str()), 1;
  return MemberRole(options, std::move(*comm)).run();
}

}  // namespace hawser::hostile
