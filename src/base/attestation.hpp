#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/signature.hpp"

namespace hawser {

/// What a member gives to a collective, in few numbers: the bytes of its send buffer, and what they are like. The last
/// three are of types with a floating point only, else 0.
struct Contribution {
  std::array<std::uint8_t, 32> sha256{};  ///< Of the bytes as they lie there.
  std::uint64_t bytes = 0;
  std::uint64_t not_finite = 0;  ///< Elements that are infinite or NaN.
  double largest = 0;            ///< Magnitude, of the other elements.
  double norm = 0;               ///< Euclidean, of the other elements; the largest double where it is beyond that.
  friend bool operator==(const Contribution&, const Contribution&) = default;
};

/// A contribution with the signature of its member (Ed25519, RFC 8032) over statement_of().
struct Attestation {
  Contribution given;
  std::array<std::uint8_t, 32> public_key{};
  std::array<std::uint8_t, 64> signature{};
  friend bool operator==(const Attestation&, const Attestation&) = default;
};

/// The text that is signed: which collective, and what was given to it. No other has the same.
std::string statement_of(const OpKey& key, const Signature& signature, const Contribution& given);

}  // namespace hawser
