#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "transport/lookup_queue.hpp"
#include "transport/socket_options.hpp"

namespace hawser::transport {

/// What a host name stands for.
using HostAddresses = std::vector<asio::ip::address>;
/// Blocks. Called from several threads at once.
using Resolver = std::function<Result<HostAddresses>(const std::string& host)>;

/// The same as NameLookup, blocking, for the start-up of a listener. Literals are not looked up.
Result<HostAddresses> find_host_blocking(const std::string& host);

struct LookupConfig {
  Resolver resolve = find_host_blocking;
  /// A look-up that has lasted for so long does not hold up the next one any more.
  std::chrono::milliseconds patience{2000};
  /// Answers are given again for so long without asking.
  std::chrono::milliseconds found_kept_for{10'000};
  std::chrono::milliseconds failure_kept_for{2000};
};

/// Host names to addresses without blocking the I/O thread. A look-up in the system's resolver cannot be cancelled and
/// may last half a minute. So worker threads ask it that nobody waits for: one as a rule, one more whenever all have
/// been asking for longer than `patience`, kWorkersMax at most. Equal questions share one look-up; the others wait in
/// a LookupQueue.
/// Lives on one io_context; not thread-safe.
class NameLookup {
 public:
  using Answer = std::function<void(const Result<HostAddresses>&)>;

  static constexpr std::size_t kWorkersMax = 4;

  explicit NameLookup(asio::io_context& io, LookupConfig config = {});
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  /// Calls `answer` from the io_context, never from within this call. Errors: system, with a sentence; at once, if too
  /// many names wait already.
  void find(const std::string& host, Answer answer, LookupSource source = {});
  /// Forgets all questions: no answer is called any more. Waits for no look-up.
  void close();

  /// Threads that ask, or wait for a question.
  std::size_t workers() const { return workers_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Crew;
  struct Entry {
    enum class State { idle, waiting, asked };
    State state = State::idle;
    std::vector<Answer> answers;  ///< Who is to be told.
    std::optional<Result<HostAddresses>> known;
    Clock::time_point known_until{};
  };
  struct Asked {
    std::string host;
    bool own = false;
    Clock::time_point since{};
  };

  void answer_later(Answer answer, Result<HostAddresses> result);
  void hand_out();
  bool may_ask_for_others() const;
  Clock::time_point next_worker_at() const;
  bool start_worker();
  void returned(const std::string& host, const Result<HostAddresses>& result);
  void deliver(const std::string& host, const Result<HostAddresses>& result);
  void dismiss_idle();

  asio::io_context& io_;
  LookupConfig config_;
  std::shared_ptr<Crew> crew_;
  std::map<std::string, Entry> entries_;
  LookupQueue queue_;
  std::vector<Asked> asked_;
  std::size_t workers_ = 0;
  asio::steady_timer patience_;  ///< Ends when one more worker may be started.
};

}  // namespace hawser::transport
