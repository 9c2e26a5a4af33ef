#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/badge.hpp"
#include "base/key_id.hpp"
#include "base/result.hpp"
#include "trust/openssl_objects.hpp"

/// Certificates of a run: X.509 (RFC 5280) with Ed25519 keys. The subject's common name is the holder's name. One
/// extension of our own holds role and groups. Each is signed by the run's authority itself.
namespace hawser::trust {

/// Two machines' clocks may differ by so much.
inline constexpr std::int64_t kClockToleranceS = 15 * 60;
inline constexpr std::size_t kBadgeGroupsMax = 64;

/// What an authority says of a key.
struct CertificateTerms {
  std::string name;  ///< 1 to 63 bytes of UTF-8 without control characters.
  Role role = Role::observer;
  std::vector<std::uint32_t> groups{};  ///< Ascending, kBadgeGroupsMax at most. Empty: all.
  bool holds_secret = false;
  std::int64_t begins_unix_s = 0;
  std::int64_t expires_unix_s = 0;
};

/// A new Ed25519 key. Errors: system.
Result<KeyPtr> make_key();

KeyId key_id_of(EVP_PKEY& key);
/// The run's name: of its authority's KeyId the first 16 bytes, in hexadecimal.
std::string run_name_of(EVP_PKEY& authority);

/// Errors: invalid_argument, where the terms are none that read_badge() takes; system.
Result<CertificatePtr> issue_certificate(const CertificateTerms& terms, EVP_PKEY& holder, EVP_PKEY& authority);
/// The authority's own, signed by itself. It says of itself nothing but the run's name.
Result<CertificatePtr> issue_run_certificate(EVP_PKEY& authority, std::int64_t now_unix_s);

/// What a certificate says, whoever signed it. Errors: refused, where it is not one that issue_certificate() makes.
Result<Badge> read_badge(X509& certificate);
/// Whether the clocks agree that it is valid. Errors: refused, with a sentence about "`whose` key".
Result<void> check_time(X509& certificate, std::int64_t now_unix_s, const std::string& whose);
/// The badge, if the authority signed it and it is valid now. Errors: refused, with a sentence about "it".
Result<Badge> verify_certificate(X509& certificate, EVP_PKEY& authority, std::int64_t now_unix_s);

}  // namespace hawser::trust
