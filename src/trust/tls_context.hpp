#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/badge.hpp"
#include "base/result.hpp"
#include "trust/identity.hpp"

namespace hawser::trust {

/// The clock that certificates are compared with.
std::int64_t unix_time_now();

struct TlsSettings {
  std::uint32_t protocol = 0;  ///< Version that both sides must speak.
  std::function<std::int64_t()> unix_now = unix_time_now;
  /// After so many records a sender changes its key. AES-GCM is safe for 2^24.5 (RFC 8446, 5.5).
  std::uint64_t records_per_key = std::uint64_t{1} << 23;
};

/// What all TLS connections of one process share: who it is and what it demands of others. Both sides of a connection
/// must show a certificate of the same run. TLS 1.3 without tickets, resumption or early data: who is banned cannot
/// come back by an old session. Never changes; safe from any thread.
class TlsContext {
 public:
  /// Errors: system.
  static Result<std::shared_ptr<const TlsContext>> make(Identity identity, TlsSettings settings);

  const Badge& own_badge() const { return identity_.badge(); }
  const std::string& run() const { return identity_.run(); }
  const Identity& identity() const { return identity_; }
  const TlsSettings& settings() const { return settings_; }
  /// Whether others can take this process's key now. Errors: refused, with a sentence.
  Result<void> check_own_key() const;

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;

  /// What a session has found out about the other side. OpenSSL's callbacks fill it in.
  struct Findings {
    std::optional<Badge> badge;
    std::string failure;  ///< Empty: none.
  };
  using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

  TlsContext(Identity identity, TlsSettings settings);
  bool configure();
  std::string offered_protocol() const;
  std::string server_name() const;
  bool judge(X509_STORE_CTX& chain, Findings& findings) const;

  static const TlsContext& of(SSL& session);
  static Findings& findings_of(SSL& session);
  static int verify_callback(X509_STORE_CTX* chain, void*);
  static int name_callback(SSL* session, int* alert, void*);
  static int protocol_callback(SSL* session, const unsigned char** chosen, unsigned char* chosen_bytes,
                               const unsigned char* offered, unsigned int offered_bytes, void*);

  Identity identity_;
  TlsSettings settings_;
  std::string protocols_;  ///< As ALPN has it: a length and a name.
  ContextPtr context_;
};

}  // namespace hawser::trust
