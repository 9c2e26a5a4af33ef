// All that is read of a stranger before it has proven who it is, and the files that keys lie in. The first byte says
// what the rest is: what a client says, what a server answers, a certificate, a run's secret, an issued key, or choices
// for somebody between two honest sides who changes what passes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/loggable_text.hpp"
#include "fuzz/refusal.hpp"
#include "fuzz/script_choices.hpp"
#include "fuzz/trust_run.hpp"
#include "trust/certificate.hpp"

namespace {

using namespace hawser;
using testing::Choices;
using trust::TlsSession;
using Bytes = std::vector<std::byte>;

const std::shared_ptr<const trust::TlsContext>& context() {
  static const auto made = testing::trust_context();
  return made;
}

const trust::Identity& holder() {
  static const auto made = trust::Identity::of_secret(testing::trust_secret(), testing::kTrustNow);
  return made.value();
}

void check_sentence(const std::string& sentence) {
  HAWSER_ASSERT(!first_unloggable(sentence));
  HAWSER_ASSERT(sentence.size() <= 2048);
}

/// Nobody without a key of the run is let in, and nothing is read from it.
void check_stranger(TlsSession::Side side, std::span<const std::byte> said) {
  TlsSession session(context(), side);
  session.shake_hands();
  session.sent(session.to_send().size());
  const bool takes_more = testing::feed(session, said);
  session.received_end();
  session.shake_hands();
  HAWSER_ASSERT(!session.is_established());
  HAWSER_ASSERT(takes_more || !session.failure().empty());
  HAWSER_ASSERT(session.to_send().size() <= trust::kCipherBlockBytes);
  Bytes into(100);
  HAWSER_ASSERT(session.read(into) == 0);
  check_sentence(session.failure());
}

void check_certificate(std::span<const std::byte> encoded) {
  const auto* from = reinterpret_cast<const unsigned char*>(encoded.data());
  const trust::CertificatePtr certificate(d2i_X509(nullptr, &from, static_cast<long>(encoded.size())));
  ERR_clear_error();
  if (!certificate) return;
  const auto badge = trust::read_badge(*certificate);
  if (!badge.ok()) testing::check_refusal(badge.error());
  const auto verified = trust::verify_certificate(*certificate, holder().authority(), testing::kTrustNow);
  if (!verified.ok()) return testing::check_refusal(verified.error());
  HAWSER_ASSERT(badge.ok() && *badge == *verified);
}

void check_secret(std::string_view text) {
  const auto secret = trust::RunSecret::parse(text);
  if (!secret.ok()) return check_sentence(secret.error().sentence);
  HAWSER_ASSERT(secret->text() == text);
}

void check_key_file(std::string_view text) {
  const auto identity = trust::Identity::parse(text, testing::kTrustNow);
  if (!identity.ok()) return check_sentence(identity.error().sentence);
  HAWSER_ASSERT(!identity->badge().name.empty());
}

/// Changes, repeats or leaves out some of what passes. True: it is another thing now.
bool tamper(Choices& choices, Bytes& bytes) {
  const Bytes before = bytes;
  for (std::size_t changes = choices.below(4); changes > 0 && !bytes.empty(); --changes) {
    const std::size_t at = (choices.byte() << 8 | choices.byte()) % bytes.size();
    switch (choices.below(3)) {
      case 0: bytes[at] ^= static_cast<std::byte>(choices.byte()); break;
      case 1: bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at)); break;
      default: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes[at]); break;
    }
  }
  return bytes != before;
}

void check_tampered(Choices choices) {
  TlsSession server(context(), TlsSession::Side::accepting);
  TlsSession client(context(), TlsSession::Side::dialling);
  bool is_changed = false;
  const auto carry = [&](TlsSession& from, TlsSession& to) {
    from.shake_hands();
    Bytes bytes(from.to_send().begin(), from.to_send().end());
    from.sent(bytes.size());
    is_changed = tamper(choices, bytes) || is_changed;
    testing::feed(to, bytes);
  };
  for (int i = 0; i < 3; ++i) {
    carry(client, server);
    carry(server, client);
  }
  if (!is_changed) HAWSER_ASSERT(server.is_established() && client.is_established());
  // Some bytes mean nothing, such as the version of the first record. Both sides have agreed all the same then, and
  // what is left of the change spoils the next record at most.
  if (server.is_established() && client.is_established()) {
    HAWSER_ASSERT(*server.badge() == context()->own_badge());
    const Bytes said(100, std::byte{7});
    Bytes heard(100);
    HAWSER_ASSERT(client.write(said) == said.size());
    testing::feed(server, client.to_send());
    HAWSER_ASSERT(server.read(heard) == 0 ? is_changed : heard == said);
  }
  check_sentence(server.failure());
  check_sentence(client.failure());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  switch (data[0] % 6) {
    case 0: check_stranger(TlsSession::Side::accepting, bytes); break;
    case 1: check_stranger(TlsSession::Side::dialling, bytes); break;
    case 2: check_certificate(bytes); break;
    case 3: check_secret(text); break;
    case 4: check_key_file(text); break;
    default: check_tampered(Choices(bytes)); break;
  }
  return 0;
}
