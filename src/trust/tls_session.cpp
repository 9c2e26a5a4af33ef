#include "trust/tls_session.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "base/assert.hpp"

namespace hawser::trust {
namespace {

constexpr std::byte kHandshakeRecord{0x16};
constexpr std::byte kAlertRecord{0x15};
/// "protocol_version", in plain: whoever does not speak TLS can tell by it what was wanted.
constexpr std::array kPlainAlert{std::byte{0x15}, std::byte{3}, std::byte{3}, std::byte{0},
                                 std::byte{2},    std::byte{2}, std::byte{70}};
/// Left free in a block for what TLS itself has to say.
constexpr std::size_t kOwnBytes = 2 << 10;

constexpr const char* kNoTls =
    "the other side does not speak TLS: it has no secret_file, or is no Hawser of this run";

}  // namespace

// ---------------------------------------------------------------------------------------- OpenSSL's side

int TlsSession::bio_read(BIO* bio, char* into, std::size_t bytes, std::size_t* count) {
  auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *count = 0;
  // The end for OpenSSL, which would go on by itself as long as there is something.
  if (session.own_messages_ > kOwnMessagesMax) return 0;
  *count = std::min(bytes, session.in_.waiting().size());
  if (*count == 0) {
    if (!session.connection_ended_) BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(into, session.in_.waiting().data(), *count);
  session.in_.take(*count);
  return 1;
}

/// write() leaves room for all that one call of OpenSSL can say.
int TlsSession::bio_write(BIO* bio, const char* from, std::size_t bytes, std::size_t* count) {
  auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *count = 0;
  if (session.out_.room_bytes() < bytes) return 0;
  try {
    std::memcpy(session.out_.room().data(), from, bytes);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  session.out_.add(bytes);
  *count = bytes;
  return 1;
}

long TlsSession::bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<TlsSession*>(BIO_get_data(bio))->connection_ended_ ? 1 : 0;
  return 0;
}

/// Each update of a key makes this side derive one, and a peer may ask for it as fast as it can write.
void TlsSession::message_callback(int is_sent, int, int kind, const void*, std::size_t, SSL*, void* session) {
  auto& self = *static_cast<TlsSession*>(session);
  if (is_sent == 0 && kind == SSL3_RT_HANDSHAKE && self.is_established_) ++self.own_messages_;
}

/// Never freed: sessions may be there until the process ends.
BIO_METHOD* TlsSession::bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hawser ciphertext");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, Side side)
    : context_(std::move(context)), side_(side), ssl_(SSL_new(context_->context_.get())) {
  BIO* const bio = ssl_ ? BIO_new(bio_method()) : nullptr;
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), &findings_);
  SSL_set_msg_callback(ssl_.get(), message_callback);
  SSL_set_msg_callback_arg(ssl_.get(), this);
  if (side_ == Side::accepting) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  if (SSL_set_tlsext_host_name(ssl_.get(), context_->server_name().c_str()) != 1) throw std::bad_alloc();
}

TlsSession::~TlsSession() = default;

// -------------------------------------------------------------------------------------------- ciphertext

std::span<std::byte> TlsSession::room() {
  if (!failure().empty() || has_heard_end_) return {};
  const std::span<std::byte> all = in_.room();
  return is_established_ ? all : all.first(std::min(all.size(), kHandshakeBytesMax - handshake_bytes_));
}

void TlsSession::received(std::size_t bytes) {
  const bool is_first = !is_established_ && handshake_bytes_ == 0 && bytes > 0;
  in_.add(bytes);
  if (!is_established_) handshake_bytes_ += bytes;
  if (is_first) check_first_byte();
}

/// Before OpenSSL sees it: a peer without TLS gets an answer that it can make sense of.
void TlsSession::check_first_byte() {
  const std::byte first = in_.waiting().front();
  if (first == kHandshakeRecord || (first == kAlertRecord && side_ == Side::dialling)) return;
  if (side_ == Side::accepting) {
    std::memcpy(out_.room().data(), kPlainAlert.data(), kPlainAlert.size());
    out_.add(kPlainAlert.size());
  }
  fail(kNoTls);
}

void TlsSession::received_end() { connection_ended_ = true; }

std::span<const std::byte> TlsSession::to_send() const { return out_.waiting(); }

void TlsSession::sent(std::size_t bytes) { out_.take(bytes); }

void TlsSession::settle() {
  in_.settle();
  out_.settle();
}

bool TlsSession::has_received() const { return !in_.empty() || SSL_pending(ssl_.get()) > 0; }

