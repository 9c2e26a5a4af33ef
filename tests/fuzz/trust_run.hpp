#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/assert.hpp"
#include "trust/identity.hpp"
#include "trust/tls_session.hpp"

namespace hawser::testing {

inline constexpr std::int64_t kTrustNow = 1'800'000'000;
inline constexpr std::string_view kTrustSecret = "hawser-run-secret 1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

inline trust::RunSecret trust_secret() { return trust::RunSecret::parse(kTrustSecret).value(); }

/// Of a process that holds the secret, at a fixed time.
inline std::shared_ptr<const trust::TlsContext> trust_context() {
  auto identity = trust::Identity::of_secret(trust_secret(), kTrustNow);
  return trust::TlsContext::make(std::move(identity.value()), {.protocol = 4, .unix_now = [] { return kTrustNow; }})
      .value();
}

/// Gives a session what came, as far as it takes it. False: it takes no more.
inline bool feed(trust::TlsSession& to, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = to.room();
    if (room.empty()) return false;
    const auto part = bytes.first(std::min(bytes.size(), room.size()));
    std::memcpy(room.data(), part.data(), part.size());
    to.received(part.size());
    bytes = bytes.subspan(part.size());
    to.shake_hands();
  }
  return true;
}

}  // namespace hawser::testing
