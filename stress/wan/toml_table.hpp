#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hawser::wan {

/// What is wrong with a spec; caught where the text came in.
struct SpecError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct NumberRange {
  double least = 0;
  double most = 0;
};

/// A table whose keys must all be known and whose values must all be in range: `done` complains about what
/// nobody asked for.
class TomlTable {
 public:
  TomlTable(const toml::table& table, std::string what) : table_(table), what_(std::move(what)) {}

  std::optional<double> number(std::string_view key, NumberRange range);
  std::optional<std::int64_t> whole(std::string_view key, NumberRange range);
  std::optional<std::string> text(std::string_view key);
  std::optional<bool> flag(std::string_view key);
  /// Null if the key is not there.
  const toml::node* node(std::string_view key);
  void done() const;
  [[noreturn]] void fail(const std::string& sentence) const;
  [[noreturn]] void fail_at(const toml::node& node, const std::string& sentence) const;

 private:
  const toml::table& table_;
  std::string what_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace hawser::wan
