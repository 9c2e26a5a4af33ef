#include "lease/etcd_messages.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/json_scanner.hpp"
#include "base/loggable_text.hpp"

namespace hawser::lease {
namespace {

/// etcd takes times to live up to 9,000,000,000 s; nobody means more than a day.
constexpr std::uint64_t kTtlMax_s = 86'400;
constexpr std::size_t kHolderBytesMax = 256;
constexpr std::size_t kReasonBytesMax = 300;
/// gRPC's code for what is not there: a time to live that is over.
constexpr std::uint64_t kNotFound = 5;

std::string base64_of(const std::string& text) {
  std::vector<unsigned char> out(4 * ((text.size() + 2) / 3) + 1);
  const int bytes = EVP_EncodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()));
  return {reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(bytes)};
}

/// None where it is none, or too long.
std::optional<std::string> from_base64(const std::string& text) {
  if (text.size() % 4 != 0 || text.size() > 2 * kHolderBytesMax) return std::nullopt;
  std::vector<unsigned char> out(text.size() / 4 * 3 + 1);
  const int bytes = EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()));
  if (bytes < 0) return std::nullopt;
  const auto padding = static_cast<std::size_t>(std::count(text.end() - std::min<std::ptrdiff_t>(2, std::ssize(text)),
                                                           text.end(), '='));
  return std::string(reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(bytes) - padding);
}

/// 64-bit numbers are strings in this JSON.
bool number_in_string(JsonScanner& scanner, std::uint64_t& value) {
  const auto text = scanner.string();
  if (!text) return false;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return (error == std::errc{} && stop == text->data() + text->size() && !text->empty()) ||
         scanner.fail("has something else where a number should be");
}

bool read_holder(JsonScanner& scanner, std::optional<LeaseHolder>& holder) {
  holder.emplace();
  return scanner.object([&](const std::string& key) {
    if (key == "create_revision") return number_in_string(scanner, holder->revision);
    if (key == "lease") return number_in_string(scanner, holder->id);
    if (key != "value") return scanner.skip();
    const auto text = scanner.string();
    if (!text) return false;
    const auto name = from_base64(*text);
    holder->name = name ? make_loggable(*name, kHolderBytesMax) : std::string("somebody unknown");
    return true;
  });
}

/// Of a range: the key, if it is there.
bool read_range(JsonScanner& scanner, std::optional<LeaseHolder>& holder) {
  return scanner.object([&](const std::string& key) {
    if (key != "kvs") return scanner.skip();
    return scanner.array([&] { return holder ? scanner.skip() : read_holder(scanner, holder); });
  });
}

/// The last of a transaction's answers is the range.
bool read_transaction(JsonScanner& scanner, std::optional<LeaseHolder>& holder) {
  return scanner.object([&](const std::string& key) {
    if (key != "responses") return scanner.skip();
    return scanner.array([&] {
      return scanner.object([&](const std::string& kind) {
        return kind == "response_range" ? read_range(scanner, holder) : scanner.skip();
      });
    });
  });
}

struct TimeToLive {
  std::uint64_t id = 0;
  std::uint64_t seconds = 0;
};
bool read_time_to_live(JsonScanner& scanner, TimeToLive& time) {
  return scanner.object([&](const std::string& key) {
    if (key == "ID") return number_in_string(scanner, time.id);
    if (key == "TTL") return number_in_string(scanner, time.seconds);
    // The answer to a renewal comes as one of a stream.
    return key == "result" ? read_time_to_live(scanner, time) : scanner.skip();
  });
}

struct Refusal {
  std::uint64_t code = 0;
  std::string message;
};
Refusal read_refusal(std::string_view body) {
  Refusal refusal;
  JsonScanner scanner(body);
  const bool is_json = scanner.object([&](const std::string& key) {
    if (key == "code") {
      const auto code = scanner.number();
      refusal.code = code.value_or(0);
      return code.has_value();
    }
    if (key != "message") return scanner.skip();
    const auto text = scanner.string();
    refusal.message = text.value_or(std::string());
    return text.has_value();
  });
  if (!is_json || refusal.message.empty()) refusal.message = std::string(body.substr(0, kReasonBytesMax));
  refusal.message = make_loggable(refusal.message, kReasonBytesMax);
  return refusal;
}

}  // namespace

EtcdRequest as_etcd_request(const LeaseRequest& request, const std::string& key, const std::string& holder) {
  const std::string name = "\"key\":\"" + base64_of(key) + "\"";
  const std::string id = "\"" + std::to_string(request.id) + "\"";
  const std::string look = "{\"request_range\":{" + name + "}}";
  switch (request.kind) {
    case LeaseRequest::Kind::look: return {"/v3/kv/range", "{" + name + "}"};
    case LeaseRequest::Kind::grant: {
      const auto whole = std::max<std::int64_t>(1, std::chrono::ceil<seconds>(request.ttl).count());
      return {"/v3/lease/grant", "{\"TTL\":\"" + std::to_string(whole) + "\"}"};
    }
    case LeaseRequest::Kind::take:
      return {"/v3/kv/txn", "{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\"," + name +
                                ",\"create_revision\":\"0\"}],\"success\":[{\"request_put\":{" + name +
                                ",\"value\":\"" + base64_of(holder.substr(0, kHolderBytesMax)) + "\",\"lease\":" + id +
                                "}}," + look + "],\"failure\":[" + look + "]}"};
    case LeaseRequest::Kind::renew: return {"/v3/lease/keepalive", "{\"ID\":" + id + "}"};
    case LeaseRequest::Kind::revoke: return {"/v3/lease/revoke", "{\"ID\":" + id + "}"};
  }
  return {};
}

LeaseAnswer from_etcd_answer(const LeaseRequest& request, long code, std::string_view body) {
  LeaseAnswer answer{.number = request.number};
  if (code != 200) {
    const Refusal refusal = read_refusal(body);
    answer.is_answered = request.kind == LeaseRequest::Kind::revoke && refusal.code == kNotFound;
    if (answer.is_answered) return answer;
    answer.failure = "refuses: HTTP status " + std::to_string(code) + ", " + refusal.message;
    if (refusal.message.find("user name is empty") != std::string::npos)
      answer.failure += "; this etcd wants a user, which is not supported: let certificates decide who reaches it";
    return answer;
  }
  JsonScanner scanner(body);
  bool fits = true;
  TimeToLive time;
  switch (request.kind) {
    case LeaseRequest::Kind::look: fits = read_range(scanner, answer.holder); break;
    case LeaseRequest::Kind::take:
      fits = read_transaction(scanner, answer.holder) && (answer.holder || scanner.fail("does not tell who has the key"));
      break;
    case LeaseRequest::Kind::grant:
      fits = read_time_to_live(scanner, time) &&
             ((time.id != 0 && time.seconds != 0) || scanner.fail("gives no time to live"));
      break;
    case LeaseRequest::Kind::renew: fits = read_time_to_live(scanner, time); break;
    case LeaseRequest::Kind::revoke: break;
  }
  if (!fits) {
    answer.holder.reset();
    answer.failure = "answers in a way that etcd does not: the text " + scanner.failure() + "; check the address";
    return answer;
  }
  answer.is_answered = true;
  answer.id = time.id;
  answer.ttl = seconds(std::min(time.seconds, kTtlMax_s));
  return answer;
}

}  // namespace hawser::lease