std::vector<std::byte> TlsSession::take_rest() {
  std::vector<std::byte> rest(in_.waiting().begin(), in_.waiting().end());
  in_.take(rest.size());
  return rest;
}

// ------------------------------------------------------------------------------------------------ TLS

bool TlsSession::shake_hands() {
  if (is_established_) return true;
  if (!failure().empty() || has_ended_) return false;
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1)
    finish_handshake();
  else
    stop(outcome);
  if (!is_established_ && failure().empty() && in_.empty() && handshake_bytes_ == kHandshakeBytesMax)
    fail("it said more than a TLS handshake needs");
  return is_established_;
}

void TlsSession::finish_handshake() {
  const unsigned char* chosen = nullptr;
  unsigned int bytes = 0;
  SSL_get0_alpn_selected(ssl_.get(), &chosen, &bytes);
  if (bytes == 0) return fail("it speaks TLS, but is no Hawser");
  HAWSER_ASSERT(findings_.badge.has_value());
  is_established_ = true;
}

std::size_t TlsSession::read(std::span<std::byte> into) {
  if (!shake_hands() || has_ended_ || !failure().empty()) return 0;
  std::size_t done = 0;
  while (done < into.size()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int outcome = SSL_read_ex(ssl_.get(), into.data() + done, into.size() - done, &count);
    if (outcome != 1) {
      stop(outcome);
      break;
    }
    own_messages_ = 0;
    done += count;
  }
  return done;
}

std::size_t TlsSession::write(std::span<const std::byte> from) {
  HAWSER_ASSERT(is_established_ && !has_said_end_);
  std::size_t done = 0;
  while (done < from.size() && failure().empty()) {
    constexpr std::size_t kNeeded = kRecordBytesMax + kRecordOverheadBytes;
    if (out_.room_bytes() < kNeeded + kOwnBytes) break;
    if (++records_ > context_->settings().records_per_key) change_key();
    ERR_clear_error();
    std::size_t count = 0;
    const int outcome =
        SSL_write_ex(ssl_.get(), from.data() + done, std::min(from.size() - done, kRecordBytesMax), &count);
    if (outcome != 1) {
      stop(outcome);
      break;
    }
    done += count;
  }
  return done;
}

void TlsSession::change_key() {
  records_ = 1;
  if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) stop(0);
}

void TlsSession::say_end() {
  if (has_said_end_ || !is_established_ || !failure().empty()) return;
  has_said_end_ = true;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

// --------------------------------------------------------------------------------------------- failures

/// OpenSSL did not do what it was asked for.
void TlsSession::stop(int outcome) {
  if (own_messages_ > kOwnMessagesMax) {
    ERR_clear_error();
    return fail("it changed its key again and again and said nothing with it, which no Hawser does");
  }
  const int why = SSL_get_error(ssl_.get(), outcome);
  if (why == SSL_ERROR_WANT_READ) return;
  if (why == SSL_ERROR_ZERO_RETURN) {
    has_ended_ = has_heard_end_ = true;
    return;
  }
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  // A connection that is cut tells no more than one that says its end: what it carried has lengths of its own.
  if (is_established_ && connection_ended_ && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    has_ended_ = true;
    return;
  }
  was_cut_ = !is_established_ && connection_ended_ && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING &&
             findings_.failure.empty();
  fail(describe(code));
}

void TlsSession::fail(std::string why) {
  findings_.badge.reset();
  is_established_ = false;
  // What was found out before OpenSSL stopped says more.
  if (findings_.failure.empty()) findings_.failure = std::move(why);
}

std::string TlsSession::describe(unsigned long code) const {
  switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL: return kNoTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "it does not speak TLS 1.3, which Hawser requires";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "it showed no certificate; it needs a secret_file of this run";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "it refused this process's key, since its time is over or has not begun; compare the clocks, or have "
             "another key issued";
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return "it has no secret_file, and this process has one; give it a key of this run";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_UNRECOGNIZED_NAME:
      return "it is of another run, and refused this process; both sides need the secret_file, or keys issued from it, "
             "of one run";
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
      return "it speaks another version of Hawser's protocol; all of a run need the same version of Hawser";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_SSLV3_ALERT_BAD_RECORD_MAC:
      return "what came was changed on the way, or is not from the other side; a faulty device, or an attacker";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "it closed the connection before both sides had proven who they are; it may have too many connections "
             "now, or be no Hawser of this run";
    default: break;
  }
  const char* const reason = ERR_reason_error_string(code);
  return std::string("TLS failed: ") + (reason != nullptr ? reason : "OpenSSL does not say why");
}

}  // namespace hawser::trust
