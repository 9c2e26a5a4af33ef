#include "trust/certificate.hpp"

#include <openssl/asn1.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <new>

#include "base/limits.hpp"
#include "base/loggable_text.hpp"
#include "trust/badge_text.hpp"

namespace hawser::trust {
namespace {

/// An arc made of a UUID (ITU-T X.667), so that no registry is needed.
constexpr const char* kBadgeOid = "2.25.145047063617612034876042964616539446337";
constexpr long kVersion3 = 2;
constexpr std::size_t kSerialBytes = 16;
constexpr std::size_t kRunNameBytes = 16;
constexpr std::size_t kBadgeTextBytesMax = 1024;
constexpr const char* kIssuerPrefix = "hawser run ";

using ObjectPtr = std::unique_ptr<ASN1_OBJECT, Freed<ASN1_OBJECT_free>>;
using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, Freed<ASN1_OCTET_STRING_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

Error not_of_hawser(const std::string& why) {
  return {Status::refused, "its certificate is none that Hawser issues: " + why};
}

Error certificate_error() {
  return {Status::system, "a certificate cannot be made: " + openssl_reason()};
}

std::string utc_text(std::int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&time, &parts) == nullptr || std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts) == 0)
    return "a date beyond the calendar";
  return text.data();
}

/// Seconds since 1970; none where it is no time.
std::optional<std::int64_t> unix_time_of(const ASN1_TIME& time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(&time, &parts) != 1) return std::nullopt;
  return timegm(&parts);
}

/// The only entry of a name, if that is a common name.
std::optional<std::string> common_name_of(const X509_NAME* name) {
  if (name == nullptr || X509_NAME_entry_count(name) != 1) return std::nullopt;
  const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return std::nullopt;
  const ASN1_STRING* const text = X509_NAME_ENTRY_get_data(entry);
  if (ASN1_STRING_type(text) != V_ASN1_UTF8STRING) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax && !first_unloggable(name);
}

bool add_common_name(X509_NAME* name, const std::string& text) {
  return X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()),
                                    -1, 0) == 1;
}

bool add_serial(X509& certificate) {
  std::array<unsigned char, kSerialBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // Positive, and of one length.
  using NumberPtr = std::unique_ptr<BIGNUM, Freed<BN_free>>;
  const NumberPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

bool add_badge(X509& certificate, const std::string& text) {
  const ObjectPtr id(OBJ_txt2obj(kBadgeOid, 1));
  const OctetsPtr octets(ASN1_OCTET_STRING_new());
  if (!id || !octets ||
      ASN1_OCTET_STRING_set(octets.get(), reinterpret_cast<const unsigned char*>(text.data()),
                            static_cast<int>(text.size())) != 1)
    return false;
  const ExtensionPtr extension(X509_EXTENSION_create_by_OBJ(nullptr, id.get(), 1, octets.get()));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

struct Subject {
  const std::string& name;
  const std::string& badge;  ///< Empty: none.
  std::int64_t begins_unix_s = 0;
  std::int64_t expires_unix_s = 0;
};

Result<CertificatePtr> sign(const Subject& subject, EVP_PKEY& holder, EVP_PKEY& authority) {
  CertificatePtr certificate(X509_new());
  if (!certificate) return certificate_error();
  X509& one = *certificate;
  const bool made = X509_set_version(&one, kVersion3) == 1 && add_serial(one) &&
                    add_common_name(X509_get_issuer_name(&one), kIssuerPrefix + run_name_of(authority)) &&
                    add_common_name(X509_get_subject_name(&one), subject.name) &&
                    ASN1_TIME_set(X509_getm_notBefore(&one), subject.begins_unix_s) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(&one), subject.expires_unix_s) != nullptr &&
                    X509_set_pubkey(&one, &holder) == 1 && (subject.badge.empty() || add_badge(one, subject.badge)) &&
                    X509_sign(&one, &authority, nullptr) > 0;
  if (!made) return certificate_error();
  return certificate;
}

/// Frees the encoded key.
KeyId key_id_of_encoded(unsigned char* encoded, int bytes) {
  if (bytes <= 0) throw std::bad_alloc();
  KeyId id;
  SHA256(encoded, static_cast<std::size_t>(bytes), id.bytes.data());
  OPENSSL_free(encoded);
  return id;
}

Result<BadgeText> badge_text_of(X509& certificate) {
  const ObjectPtr id(OBJ_txt2obj(kBadgeOid, 1));
  if (X509_get_ext_count(&certificate) != 1) return not_of_hawser("it has not exactly one extension");
  X509_EXTENSION* const extension = X509_get_ext(&certificate, 0);
  if (!id || OBJ_cmp(X509_EXTENSION_get_object(extension), id.get()) != 0)
    return not_of_hawser("its extension is no badge");
  const ASN1_OCTET_STRING* const octets = X509_EXTENSION_get_data(extension);
  const auto bytes = static_cast<std::size_t>(ASN1_STRING_length(octets));
  if (bytes > kBadgeTextBytesMax) return not_of_hawser("its badge is too long");
  const auto badge =
      parse_badge_text({reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets)), bytes});
  if (!badge) return not_of_hawser("its badge cannot be read; maybe a later version made it");
  return *badge;
}

}  // namespace

