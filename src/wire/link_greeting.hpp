#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/digest128.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

/// What a dialer says first on a data connection, and what the acceptor answers. After an accepting answer
/// both sides send data frames. docs/protocol.md has the layouts.
namespace hawser {

inline constexpr std::size_t kGreetingBytes = 64;
inline constexpr std::size_t kGreetingAnswerBytes = 32;

/// What a connection between data ports is opened for.
enum class GreetingKind : std::uint16_t {
  link = 0,  ///< To carry frames of a link between both ends.
  // To a go-between, a third member, which joins the two connections end to end:
  asks_through = 1,   ///< "Bring me together with `to`."
  comes_through = 2,  ///< "You told me that `to` waits for me here."
};

struct LinkGreeting {
  std::uint64_t link_secret = 0;  ///< Of the view that the dialer is in.
  PeerId from;
  PeerId to;  ///< Whoever is dialled, or lies beyond it.
  std::uint32_t connection_index = 0;  ///< Which one of the link's connections this is.
  std::uint32_t connections_total = 1;
  /// Of the dialer's machine and of both ends of this connection as it sees them: equal to what the acceptor finds only
  /// if they share the machine and nothing lies between them. All zero: it has none.
  Digest128 machine_proof{};
  GreetingKind kind = GreetingKind::link;
  friend bool operator==(const LinkGreeting&, const LinkGreeting&) = default;
};

enum class GreetingAnswer : std::uint32_t {
  accepted = 1,
  /// No such link is expected here: other peer, other view, or not yet told of it. The dialer tries again
  /// while its own view holds.
  refused_unknown = 2,
  refused_busy = 3,  ///< Too many connections at this moment: try again later.
};

/// What either side of a connection says before all else, TLS included, if one of them was told by the master to dial
/// the other, which does the same. It tells two dials that have crossed from one that was accepted.
enum class PunchHello : std::uint8_t { dialled = 1, accepted = 2 };
inline constexpr std::size_t kPunchHelloBytes = 8;
std::array<std::byte, kPunchHelloBytes> encode_punch_hello(PunchHello hello);
/// Errors: refused, with a sentence.
Result<PunchHello> decode_punch_hello(std::span<const std::byte, kPunchHelloBytes> in);

std::array<std::byte, kGreetingBytes> encode_greeting(const LinkGreeting& greeting);
/// `machine_proof`: as in the greeting, of the acceptor.
std::array<std::byte, kGreetingAnswerBytes> encode_greeting_answer(GreetingAnswer answer,
                                                                   const Digest128& machine_proof = {});

/// Whether these first bytes of a connection (any number from 0) can become a greeting, so that a stray
/// client is refused without waiting for more. Errors: refused, with a sentence.
Result<void> check_greeting_start(std::span<const std::byte> received);

/// Errors: refused, where magic, version, checksum or a field is wrong. The secret and the ids are the
/// caller's to judge.
Result<LinkGreeting> decode_greeting(std::span<const std::byte, kGreetingBytes> in);
struct AnsweredGreeting {
  GreetingAnswer answer = GreetingAnswer::refused_unknown;
  Digest128 machine_proof{};
};
/// Errors: refused, where it is no such answer.
Result<AnsweredGreeting> decode_greeting_answer(std::span<const std::byte, kGreetingAnswerBytes> in);

}  // namespace hawser
