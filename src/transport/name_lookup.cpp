#include "transport/name_lookup.hpp"

#include <netdb.h>

#include <algorithm>
#include <asio/post.hpp>
#include <cstring>
#include <mutex>
#include <utility>

#include "transport/quiet_thread.hpp"

namespace hawser::transport {
namespace {

using Addresses = std::vector<asio::ip::address>;

constexpr std::size_t kAddressesMax = 16;
constexpr std::size_t kEntriesMax = 1024;
constexpr auto kKeptFor = std::chrono::seconds(10);

Error lookup_failed(const std::string& host, const char* why) {
  return {Status::system, "the host name \"" + host + "\" could not be resolved: " + why};
}

Result<Addresses> ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0)
    return lookup_failed(host, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  Addresses found;
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

}  // namespace

/// Outlives the NameLookup for as long as a lookup lasts.
struct NameLookup::Mailbox {
  std::mutex mutex;
  NameLookup* owner = nullptr;  ///< Null once it is closed.
  bool lost_one = false;        ///< There was no memory to deliver an answer.
};

/// In a thread of its own.
void NameLookup::look_up(const std::shared_ptr<Mailbox>& mailbox, const std::string& host) noexcept {
  try {
    auto result = ask_system(host);
    const std::lock_guard lock(mailbox->mutex);
    if (mailbox->owner == nullptr) return;
    asio::post(mailbox->owner->io_, [mailbox, host, result = std::move(result)] {
      if (mailbox->owner != nullptr) mailbox->owner->deliver(host, result);
    });
  } catch (...) {
    // Whoever waits gives up in time; whoever asks next asks the system again.
    const std::lock_guard lock(mailbox->mutex);
    mailbox->lost_one = true;
  }
}

bool NameLookup::has_lost_one() {
  const std::lock_guard lock(mailbox_->mutex);
  return std::exchange(mailbox_->lost_one, false);
}

NameLookup::NameLookup(asio::io_context& io) : io_(io), mailbox_(std::make_shared<Mailbox>()) {
  mailbox_->owner = this;
}

NameLookup::~NameLookup() { close(); }

void NameLookup::close() {
  const std::lock_guard lock(mailbox_->mutex);
  mailbox_->owner = nullptr;
  entries_.clear();
}

void NameLookup::find(const std::string& host, Answer answer) {
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) {
    asio::post(io_, [answer = std::move(answer), literal] { answer(Addresses{literal}); });
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (entries_.size() >= kEntriesMax)
    std::erase_if(entries_, [](const auto& entry) { return !entry.second.asking; });
  if (has_lost_one())
    for (auto& [asked, entry] : entries_) entry.asking = false;
  Entry& entry = entries_[host];
  if (!entry.asking && !entry.found.empty() && now - entry.found_at < kKeptFor) {
    asio::post(io_, [answer = std::move(answer), found = entry.found] { answer(found); });
    return;
  }
  entry.waiting.push_back(std::move(answer));
  if (entry.asking) return;
  entry.asking = true;

  auto thread = start_quiet_thread([mailbox = mailbox_, host] { look_up(mailbox, host); });
  if (thread.ok()) return thread->detach();
  asio::post(io_, [mailbox = mailbox_, host, why = thread.error()] {
    if (mailbox->owner != nullptr) mailbox->owner->deliver(host, why);
  });
}

void NameLookup::deliver(const std::string& host, Result<Addresses> result) {
  const auto at = entries_.find(host);
  if (at == entries_.end()) return;
  std::vector<Answer> waiting;
  waiting.swap(at->second.waiting);
  at->second.asking = false;
  if (result.ok()) {
    at->second.found = result.value();
    at->second.found_at = std::chrono::steady_clock::now();
  } else {
    entries_.erase(at);
  }
  for (const Answer& answer : waiting) answer(result);
}

Result<Addresses> find_host_blocking(const std::string& host) {
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) return Addresses{literal};
  return ask_system(host);
}

}  // namespace hawser::transport
