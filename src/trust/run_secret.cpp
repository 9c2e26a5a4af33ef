#include "trust/run_secret.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace hawser::trust {
namespace {

constexpr std::string_view kSecretHeader = "hawser-run-secret 1\n";
constexpr std::string_view kAuthorityLabel = "hawser run authority ed25519 1";
constexpr std::size_t kBase64Bytes = 44;  ///< Of 32 bytes.

Error openssl_error(const char* what) { return {Status::system, std::string(what) + ": " + openssl_reason()}; }

Error no_secret() {
  return {Status::invalid_argument,
          "the file holds no run secret of this version: two lines as `hawser keygen` writes them were expected"};
}

}  // namespace

RunSecret::~RunSecret() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Result<RunSecret> RunSecret::draw() {
  Bytes bytes{};
  if (RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return openssl_error("the system gives no random numbers");
  return RunSecret(bytes);
}

bool RunSecret::begins(std::string_view text) { return text.starts_with(kSecretHeader.substr(0, 17)); }

Result<RunSecret> RunSecret::parse(std::string_view text) {
  if (!text.starts_with(kSecretHeader)) return no_secret();
  const std::string_view line = text.substr(kSecretHeader.size());
  if (line.size() != kBase64Bytes + 1) return no_secret();
  // The last digit carries two bits that are not used, and a decoder takes spaces for nothing: only what text() writes
  // counts.
  std::array<std::uint8_t, kBase64Bytes / 4 * 3> decoded{};
  if (EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(line.data()), kBase64Bytes) < 0)
    return no_secret();
  Bytes bytes{};
  std::copy_n(decoded.begin(), bytes.size(), bytes.begin());
  RunSecret secret(bytes);
  if (secret.text() != text) return no_secret();
  return secret;
}

std::string RunSecret::text() const {
  std::array<unsigned char, kBase64Bytes + 1> encoded{};
  EVP_EncodeBlock(encoded.data(), bytes_.data(), static_cast<int>(bytes_.size()));
  return std::string(kSecretHeader) + std::string(reinterpret_cast<const char*>(encoded.data()), kBase64Bytes) + "\n";
}

Result<KeyPtr> RunSecret::authority() const {
  using Kdf = std::unique_ptr<EVP_KDF, Freed<EVP_KDF_free>>;
  using KdfContext = std::unique_ptr<EVP_KDF_CTX, Freed<EVP_KDF_CTX_free>>;
  const Kdf kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const KdfContext context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  Bytes seed{};
  // OpenSSL asks for pointers to what it only reads.
  std::string digest = "SHA256";
  std::string label(kAuthorityLabel);
  Bytes secret = bytes_;
  const std::array parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret.data(), secret.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label.data(), label.size()), OSSL_PARAM_construct_end()};
  const bool derived = context && EVP_KDF_derive(context.get(), seed.data(), seed.size(), parameters.data()) == 1;
  KeyPtr key(derived ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()) : nullptr);
  OPENSSL_cleanse(secret.data(), secret.size());
  OPENSSL_cleanse(seed.data(), seed.size());
  if (!key) return openssl_error("the run's key cannot be derived from its secret");
  return key;
}

}  // namespace hawser::trust
