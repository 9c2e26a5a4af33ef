#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/attestation.hpp"
#include "base/key_id.hpp"
#include "base/result.hpp"
#include "trust/identity.hpp"

namespace hawser::trust {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
class Sha256 {
 public:
  /// Throws std::bad_alloc.
  Sha256();
  void add(std::span<const std::byte> bytes);
  std::array<std::uint8_t, 32> finish();

 private:
  std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context_;
};

/// Signs what this process gives to a collective. Costs some 50 us. Errors: system.
Result<Attestation> attest(const Identity& identity, const OpKey& key, const Signature& signature,
                           const Contribution& given);

/// Whether the holder of that key signed this, about this collective.
bool is_genuine(const Attestation& attestation, const KeyId& signer, const OpKey& key, const Signature& signature);

}  // namespace hawser::trust
