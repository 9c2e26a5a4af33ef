#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "trust/certificate.hpp"
#include "trust/identity.hpp"
#include "trust/tls_session.hpp"

namespace hawser::test {

using trust::Identity;
using trust::IssueOrder;
using trust::RunSecret;
using trust::TlsContext;
using trust::TlsSession;
using trust::TlsSettings;

inline constexpr std::int64_t kNow = 1'800'000'000;
inline constexpr std::int64_t kDay = 24 * 3600;

inline TlsSettings settings_at(std::int64_t unix_s, std::uint32_t protocol = 4) {
  return {.protocol = protocol, .unix_now = [unix_s] { return unix_s; }};
}

inline std::shared_ptr<const TlsContext> context_of(Identity identity,
                                                    const TlsSettings& settings = settings_at(kNow)) {
  return TlsContext::make(std::move(identity), settings).value();
}

inline Identity issued(const RunSecret& secret, const IssueOrder& order) {
  return std::move(Identity::parse(issue_key(secret, order, kNow).value(), kNow).value());
}

inline Identity holder(const RunSecret& secret) { return std::move(Identity::of_secret(secret, kNow).value()); }

inline std::shared_ptr<const TlsContext> holder_of(const RunSecret& secret,
                                                   const TlsSettings& settings = settings_at(kNow)) {
  return context_of(holder(secret), settings);
}

}  // namespace hawser::test
