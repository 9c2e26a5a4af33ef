#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/badge.hpp"
#include "base/result.hpp"

namespace hawser {

/// Who may be in a run with keys, by the will of its operators. A rule that denies beats one that allows. Where there
/// is a rule that allows, whoever no such rule names is denied.
struct AdmissionRules {
  std::set<KeyId> denied_keys;
  std::set<std::string> denied_names;  ///< Of keys.
  std::set<std::uint32_t> denied_groups;
  std::set<KeyId> allowed_keys;
  std::set<std::string> allowed_names;
  std::set<std::uint32_t> allowed_groups;
  std::set<KeyId> admitted_keys;  ///< Newcomers' keys that may be members.
  std::uint32_t members_max = 0;  ///< Of all groups, newcomers included; 0: no maximum.
  bool draining = false;          ///< No newcomers.
  friend bool operator==(const AdmissionRules&, const AdmissionRules&) = default;
};

/// Why the holder of that key may say nothing at all; none: it may.
std::optional<std::string> denial(const AdmissionRules& rules, const Badge& badge);
/// Why it may not be in that group; none: it may.
std::optional<std::string> denial(const AdmissionRules& rules, const Badge& badge, std::uint32_t group);

/// A key of that role may be a member, by the rules.
bool may_be_member(const AdmissionRules& rules, const Badge& badge);

/// A line for each rule: "deny key HEX", "deny name NAME", "deny group 3", the same with "allow", "admit HEX",
/// "members-max 64", "drain". Lines that are empty or begin with # say nothing.
std::string to_text(const AdmissionRules& rules);
/// Error: invalid_argument, with the line's number and what may stand there.
Result<AdmissionRules> parse_rules(std::string_view text);

}  // namespace hawser
