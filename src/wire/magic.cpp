#include "wire/magic.hpp"

#include <algorithm>
#include <string>

namespace hawser {
namespace {

const char* what_is_expected(const Magic& expected) {
  if (expected == kControlMagic) return "a control message was expected";
  if (expected == kGreetingMagic) return "this is a port for data connections between peers";
  if (expected == kPunchMagic) return "a peer that dials this one, too, was expected";
  if (expected == kAnswerMagic) return "the answer to a link greeting was expected";
  return "a data frame was expected";
}

/// Printable characters as they are, others in hexadecimal.
std::string quoted(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    if (value >= 0x20 && value < 0x7f && value != '"' && value != '\\') {
      text += static_cast<char>(value);
    } else {
      text += "\\x";
      text += kDigits[value >> 4];
      text += kDigits[value & 15];
    }
  }
  return text;
}

bool starts_with(std::span<const std::byte> bytes, std::span<const std::byte> start) {
  return bytes.size() >= start.size() && std::equal(start.begin(), start.end(), bytes.begin());
}

std::string what_came(std::span<const std::byte> head) {
  if (starts_with(head, kControlMagic)) return "a control message came";
  if (starts_with(head, kGreetingMagic)) return "a peer opened a data connection";
  if (starts_with(head, kAnswerMagic)) return "an answer to a link greeting came, which peers send and masters do not";
  if (starts_with(head, kFrameMagic)) return "a data frame came";
  if (starts_with(head, kPunchMagic)) return "a peer dialled that was told to";
  static constexpr std::byte kTlsAlert{0x15};
  static constexpr std::byte kTlsHandshake{0x16};
  if (head.front() == kTlsAlert || head.front() == kTlsHandshake)
    return "TLS came (\"" + quoted(head) + "\"): the other side has a secret_file, and this process has none";
  return "\"" + quoted(head) + "\" came, which is not Hawser's protocol";
}

}  // namespace

Result<void> check_magic(std::span<const std::byte> received, const Magic& expected) {
  const auto head = received.first(std::min(received.size(), expected.size()));
  if (std::equal(head.begin(), head.end(), expected.begin())) return {};
  return Error{Status::refused, std::string(what_is_expected(expected)) + ", but " + what_came(head)};
}

}  // namespace hawser
