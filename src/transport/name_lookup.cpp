#include "transport/name_lookup.hpp"

#include <netdb.h>

#include <algorithm>
#include <asio/post.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "transport/quiet_thread.hpp"

namespace hawser::transport {
namespace {

constexpr std::size_t kAddressesMax = 16;
constexpr std::size_t kEntriesMax = 1024;
constexpr std::chrono::milliseconds kMemoryAwaited{100};
/// One worker is left for our own names: what peers advertise must not hold up a redial of the master.
constexpr std::size_t kAskedForOthersMax = NameLookup::kWorkersMax - 1;

Error lookup_failed(const std::string& host, const char* why) {
  return {Status::system, "the host name \"" + host + "\" could not be resolved: " + why};
}

Result<HostAddresses> ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0)
    return lookup_failed(host, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  HostAddresses found;
  for (const addrinfo* entry = list; entry != nullptr && found.size() < kAddressesMax;
       entry = entry->ai_next) {
    asio::ip::address address;
    if (entry->ai_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
      address = asio::ip::address_v4(ntohl(v4->sin_addr.s_addr));
    } else if (entry->ai_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
      asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &v6->sin6_addr, bytes.size());
      address = asio::ip::address_v6(bytes, v6->sin6_scope_id);
    } else {
      continue;
    }
    if (std::find(found.begin(), found.end(), address) == found.end()) found.push_back(address);
  }
  if (found.empty()) return lookup_failed(host, "it has no IPv4 or IPv6 address");
  return found;
}

Result<HostAddresses> resolve(const Resolver& resolver, const std::string& host) {
  try {
    return resolver(host);
  } catch (const std::exception& error) {
    return lookup_failed(host, error.what());
  }
}

}  // namespace

/// What the workers share with the NameLookup. Outlives it for as long as a look-up lasts.
struct NameLookup::Crew {
  explicit Crew(Resolver asks) : resolver(std::move(asks)) {}
  void work(const std::shared_ptr<Crew>& self) noexcept;
  void answer(const std::shared_ptr<Crew>& self, const std::string& host) noexcept;

  const Resolver resolver;
  std::mutex mutex;
  std::condition_variable called;
  NameLookup* owner = nullptr;  ///< Null once it is closed. Changed by the I/O thread only.
  std::deque<std::string> handed_out;
  std::size_t dismissed = 0;  ///< So many of those who wait shall end.
};

void NameLookup::Crew::work(const std::shared_ptr<Crew>& self) noexcept {
  std::unique_lock lock(mutex);
  for (;;) {
    called.wait(lock, [this] { return owner == nullptr || !handed_out.empty() || dismissed > 0; });
    if (owner == nullptr) return;
    if (handed_out.empty()) {
      --dismissed;
      return;
    }
    const std::string host = std::move(handed_out.front());
    handed_out.pop_front();
    lock.unlock();
    answer(self, host);
    lock.lock();
  }
}

/// Where there is no memory for it, it waits for some.
void NameLookup::Crew::answer(const std::shared_ptr<Crew>& self, const std::string& host) noexcept {
  for (;;) {
    try {
      auto result = resolve(resolver, host);
      const std::lock_guard lock(mutex);
      if (owner == nullptr) return;
      asio::post(owner->io_, [self, host, result = std::move(result)] {
        if (self->owner != nullptr) self->owner->returned(host, result);
      });
      return;
    } catch (...) {
      std::unique_lock lock(mutex);
      if (called.wait_for(lock, kMemoryAwaited, [this] { return owner == nullptr; })) return;
    }
  }
}

NameLookup::NameLookup(asio::io_context& io, LookupConfig config)
    : io_(io), config_(std::move(config)), crew_(std::make_shared<Crew>(config_.resolve)), patience_(io) {
  crew_->owner = this;
}

NameLookup::~NameLookup() { close(); }

void NameLookup::close() {
  {
    const std::lock_guard lock(crew_->mutex);
    crew_->owner = nullptr;
    crew_->called.notify_all();
  }
  entries_.clear();
  queue_.clear();
  asked_.clear();
  workers_ = 0;
  patience_.cancel();
}

