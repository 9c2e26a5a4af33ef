#include "membership/admission_rules.hpp"

#include <algorithm>
#include <charconv>

namespace hawser {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// Takes the first word off.
std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

std::optional<std::uint32_t> number_in(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "key HEX", "name NAME" or "group N". False for anything else.
bool add_named(std::string_view line, std::set<KeyId>& keys, std::set<std::string>& names,
               std::set<std::uint32_t>& groups) {
  const std::string_view kind = take_word(line);
  if (line.empty()) return false;
  if (kind == "name") {
    names.emplace(line);
    return true;
  }
  if (kind == "key") {
    const auto key = parse_key_id(line);
    if (key) keys.insert(*key);
    return key.has_value();
  }
  const auto group = kind == "group" ? number_in(line) : std::nullopt;
  if (group) groups.insert(*group);
  return group.has_value();
}

bool add_rule(std::string_view line, AdmissionRules& rules) {
  const std::string_view verb = take_word(line);
  if (verb == "deny") return add_named(line, rules.denied_keys, rules.denied_names, rules.denied_groups);
  if (verb == "allow") return add_named(line, rules.allowed_keys, rules.allowed_names, rules.allowed_groups);
  if (verb == "drain") {
    rules.draining = true;
    return line.empty();
  }
  if (verb == "admit") {
    const auto key = parse_key_id(line);
    if (key) rules.admitted_keys.insert(*key);
    return key.has_value();
  }
  const auto most = verb == "members-max" ? number_in(line) : std::nullopt;
  if (most) rules.members_max = *most;
  return most.has_value() && *most > 0;
}

}  // namespace

std::optional<std::string> denial(const AdmissionRules& rules, const Badge& badge) {
  if (rules.denied_keys.contains(badge.key)) return "the key " + to_string(badge.key) + " is banned from this run";
  if (rules.denied_names.contains(badge.name)) return "keys named " + badge.name + " are denied in this run";
  // Operators make the rules: they cannot shut themselves out by what they allow others.
  if (badge.role == Role::run_operator || (rules.allowed_keys.empty() && rules.allowed_names.empty()))
    return std::nullopt;
  if (rules.allowed_keys.contains(badge.key) || rules.allowed_names.contains(badge.name)) return std::nullopt;
  return "neither the key " + to_string(badge.key) + " nor the name " + badge.name +
         " is among those allowed in this run";
}

std::optional<std::string> denial(const AdmissionRules& rules, const Badge& badge, std::uint32_t group) {
  const std::string number = std::to_string(group);
  if (!badge.groups.empty() && std::find(badge.groups.begin(), badge.groups.end(), group) == badge.groups.end())
    return "the key of " + badge.name + " was not issued for group " + number;
  const bool is_allowed = rules.allowed_groups.empty() || rules.allowed_groups.contains(group);
  if (rules.denied_groups.contains(group) || !is_allowed) return "group " + number + " is closed by the run's rules";
  return std::nullopt;
}

bool may_be_member(const AdmissionRules& rules, const Badge& badge) {
  if (badge.role == Role::newcomer) return rules.admitted_keys.contains(badge.key);
  return badge.role == Role::member || badge.role == Role::run_operator;
}

std::string to_text(const AdmissionRules& rules) {
  std::string text;
  const auto add = [&](const char* verb, const std::set<KeyId>& keys, const std::set<std::string>& names,
                       const std::set<std::uint32_t>& groups) {
    for (const KeyId& key : keys) text += std::string(verb) + " key " + to_string(key) + "\n";
    for (const std::string& name : names) text += std::string(verb) + " name " + name + "\n";
    for (const std::uint32_t group : groups) text += std::string(verb) + " group " + std::to_string(group) + "\n";
  };
  add("deny", rules.denied_keys, rules.denied_names, rules.denied_groups);
  add("allow", rules.allowed_keys, rules.allowed_names, rules.allowed_groups);
  for (const KeyId& key : rules.admitted_keys) text += "admit " + to_string(key) + "\n";
  if (rules.members_max != 0) text += "members-max " + std::to_string(rules.members_max) + "\n";
  if (rules.draining) text += "drain\n";
  return text;
}

Result<AdmissionRules> parse_rules(std::string_view text) {
  AdmissionRules rules;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || add_rule(line, rules)) continue;
    return Error{Status::invalid_argument, "line " + std::to_string(number) + " of the rules is '" +
                                               std::string(line.substr(0, 80)) +
                                               "'; there are: deny or allow, then key HEX, name NAME or group NUMBER; "
                                               "admit HEX; members-max NUMBER; drain"};
  }
  return rules;
}

}  // namespace hawser
