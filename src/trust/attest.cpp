#include "trust/attest.hpp"

#include <new>
#include <string>

#include "trust/certificate.hpp"

namespace hawser::trust {
namespace {

using DigestPtr = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

const unsigned char* bytes_of(const std::string& text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

Error cannot_sign() { return {Status::system, "a contribution cannot be signed: " + openssl_reason()}; }

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

void Sha256::add(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) throw std::bad_alloc();
}

std::array<std::uint8_t, 32> Sha256::finish() {
  std::array<std::uint8_t, 32> digest{};
  if (EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) != 1) throw std::bad_alloc();
  return digest;
}

Result<Attestation> attest(const Identity& identity, const OpKey& key, const Signature& signature,
                           const Contribution& given) {
  Attestation made{.given = given};
  std::size_t key_bytes = made.public_key.size();
  if (EVP_PKEY_get_raw_public_key(&identity.key(), made.public_key.data(), &key_bytes) != 1) return cannot_sign();
  const DigestPtr context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  const std::string text = statement_of(key, signature, given);
  std::size_t signature_bytes = made.signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, &identity.key()) != 1 ||
      EVP_DigestSign(context.get(), made.signature.data(), &signature_bytes, bytes_of(text), text.size()) != 1)
    return cannot_sign();
  return made;
}

bool is_genuine(const Attestation& attestation, const KeyId& signer, const OpKey& key, const Signature& signature) {
  const KeyPtr public_key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, attestation.public_key.data(),
                                                      attestation.public_key.size()));
  const DigestPtr context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  const std::string text = statement_of(key, signature, attestation.given);
  const bool genuine =
      public_key && key_id_of(*public_key) == signer &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) == 1 &&
      EVP_DigestVerify(context.get(), attestation.signature.data(), attestation.signature.size(), bytes_of(text),
                       text.size()) == 1;
  ERR_clear_error();
  return genuine;
}

}  // namespace hawser::trust
