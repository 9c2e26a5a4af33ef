#include "lease/etcd_client.hpp"

#include <unistd.h>

#include <utility>

#include "base/assert.hpp"

namespace hawser::lease {
namespace {

Result<void> check_readable(const std::string& file, const char* what) {
  if (file.empty() || ::access(file.c_str(), R_OK) == 0) return {};
  return Error{Status::invalid_argument,
               std::string(what) + " '" + file + "' cannot be read; check its path and rights"};
}

Result<void> check_files(const EtcdSetup& setup) {
  for (const auto& [file, what] : {std::pair(&setup.ca_file, "lease_ca"), std::pair(&setup.cert_file, "lease_cert"),
                                   std::pair(&setup.key_file, "lease_key")})
    if (auto readable = check_readable(*file, what); !readable.ok()) return readable.error();
  return {};
}

}  // namespace
}  // namespace hawser::lease

#ifdef HAWSER_HAS_LEASE

#include <array>
#include <mutex>
#include <thread>
#include <utility>

#include "lease/curl_library.hpp"
#include "lease/etcd_messages.hpp"
#include "transport/quiet_thread.hpp"

namespace hawser::lease {
namespace {

constexpr std::size_t kAnswerBytesMax = 64 << 10;
constexpr Duration kLastWordBound = milliseconds(300);
/// The key of a run in the etcd.
constexpr const char* kKeyPrefix = "/hawser/lease/";

extern "C" std::size_t hawser_take_answer(char* data, std::size_t size, std::size_t count, void* user) {
  auto& body = *static_cast<std::string*>(user);
  const std::size_t bytes = size * count;
  // Less than was offered: libcurl gives the transfer up.
  if (body.size() + bytes > kAnswerBytesMax) return 0;
  body.append(data, bytes);
  return bytes;
}

}  // namespace

class EtcdClient::Worker {
 public:
  Worker(const CurlLibrary& curl, EtcdSetup setup, Answered answered)
      : curl_(curl), setup_(std::move(setup)), answered_(std::move(answered)), key_(kKeyPrefix + setup_.place.name) {}
  ~Worker() {
    if (thread_.joinable()) thread_.join();
    if (easy_ != nullptr) curl_.easy_cleanup(easy_);
    if (multi_ != nullptr) curl_.multi_cleanup(multi_);
    if (headers_ != nullptr) curl_.slist_free_all(headers_);
  }

