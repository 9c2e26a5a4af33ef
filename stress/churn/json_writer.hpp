#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "series.hpp"

namespace hawser::churn {

/// Writes JSON text from the outside in; commas and quotes are its business, the nesting is the caller's.
class JsonWriter {
 public:
  JsonWriter& open(std::string_view key = {}) { return begin(key, '{'); }
  JsonWriter& open_list(std::string_view key) { return begin(key, '['); }
  JsonWriter& close() { return end('}'); }
  JsonWriter& close_list() { return end(']'); }
  JsonWriter& add(std::string_view key, std::uint64_t value);
  JsonWriter& add(std::string_view key, double value);
  JsonWriter& add(std::string_view key, std::string_view value);
  JsonWriter& add(std::string_view key, bool value);
  /// Count, min, median, p95, max.
  JsonWriter& add(std::string_view key, const Series& series);

  const std::string& text() const { return text_; }
  /// False if the file can't be written.
  bool write_to(const std::string& path) const;

 private:
  JsonWriter& begin(std::string_view key, char bracket);
  JsonWriter& end(char bracket);
  void key(std::string_view key);
  void quote(std::string_view value);

  std::string text_;
  bool first_ = true;
};

}  // namespace hawser::churn
