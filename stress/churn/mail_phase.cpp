#include "mail_phase.hpp"

#include <algorithm>
#include <string>

#include "call_names.hpp"
#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint64_t kTag = 40;
constexpr std::uint32_t kTimeoutMs = 500;
constexpr std::uint64_t kCancelEvery = 64;

/// The first two words are the sender's id and its count of messages.
std::uint64_t word_of(std::uint64_t from, std::uint64_t number, std::size_t index) {
  if (index == 0) return from;
  return index == 1 ? number : mix64(from ^ mix64(number) ^ index);
}

}  // namespace

Next MailPhase::run(const Round& round) {
  const auto self = std::ranges::find(round.roster, round.self);
  if (round.roster.size() < 2 || self == round.roster.end()) return Next::carry_on;
  const std::size_t rank = static_cast<std::size_t>(self - round.roster.begin());
  const std::size_t members = round.roster.size();
  const Both came = exchange(round, round.roster[(rank + members - 1) % members], round.roster[(rank + 1) % members]);
  judge(came.received, "receive");
  judge(came.sent, "send");
  reporter_.keep(LineBuilder("mail")
                     .add("received", std::uint64_t{came.received == hawserSuccess})
                     .add("sent", std::uint64_t{came.sent == hawserSuccess}));
  return Next::carry_on;
}

MailPhase::Both MailPhase::exchange(const Round& round, std::uint64_t from, std::uint64_t to) {
  const std::size_t size = round.size_class % kWords.size();
  const std::size_t words = kWords[size];
  std::vector<std::uint64_t> out(words);
  std::vector<std::uint64_t> in(words);
  ++sent_;
  for (std::size_t i = 0; i < words; ++i) out[i] = word_of(round.self, sent_, i);
  hawserMessageOptions_t options = HAWSER_MESSAGE_OPTIONS_INIT;
  options.tag = kTag + size;
  options.timeout_ms = kTimeoutMs;
  const bool cancels = random_() % kCancelEvery == 0;
  Both both;
  // The buffers belong to the library until both operations have ended.
  (void)session_.call(kMainSlot, "messages", [&](hawserComm_t comm) {
    hawserOp_t receive = nullptr;
    hawserOp_t send = nullptr;
    options.peer_id = from;
    both.received = hawserReceiveAsync(comm, in.data(), words, hawserUint64, 0, &options, &receive);
    options.peer_id = to;
    both.sent = hawserSendAsync(comm, out.data(), words, hawserUint64, 0, &options, &send);
    if (cancels && receive != nullptr) (void)hawserOpCancel(receive);
    if (receive != nullptr) both.received = hawserOpWait(receive, UINT64_MAX, nullptr);
    if (send != nullptr) both.sent = hawserOpWait(send, UINT64_MAX, nullptr);
    (void)hawserOpDestroy(receive);
    (void)hawserOpDestroy(send);
    return hawserSuccess;
  });
  if (both.received == hawserSuccess) check(from, size, in);
  return both;
}

void MailPhase::check(std::uint64_t from, std::size_t size, std::span<const std::uint64_t> words) {
  const std::uint64_t number = words[1];
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] != word_of(from, number, i))
      return reporter_.violation("wrong_message", "word " + std::to_string(i) + " of " + std::to_string(words.size()) +
                                                      " is not what the sender sent");
  std::uint64_t& latest = latest_[{from, size}];
  if (number <= latest)
    reporter_.violation("wrong_message", "message " + std::to_string(number) + " came after message " +
                                             std::to_string(latest) + " of the same sender and tag");
  latest = number;
}

/// Whoever is out of the run learns it in its next call.
void MailPhase::judge(hawserResult_t result, const char* what) {
  switch (result) {
    case hawserSuccess:
    case hawserErrorPeerLost:
    case hawserErrorTimeout:
    case hawserErrorExpelled:
    case hawserErrorMasterUnreachable:
    case hawserErrorClosed: return;
    case hawserErrorSystem:
      if (session_.devices_are_broken()) return;
      [[fallthrough]];
    default:
      reporter_.violation("message_failed", std::string(what) + " of a message ended with " + error_word(result));
  }
}

}  // namespace hawser::churn