  Result<void> start() {
    multi_ = curl_.multi_init();
    easy_ = curl_.easy_init();
    // Without it libcurl waits for leave to send a long request.
    headers_ = curl_.slist_append(nullptr, "Content-Type: application/json");
    if (multi_ == nullptr || easy_ == nullptr || headers_ == nullptr)
      return Error{Status::system, "libcurl has no memory for asking for the lease"};
    auto thread = transport::start_quiet_thread([this] { run(); });
    if (!thread.ok()) return thread.error();
    thread_ = std::move(*thread);
    return {};
  }
  void ask(const LeaseRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      next_ = request;
    }
    curl_.multi_wakeup(multi_);
  }
  void finish(std::optional<std::uint64_t> revoke) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(is_ending_, true)) return;
      next_.reset();
      if (revoke) next_ = LeaseRequest{.kind = LeaseRequest::Kind::revoke, .id = *revoke, .bound = kLastWordBound};
    }
    curl_.multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
  }

 private:
  bool is_ending() {
    const std::lock_guard lock(mutex_);
    return is_ending_;
  }
  bool has_next() {
    const std::lock_guard lock(mutex_);
    return next_.has_value() || is_ending_;
  }

  void run() noexcept {
    for (;;) {
      std::optional<LeaseRequest> request;
      bool is_last = false;
      {
        const std::lock_guard lock(mutex_);
        request = std::exchange(next_, std::nullopt);
        is_last = is_ending_;
      }
      if (request) {
        LeaseAnswer answer = transfer(*request, is_last);
        if (!is_ending()) answered_(std::move(answer));
      } else if (!is_last) {
        curl_.multi_poll(multi_, nullptr, 0, 1000, nullptr);
      }
      if (is_last) return;
    }
  }

  /// One request to one endpoint. A newer request ends it, save the last of all.
  LeaseAnswer transfer(const LeaseRequest& request, bool is_last) {
    const std::string endpoint = setup_.place.endpoints[at_];
    const EtcdRequest http = as_etcd_request(request, key_, setup_.holder);
    const std::string url = endpoint + http.path;
    std::string body;
    set_up(url, http.body, request.bound, body);
    LeaseAnswer answer{.number = request.number};
    if (curl_.multi_add_handle(multi_, easy_) != CURLM_OK) {
      answer.failure = "libcurl does not take a request";
      return answer;
    }
    CURLcode result = CURLE_OPERATION_TIMEDOUT;
    bool is_done = false;
    for (int running = 1; !is_done && running > 0;) {
      if (curl_.multi_perform(multi_, &running) != CURLM_OK) break;
      int left = 0;
      while (const CURLMsg* const message = curl_.multi_info_read(multi_, &left))
        if (message->msg == CURLMSG_DONE) {
          result = message->data.result;
          is_done = true;
        }
      if (is_done || running == 0) break;
      if (!is_last && has_next()) break;
      curl_.multi_poll(multi_, nullptr, 0, 100, nullptr);
    }
    long code = 0;
    curl_.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
    curl_.multi_remove_handle(multi_, easy_);
    if (is_done && result == CURLE_OK) {
      answer = from_etcd_answer(request, code, body);
    } else if (result == CURLE_WRITE_ERROR) {
      answer.failure = "answers with more than etcd does; check the address";
    } else {
      answer.failure = "does not answer: ";
      answer.failure += error_[0] != 0 ? error_.data() : curl_.easy_strerror(result);
      answer.failure += "; check that an etcd runs there, and whether it is under TLS (etcds://)";
    }
    if (answer.is_answered) return answer;
    answer.failure = "the etcd at " + endpoint + " " + answer.failure;
    at_ = (at_ + 1) % setup_.place.endpoints.size();
    return answer;
  }

  void set_up(const std::string& url, const std::string& text, Duration bound, std::string& body) {
    const auto set = [this](CURLoption option, auto value) { curl_.easy_setopt(easy_, option, value); };
    // Connections stay open in the multi handle.
    curl_.easy_reset(easy_);
    error_[0] = 0;
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(text.size()));
    set(CURLOPT_COPYPOSTFIELDS, text.c_str());
    set(CURLOPT_HTTPHEADER, headers_);
    set(CURLOPT_WRITEFUNCTION, &hawser_take_answer);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&body));
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(whole_milliseconds(bound)));
    set(CURLOPT_NOSIGNAL, 1L);
    // A proxy of the environment is for the world outside.
    set(CURLOPT_PROXY, "");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!setup_.ca_file.empty()) set(CURLOPT_CAINFO, setup_.ca_file.c_str());
    if (!setup_.cert_file.empty()) set(CURLOPT_SSLCERT, setup_.cert_file.c_str());
    if (!setup_.key_file.empty()) set(CURLOPT_SSLKEY, setup_.key_file.c_str());
  }

  const CurlLibrary& curl_;
  const EtcdSetup setup_;
  const Answered answered_;
  const std::string key_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::size_t at_ = 0;  ///< The endpoint that is asked.
  std::mutex mutex_;
  std::optional<LeaseRequest> next_;
  bool is_ending_ = false;
  std::thread thread_;
};

Result<void> EtcdClient::check(const EtcdSetup& setup) {
  if (auto readable = check_files(setup); !readable.ok()) return readable.error();
  if (const auto curl = load_curl(); !curl.ok()) return curl.error();
  return {};
}

Result<std::unique_ptr<EtcdClient>> EtcdClient::start(EtcdSetup setup, Answered answered) {
  HAWSER_ASSERT(!setup.place.endpoints.empty());
  if (auto checked = check(setup); !checked.ok()) return checked.error();
  const auto curl = load_curl();
  if (!curl.ok()) return curl.error();
  auto worker = std::make_unique<Worker>(**curl, std::move(setup), std::move(answered));
  if (auto started = worker->start(); !started.ok()) return started.error();
  return std::unique_ptr<EtcdClient>(new EtcdClient(std::move(worker)));
}

EtcdClient::EtcdClient(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}
EtcdClient::~EtcdClient() { finish(std::nullopt); }
void EtcdClient::ask(const LeaseRequest& request) { worker_->ask(request); }
void EtcdClient::finish(std::optional<std::uint64_t> revoke) { worker_->finish(revoke); }

}  // namespace hawser::lease

#else

namespace hawser::lease {

class EtcdClient::Worker {};

Result<void> EtcdClient::check(const EtcdSetup& setup) {
  if (auto readable = check_files(setup); !readable.ok()) return readable.error();
  return Error{Status::invalid_argument,
               "this build of Hawser has no leases: build it with -DHAWSER_LEASE=ON, or do without a lease"};
}
Result<std::unique_ptr<EtcdClient>> EtcdClient::start(EtcdSetup setup, Answered) { return check(setup).error(); }
EtcdClient::EtcdClient(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}
EtcdClient::~EtcdClient() = default;
void EtcdClient::ask(const LeaseRequest&) { HAWSER_ASSERT(false); }
void EtcdClient::finish(std::optional<std::uint64_t>) {}

}  // namespace hawser::lease

#endif
