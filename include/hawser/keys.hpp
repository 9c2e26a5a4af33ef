/// Key files in C++: part of hawser/hawser.hpp. hawser_keys.h has the contract of every call.
#pragma once

#include <hawser_keys.h>
#include <hawser/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hawser {
inline namespace v0 {

/// Whom a key is for, and what it allows. See hawserKeyOptions_t. The strings are required.
struct KeyOptions {
  std::string file = {};
  std::string secret_file = {};
  std::string name = {};
  hawserRole_t role = hawserRoleMember;
  std::uint32_t days = 0;                  ///< 0: 30.
  std::vector<std::uint32_t> groups = {};  ///< In ascending order. Empty: all.
};

/// What a key file holds. See hawserKeyInfo_t.
struct KeyInfo {
  std::string run;
  std::string key;
  std::string name;
  hawserRole_t role = hawserRoleMember;
  bool is_secret = false;
  std::optional<std::chrono::sys_seconds> expires;  ///< None for a secret.
  std::vector<std::uint32_t> groups;                ///< Empty: all.
};

/// Makes a new file with the secret of a new run. See hawserSecretCreate.
inline Result<void> create_secret(const std::string& file) { return detail::check(hawserSecretCreate(file.c_str())); }

/// Makes a new file with a key of a run. See hawserKeyIssue.
inline Result<void> issue_key(const KeyOptions& options) {
  hawserKeyOptions_t c = HAWSER_KEY_OPTIONS_INIT;
  c.file = detail::or_null(options.file);
  c.secret_file = detail::or_null(options.secret_file);
  c.name = detail::or_null(options.name);
  c.role = options.role;
  c.days = options.days;
  c.groups = options.groups.data();
  c.group_count = options.groups.size();
  return detail::check(hawserKeyIssue(&c));
}

/// Reads a key file. See hawserKeyGetInfo.
inline Result<KeyInfo> key_info(const std::string& file) {
  hawserKeyInfo_t c = HAWSER_KEY_INFO_INIT;
  if (const auto code = hawserKeyGetInfo(file.c_str(), &c); code != hawserSuccess) return detail::last_failure(code);
  KeyInfo info{.run = c.run,
               .key = c.key,
               .name = c.name,
               .role = c.role,
               .is_secret = c.is_secret != 0,
               .groups = {c.groups, c.groups + c.group_count}};
  if (!info.is_secret) info.expires = std::chrono::sys_seconds(std::chrono::seconds(c.expires_unix_s));
  return info;
}

}  // namespace v0
}  // namespace hawser
