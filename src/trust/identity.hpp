#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/badge.hpp"
#include "base/result.hpp"
#include "trust/openssl_objects.hpp"
#include "trust/run_secret.hpp"

namespace hawser::trust {

/// What a process shows of itself, and by what it knows others of its run: a key of its own, the certificate of that
/// key, and the public key of the run's authority. Never changes.
class Identity {
 public:
  /// Reads a key file: a run's secret, or an issued key. Blocks for the file system. Errors: invalid_argument with a
  /// sentence that names the file; system.
  static Result<Identity> load(const std::string& path, std::int64_t now_unix_s);
  /// The same for the content of such a file.
  static Result<Identity> parse(std::string_view content, std::int64_t now_unix_s);
  /// Of a holder of the secret: a new key, with all powers. No two processes share one.
  static Result<Identity> of_secret(const RunSecret& secret, std::int64_t now_unix_s);

  EVP_PKEY& key() const { return *key_; }
  X509& certificate() const { return *certificate_; }
  EVP_PKEY& authority() const { return *authority_; }
  const Badge& badge() const { return badge_; }
  /// The run's name, which nobody can take without its secret.
  const std::string& run() const { return run_; }

 private:
  Identity(KeyPtr key, CertificatePtr certificate, KeyPtr authority, Badge badge);
  static Result<Identity> parse_issued(std::string_view content);

  KeyPtr key_;
  CertificatePtr certificate_;
  KeyPtr authority_;
  Badge badge_;
  std::string run_;
};

/// What `hawser keygen --issue` is told.
struct IssueOrder {
  std::string name;
  Role role = Role::member;
  std::vector<std::uint32_t> groups{};  ///< Ascending. Empty: all.
  std::uint32_t days = 30;
};
/// The content of the file of an issued key: the new key, its certificate and the run's, in PEM. Errors:
/// invalid_argument, system.
Result<std::string> issue_key(const RunSecret& secret, const IssueOrder& order, std::int64_t now_unix_s);

/// Reads the file of a run's secret. Errors: as Identity::load, also where it holds an issued key.
Result<RunSecret> load_run_secret(const std::string& path);

}  // namespace hawser::trust