void NameLookup::answer_later(Answer answer, Result<HostAddresses> result) {
  asio::post(io_, [crew = crew_, answer = std::move(answer), result = std::move(result)] {
    if (crew->owner != nullptr) answer(result);
  });
}

void NameLookup::find(const std::string& host, Answer answer, LookupSource source) {
  if (crew_->owner == nullptr) return;
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) return answer_later(std::move(answer), HostAddresses{literal});
  if (entries_.size() >= kEntriesMax)
    std::erase_if(entries_, [](const auto& entry) { return entry.second.state == Entry::State::idle; });
  Entry& entry = entries_[host];
  if (entry.known && Clock::now() < entry.known_until) return answer_later(std::move(answer), *entry.known);
  if (entry.state != Entry::State::asked) {
    // Who finds no place for a name that waits already, for another source, shares that.
    const auto put = queue_.put(host, source);
    if (!put.ok() && entry.state == Entry::State::idle) return answer_later(std::move(answer), put.error());
    entry.state = Entry::State::waiting;
  }
  entry.answers.push_back(std::move(answer));
  hand_out();
}

bool NameLookup::may_ask_for_others() const {
  const auto others = std::count_if(asked_.begin(), asked_.end(), [](const Asked& one) { return !one.own; });
  return static_cast<std::size_t>(others) < kAskedForOthersMax;
}

/// When all workers have been asking for longer than the patience.
NameLookup::Clock::time_point NameLookup::next_worker_at() const {
  Clock::time_point latest{};
  for (const Asked& one : asked_) latest = std::max(latest, one.since + config_.patience);
  return latest;
}

/// Gives names to workers for as long as there are both.
void NameLookup::hand_out() {
  while (queue_.has_next(may_ask_for_others())) {
    const auto now = Clock::now();
    if (asked_.size() == workers_) {
      if (workers_ == kWorkersMax) return;
      if (const auto at = next_worker_at(); at > now) {
        patience_.expires_at(at);
        patience_.async_wait([crew = crew_](const std::error_code& error) {
          if (!error && crew->owner != nullptr) crew->owner->hand_out();
        });
        return;
      }
      // Those who ask will come back for the next name.
      if (!start_worker() && workers_ > 0) return;
    }
    const auto next = queue_.take(may_ask_for_others());
    entries_[next->host].state = Entry::State::asked;
    if (workers_ == 0) {
      asio::post(io_, [crew = crew_, host = next->host] {
        if (crew->owner != nullptr)
          crew->owner->returned(host, lookup_failed(host, "no thread could be started for it"));
      });
      return;
    }
    asked_.push_back({.host = next->host, .own = next->own, .since = now});
    const std::lock_guard lock(crew_->mutex);
    crew_->handed_out.push_back(next->host);
    crew_->called.notify_one();
  }
}

bool NameLookup::start_worker() {
  auto thread = start_quiet_thread([crew = crew_] { crew->work(crew); });
  if (!thread.ok()) return false;
  thread->detach();
  ++workers_;
  return true;
}

void NameLookup::returned(const std::string& host, const Result<HostAddresses>& result) {
  std::erase_if(asked_, [&](const Asked& one) { return one.host == host; });
  hand_out();
  dismiss_idle();
  deliver(host, result);
}

/// One may wait for the next question.
void NameLookup::dismiss_idle() {
  const std::size_t idle = workers_ - asked_.size();
  if (idle < 2) return;
  workers_ -= idle - 1;
  const std::lock_guard lock(crew_->mutex);
  crew_->dismissed += idle - 1;
  crew_->called.notify_all();
}

void NameLookup::deliver(const std::string& host, const Result<HostAddresses>& result) {
  Entry& entry = entries_[host];
  entry.state = Entry::State::idle;
  entry.known = result;
  entry.known_until = Clock::now() + (result.ok() ? config_.found_kept_for : config_.failure_kept_for);
  const auto answers = std::exchange(entry.answers, {});
  // One of them may close this.
  const auto crew = crew_;
  for (const Answer& answer : answers)
    if (crew->owner != nullptr) answer(result);
}

Result<HostAddresses> find_host_blocking(const std::string& host) {
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) return HostAddresses{literal};
  return ask_system(host);
}

}  // namespace hawser::transport
