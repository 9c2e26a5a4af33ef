#include "trust/tls_context.hpp"

#include <chrono>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include "base/loggable_text.hpp"
#include "trust/certificate.hpp"
#include "trust/cpu_ciphers.hpp"

namespace hawser::trust {
namespace {

constexpr const char* kProtocolPrefix = "hawser/";
constexpr const char* kServerNameSuffix = ".hawser";
/// A certificate of ours has about 400 bytes.
constexpr long kCertificateBytesMax = 4 << 10;
constexpr std::size_t kOfferedBytesMax = 100;

constexpr std::uint64_t kOptions = SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;

}  // namespace

std::int64_t unix_time_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

TlsContext::TlsContext(Identity identity, TlsSettings settings)
    : identity_(std::move(identity)), settings_(std::move(settings)) {
  const std::string protocol = offered_protocol();
  protocols_ = static_cast<char>(protocol.size()) + protocol;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::make(Identity identity, TlsSettings settings) {
  // Threads of ours may still run while the process ends: nothing of OpenSSL is taken down before them.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr);
  ERR_clear_error();
  std::shared_ptr<TlsContext> made(new TlsContext(std::move(identity), std::move(settings)));
  if (!made->configure()) return Error{Status::system, "TLS cannot be set up: " + openssl_reason()};
  return std::shared_ptr<const TlsContext>(std::move(made));
}

bool TlsContext::configure() {
  context_.reset(SSL_CTX_new(TLS_method()));
  if (!context_) return false;
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_options(context, kOptions);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, kCertificateBytesMax);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_callback, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context, name_callback);
  SSL_CTX_set_alpn_select_cb(context, protocol_callback, nullptr);
  const auto* const offered = reinterpret_cast<const unsigned char*>(protocols_.data());
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_ciphersuites(context, cipher_suites_of_this_cpu()) == 1 &&
         SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
         SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1 &&
         SSL_CTX_set1_client_sigalgs_list(context, "ed25519") == 1 &&
         SSL_CTX_set_alpn_protos(context, offered, static_cast<unsigned>(protocols_.size())) == 0 &&
         SSL_CTX_use_certificate(context, &identity_.certificate()) == 1 &&
         SSL_CTX_use_PrivateKey(context, &identity_.key()) == 1 && SSL_CTX_check_private_key(context) == 1;
}

std::string TlsContext::offered_protocol() const { return kProtocolPrefix + std::to_string(settings_.protocol); }

std::string TlsContext::server_name() const { return run() + kServerNameSuffix; }

Result<void> TlsContext::check_own_key() const {
  return check_time(identity_.certificate(), settings_.unix_now(), "this process's");
}

const TlsContext& TlsContext::of(SSL& session) {
  return *static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(&session)));
}

TlsContext::Findings& TlsContext::findings_of(SSL& session) {
  return *static_cast<Findings*>(SSL_get_app_data(&session));
}

/// Nothing but the run's own authority is trusted, and it signs every certificate itself.
bool TlsContext::judge(X509_STORE_CTX& chain, Findings& findings) const {
  X509* const certificate = X509_STORE_CTX_get0_cert(&chain);
  X509_STORE_CTX_set_error(&chain, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  if (certificate == nullptr) {
    findings.failure = "it showed no certificate";
    return false;
  }
  if (const auto* const sent = X509_STORE_CTX_get0_untrusted(&chain); sent != nullptr && sk_X509_num(sent) > 1) {
    findings.failure = "it showed more than one certificate, which no Hawser does";
    return false;
  }
  const std::int64_t now_unix_s = settings_.unix_now();
  auto badge = verify_certificate(*certificate, identity_.authority(), now_unix_s);
  if (!badge.ok()) {
    const bool is_of_run = X509_verify(certificate, &identity_.authority()) == 1;
    ERR_clear_error();
    if (is_of_run && read_badge(*certificate).ok())
      X509_STORE_CTX_set_error(&chain, X509_V_ERR_CERT_HAS_EXPIRED);
    findings.failure = badge.error().sentence;
    return false;
  }
  findings.badge = std::move(*badge);
  X509_STORE_CTX_set_error(&chain, X509_V_OK);
  return true;
}

int TlsContext::verify_callback(X509_STORE_CTX* chain, void*) {
  auto* const session =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  try {
    return of(*session).judge(*chain, findings_of(*session)) ? 1 : 0;
  } catch (const std::bad_alloc&) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_OUT_OF_MEM);
    return 0;
  }
}

/// A client of another run is known before it shows a certificate.
int TlsContext::name_callback(SSL* session, int* alert, void*) {
  const char* const name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
  try {
    if (name != nullptr && of(*session).server_name() == name) return SSL_TLSEXT_ERR_OK;
    findings_of(*session).failure =
        name != nullptr && std::string_view(name).ends_with(kServerNameSuffix)
            ? "it is of another run; both sides need the secret_file, or keys issued from it, of one run"
            : "it speaks TLS, but is no Hawser";
  } catch (const std::bad_alloc&) {
    // It is refused without a sentence.
  }
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int TlsContext::protocol_callback(SSL* session, const unsigned char** chosen, unsigned char* chosen_bytes,
                                  const unsigned char* offered, unsigned int offered_bytes, void*) {
  try {
    const TlsContext& context = of(*session);
    const std::string_view list(reinterpret_cast<const char*>(offered), offered_bytes);
    if (list == context.protocols_) {
      *chosen = offered + 1;
      *chosen_bytes = static_cast<unsigned char>(offered_bytes - 1);
      return SSL_TLSEXT_ERR_OK;
    }
    findings_of(*session).failure = "it speaks " + make_loggable(list.substr(1), kOfferedBytesMax) +
                                    ", and this process " + context.offered_protocol() +
                                    "; all of a run need the same version of Hawser";
  } catch (const std::bad_alloc&) {
    // It is refused without a sentence.
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace hawser::trust
