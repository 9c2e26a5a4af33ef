#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hawser {

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
  /// Of a type with a write_json(JsonWriter&, key, value) beside it.
  template <class Value>
    requires requires(JsonWriter& json, std::string_view key, const Value& value) { write_json(json, key, value); }
  JsonWriter& add(std::string_view key, const Value& value) {
    write_json(*this, key, value);
    return *this;
  }

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

}  // namespace hawser
