#include "trust/identity.hpp"

#include <openssl/pem.h>

#include <array>

#include "files/open_file.hpp"
#include "trust/certificate.hpp"
#include "trust/private_file.hpp"

namespace hawser::trust {
namespace {

constexpr std::string_view kIssuedHeader = "hawser-issued-key 1\n";
constexpr std::size_t kKeyFileBytesMax = 16 << 10;
constexpr std::int64_t kDayS = 24 * 3600;
/// Whoever holds the secret can make itself another certificate at any time.
constexpr std::int64_t kHoldersDays = 3650;
constexpr const char* kHoldersName = "holder of the secret";

Error no_key_file(const std::string& why) { return {Status::invalid_argument, "the file holds no issued key: " + why}; }

/// No key file has a passphrase, and nobody is to be asked for one.
int no_passphrase(char*, int, int, void*) { return -1; }

/// The content of a key file, without its first line.
Result<std::string> pem_of(EVP_PKEY& key, X509& certificate, X509& run) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  const bool written = bio && PEM_write_bio_PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1 &&
                       PEM_write_bio_X509(bio.get(), &certificate) == 1 && PEM_write_bio_X509(bio.get(), &run) == 1;
  if (!written) return Error{Status::system, "a key cannot be written: " + openssl_reason()};
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(bytes));
}

/// The public half alone.
Result<KeyPtr> public_key_of(EVP_PKEY& key) {
  std::array<unsigned char, 32> bytes{};
  std::size_t count = bytes.size();
  KeyPtr half(EVP_PKEY_get_raw_public_key(&key, bytes.data(), &count) == 1
                  ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), count)
                  : nullptr);
  if (!half) return Error{Status::invalid_argument, "the run's key is not of Ed25519"};
  return half;
}

}  // namespace

Identity::Identity(KeyPtr key, CertificatePtr certificate, KeyPtr authority, Badge badge)
    : key_(std::move(key)),
      certificate_(std::move(certificate)),
      authority_(std::move(authority)),
      badge_(std::move(badge)),
      run_(run_name_of(*authority_)) {}

Result<Identity> Identity::of_secret(const RunSecret& secret, std::int64_t now_unix_s) {
  auto authority = secret.authority();
  if (!authority.ok()) return authority.error();
  auto key = make_key();
  if (!key.ok()) return key.error();
  auto certificate = issue_certificate({.name = kHoldersName,
                                        .role = Role::run_operator,
                                        .holds_secret = true,
                                        .begins_unix_s = now_unix_s,
                                        .expires_unix_s = now_unix_s + kHoldersDays * kDayS},
                                       **key, **authority);
  if (!certificate.ok()) return certificate.error();
  auto badge = read_badge(**certificate);
  if (!badge.ok()) return badge.error();
  // What signs others is not kept.
  auto known = public_key_of(**authority);
  if (!known.ok()) return known.error();
  return Identity(std::move(*key), std::move(*certificate), std::move(*known), std::move(*badge));
}

Result<Identity> Identity::parse_issued(std::string_view content) {
  content.remove_prefix(kIssuedHeader.size());
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
  if (!bio) return Error{Status::system, "a key file cannot be read: " + openssl_reason()};
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  const CertificatePtr run(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  const bool is_whole = key && certificate && run;
  // Only what issue_key() writes counts: nothing hides between the lines.
  const Result<std::string> pem = is_whole ? pem_of(*key, *certificate, *run) : std::string();
  if (!pem.ok()) return pem.error();
  if (!is_whole || *pem != content)
    return no_key_file("a private key, its certificate and the run's certificate were expected in PEM");
  EVP_PKEY* const of_run = X509_get0_pubkey(run.get());
  if (of_run == nullptr || EVP_PKEY_get_id(of_run) != EVP_PKEY_ED25519 || X509_verify(run.get(), of_run) != 1)
    return no_key_file("its last certificate is not that of a run");
  auto authority = public_key_of(*of_run);
  if (!authority.ok()) return authority.error();
  if (X509_verify(certificate.get(), authority->get()) != 1)
    return no_key_file("its two certificates are of different runs");
  if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 || X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return no_key_file("its key and its certificate do not belong together");
  }
  auto badge = read_badge(*certificate);
  if (!badge.ok()) return no_key_file(badge.error().sentence);
  return Identity(std::move(key), std::move(certificate), std::move(*authority), std::move(*badge));
}

Result<Identity> Identity::parse(std::string_view content, std::int64_t now_unix_s) {
  if (RunSecret::begins(content)) {
    const auto secret = RunSecret::parse(content);
    if (!secret.ok()) return secret.error();
    return of_secret(*secret, now_unix_s);
  }
  if (content.starts_with(kIssuedHeader)) return parse_issued(content);
  return Error{Status::invalid_argument,
               "the file is no key file of this version; make one with `hawser keygen`, or have one issued"};
}

Result<Identity> Identity::load(const std::string& path, std::int64_t now_unix_s) {
  auto content = read_private_file(path, kKeyFileBytesMax);
  if (!content.ok()) return content.error();
  auto identity = parse(*content, now_unix_s);
  OPENSSL_cleanse(content->data(), content->size());
  if (identity.ok()) {
    const auto valid = check_time(identity->certificate(), now_unix_s, "the");
    if (!valid.ok()) return Error{Status::invalid_argument, quoted_path(path) + ": " + valid.error().sentence};
    return identity;
  }
  return Error{identity.status(), quoted_path(path) + ": " + identity.error().sentence};
}

Result<std::string> issue_key(const RunSecret& secret, const IssueOrder& order, std::int64_t now_unix_s) {
  const auto authority = secret.authority();
  if (!authority.ok()) return authority.error();
  const auto key = make_key();
  if (!key.ok()) return key.error();
  const auto certificate = issue_certificate({.name = order.name,
                                              .role = order.role,
                                              .groups = order.groups,
                                              .begins_unix_s = now_unix_s,
                                              .expires_unix_s = now_unix_s + order.days * kDayS},
                                             **key, **authority);
  if (!certificate.ok()) return certificate.error();
  const auto run = issue_run_certificate(**authority, now_unix_s);
  if (!run.ok()) return run.error();
  auto pem = pem_of(**key, **certificate, **run);
  if (!pem.ok()) return pem.error();
  return std::string(kIssuedHeader) + *pem;
}

Result<RunSecret> load_run_secret(const std::string& path) {
  auto content = read_private_file(path, kKeyFileBytesMax);
  if (!content.ok()) return content.error();
  auto secret = RunSecret::parse(*content);
  OPENSSL_cleanse(content->data(), content->size());
  if (!secret.ok()) return Error{secret.status(), quoted_path(path) + ": " + secret.error().sentence};
  return secret;
}

}  // namespace hawser::trust
