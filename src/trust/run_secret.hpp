#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "trust/openssl_objects.hpp"

namespace hawser::trust {

/// What all power in a run comes from: 32 random bytes. The key that signs the run's certificates is derived from it.
class RunSecret {
 public:
  /// A new one, from the system's randomness. Errors: system.
  static Result<RunSecret> draw();
  /// Reads exactly what text() writes. Errors: invalid_argument.
  static Result<RunSecret> parse(std::string_view text);
  /// Whether a file that begins so is meant to hold one.
  static bool begins(std::string_view text);

  RunSecret(const RunSecret&) = default;
  RunSecret& operator=(const RunSecret&) = default;
  ~RunSecret();

  /// Two lines: kind and version, and the bytes in base64.
  std::string text() const;
  /// The Ed25519 key of the run's authority: HKDF-SHA256 (RFC 5869) of the secret. Errors: system.
  Result<KeyPtr> authority() const;

 private:
  using Bytes = std::array<std::uint8_t, 32>;
  explicit RunSecret(const Bytes& bytes) : bytes_(bytes) {}

  Bytes bytes_;
};

}  // namespace hawser::trust
