#pragma once

#include <asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "transport/socket_options.hpp"

namespace hawser::transport {

/// Host names to addresses without blocking the I/O thread. A lookup in the system's resolver cannot be
/// cancelled and may last half a minute, so it runs in a thread that nobody waits for; equal questions
/// share one, and an answer is kept for some seconds.
/// Lives on one io_context; not thread-safe.
class NameLookup {
 public:
  using Answer = std::function<void(const Result<std::vector<asio::ip::address>>&)>;

  explicit NameLookup(asio::io_context& io);
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  /// Calls `answer` from the io_context, never from within this call. Errors: system, with a sentence.
  void find(const std::string& host, Answer answer);
  /// Forgets all questions: no answer is called any more.
  void close();

 private:
  struct Mailbox;
  struct Entry {
    std::vector<Answer> waiting;
    std::vector<asio::ip::address> found;
    std::chrono::steady_clock::time_point found_at{};
    bool asking = false;
  };
  static void look_up(const std::shared_ptr<Mailbox>& mailbox, const std::string& host) noexcept;
  bool has_lost_one();
  void deliver(const std::string& host, Result<std::vector<asio::ip::address>> result);

  asio::io_context& io_;
  std::shared_ptr<Mailbox> mailbox_;
  std::map<std::string, Entry> entries_;
};

/// The same, blocking, for the start-up of a listener. Literals are not looked up.
Result<std::vector<asio::ip::address>> find_host_blocking(const std::string& host);

}  // namespace hawser::transport
