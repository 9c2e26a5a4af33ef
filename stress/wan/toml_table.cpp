#include "wan/toml_table.hpp"

#include <cmath>
#include <cstdio>

namespace hawser::wan {
namespace {

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

void TomlTable::fail_at(const toml::node& node, const std::string& sentence) const {
  throw SpecError("line " + std::to_string(node.source().begin.line) + ", " + what_ + ": " + sentence);
}

void TomlTable::fail(const std::string& sentence) const { fail_at(table_, sentence); }

const toml::node* TomlTable::node(std::string_view key) {
  asked_.emplace(key);
  return table_.get(key);
}

std::optional<double> TomlTable::number(std::string_view key, NumberRange range) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const std::optional<double> value = found->is_number() ? found->value<double>() : std::optional<double>();
  if (!value) fail_at(*found, std::string(key) + " must be a number");
  if (!(*value >= range.least && *value <= range.most))
    fail_at(*found, std::string(key) + " is " + number_text(*value) + ", but must lie between " +
                        number_text(range.least) + " and " + number_text(range.most));
  return value;
}

std::optional<std::int64_t> TomlTable::whole(std::string_view key, NumberRange range) {
  const auto value = number(key, range);
  if (!value) return std::nullopt;
  if (*value != std::floor(*value)) fail_at(*node(key), std::string(key) + " must be a whole number");
  return static_cast<std::int64_t>(*value);
}

std::optional<std::string> TomlTable::text(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) fail_at(*found, std::string(key) + " must be a text in quotes");
  return found->value<std::string>();
}

std::optional<bool> TomlTable::flag(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) fail_at(*found, std::string(key) + " must be true or false");
  return found->value<bool>();
}

void TomlTable::done() const {
  for (const auto& [key, value] : table_) {
    if (asked_.contains(key.str())) continue;
    std::string known;
    for (const std::string& name : asked_) known += (known.empty() ? "" : ", ") + name;
    fail_at(value, "unknown key " + std::string(key.str()) + " (known: " + known + ")");
  }
}

}  // namespace hawser::wan