Result<KeyPtr> make_key() {
  KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) return Error{Status::system, "a key cannot be made: " + openssl_reason()};
  return key;
}

KeyId key_id_of(EVP_PKEY& key) {
  unsigned char* encoded = nullptr;
  const int bytes = i2d_PUBKEY(&key, &encoded);
  return key_id_of_encoded(encoded, bytes);
}

std::string run_name_of(EVP_PKEY& authority) { return to_string(key_id_of(authority)).substr(0, 2 * kRunNameBytes); }

Result<CertificatePtr> issue_certificate(const CertificateTerms& terms, EVP_PKEY& holder, EVP_PKEY& authority) {
  const auto wrong = [](const std::string& why) { return Error{Status::invalid_argument, why}; };
  if (!is_name(terms.name))
    return wrong("a name must have 1 to " + std::to_string(limits::kNameBytesMax) +
                 " bytes of UTF-8 without control characters");
  if (!terms.holds_secret && terms.name.find('/') != std::string::npos)
    return wrong("the name '" + terms.name +
                 "' has a '/': that stands between a key's name and what its holder adds to it");
  if (terms.expires_unix_s <= terms.begins_unix_s) return wrong("a key must be valid for some time");
  const std::string badge =
      to_string(BadgeText{.role = terms.role, .groups = terms.groups, .holds_secret = terms.holds_secret});
  if (!parse_badge_text(badge))
    return wrong("groups must be in ascending order, each once, and " + std::to_string(kBadgeGroupsMax) + " at most");
  return sign({.name = terms.name,
               .badge = badge,
               .begins_unix_s = terms.begins_unix_s,
               .expires_unix_s = terms.expires_unix_s},
              holder, authority);
}

Result<CertificatePtr> issue_run_certificate(EVP_PKEY& authority, std::int64_t now_unix_s) {
  // Nobody compares it with a clock: what it signs has an end.
  constexpr std::int64_t kAges = std::int64_t{100} * 365 * 24 * 3600;
  const std::string name = kIssuerPrefix + run_name_of(authority);
  return sign({.name = name, .badge = {}, .begins_unix_s = now_unix_s, .expires_unix_s = now_unix_s + kAges}, authority,
              authority);
}

Result<Badge> read_badge(X509& certificate) {
  if (X509_get_version(&certificate) != kVersion3) return not_of_hawser("it is not of version 3");
  EVP_PKEY* const key = X509_get0_pubkey(&certificate);
  if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) return not_of_hawser("its key is not of Ed25519");
  if (X509_get_signature_nid(&certificate) != NID_ED25519) return not_of_hawser("its signature is not of Ed25519");
  const auto name = common_name_of(X509_get_subject_name(&certificate));
  if (!name || !is_name(*name)) return not_of_hawser("it does not name its holder");
  const auto expires = unix_time_of(*X509_get0_notAfter(&certificate));
  if (!expires || !unix_time_of(*X509_get0_notBefore(&certificate)))
    return not_of_hawser("it does not say from when and until when it is valid");
  auto text = badge_text_of(certificate);
  if (!text.ok()) return text.error();
  // As it stands in the certificate: encoding a key anew takes OpenSSL longer than a signature.
  unsigned char* encoded = nullptr;
  const int bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &encoded);
  return Badge{.key = key_id_of_encoded(encoded, bytes),
               .name = *name,
               .role = text->role,
               .groups = std::move(text->groups),
               .expires_unix_s = *expires,
               .holds_secret = text->holds_secret};
}

Result<void> check_time(X509& certificate, std::int64_t now_unix_s, const std::string& whose) {
  const auto begins = unix_time_of(*X509_get0_notBefore(&certificate));
  const auto expires = unix_time_of(*X509_get0_notAfter(&certificate));
  if (!begins || !expires) return not_of_hawser("it does not say from when and until when it is valid");
  const std::string name = common_name_of(X509_get_subject_name(&certificate)).value_or("");
  const std::string key = whose + " key (" + make_loggable(name, limits::kNameBytesMax) + ")";
  if (now_unix_s > *expires + kClockToleranceS)
    return Error{Status::refused, key + " has expired since " + utc_text(*expires) +
                                      "; issue another one with `hawser keygen --issue`"};
  if (now_unix_s < *begins - kClockToleranceS)
    return Error{Status::refused, key + " is not valid before " + utc_text(*begins) +
                                      "; compare the clocks of both machines"};
  return {};
}

Result<Badge> verify_certificate(X509& certificate, EVP_PKEY& authority, std::int64_t now_unix_s) {
  ERR_clear_error();
  const bool is_signed = X509_verify(&certificate, &authority) == 1;
  ERR_clear_error();
  if (!is_signed) {
    const auto issuer = common_name_of(X509_get_issuer_name(&certificate));
    if (issuer == kIssuerPrefix + run_name_of(authority))
      return Error{Status::refused, "its certificate was not signed by this run's secret, though it says so; somebody "
                                    "forged or changed it"};
    return Error{Status::refused,
                 "its key is of another run; both sides need the secret_file, or keys issued from it, of one run"};
  }
  auto badge = read_badge(certificate);
  if (!badge.ok()) return badge;
  if (const auto valid = check_time(certificate, now_unix_s, "its"); !valid.ok()) return valid.error();
  return badge;
}

}  // namespace hawser::trust
