#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "comm_session.hpp"
#include "reporter.hpp"

namespace hawser::churn {

/// The part of a round in which each member sends a message to the next one of the round's header and receives one from
/// the member before. Who has broken off a round before this leaves a message for the next one, so members are not in
/// step here: what is received is whole, of its sender, and later than what came before. Now and then one is cancelled.
class MailPhase {
 public:
  struct Round {
    std::uint64_t self = 0;                 ///< This member.
    std::span<const std::uint64_t> roster;  ///< By rank.
    std::uint64_t size_class = 0;           ///< The same number at all members: how long the messages are.
  };

  MailPhase(CommSession& session, Reporter& reporter, std::uint64_t seed)
      : session_(session), reporter_(reporter), random_(seed) {}

  /// Blocks as long as a message does, at most some seconds. A lost member or a time-out is no reason to break the
  /// round off.
  Next run(const Round& round);

 private:
  static constexpr std::array<std::size_t, 4> kWords{5, 375, 8192, 37'500};  ///< 64 KiB are the most that go at once.

  struct Both {
    hawserResult_t received = hawserErrorInternal;
    hawserResult_t sent = hawserErrorInternal;
  };
  Both exchange(const Round& round, std::uint64_t from, std::uint64_t to);
  void check(std::uint64_t from, std::size_t size, std::span<const std::uint64_t> words);
  void judge(hawserResult_t result, const char* what);

  CommSession& session_;
  Reporter& reporter_;
  std::mt19937_64 random_;
  std::uint64_t sent_ = 0;
  std::map<std::pair<std::uint64_t, std::size_t>, std::uint64_t> latest_;  ///< By sender and size.
};

}  // namespace hawser::churn
