#include "json/json_writer.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>

namespace hawser {

void JsonWriter::quote(std::string_view value) {
  text_.push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') text_.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      text_.append(escape);
    } else {
      text_.push_back(c);
    }
  }
  text_.push_back('"');
}

void JsonWriter::key(std::string_view key) {
  if (!first_) text_.append(",");
  if (!text_.empty()) text_.append("\n");
  first_ = false;
  if (key.empty()) return;
  quote(key);
  text_.append(": ");
}

JsonWriter& JsonWriter::begin(std::string_view name, char bracket) {
  key(name);
  text_.push_back(bracket);
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(char bracket) {
  text_.push_back(bracket);
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::add(std::string_view name, std::uint64_t value) {
  key(name);
  text_.append(std::to_string(value));
  return *this;
}

JsonWriter& JsonWriter::add(std::string_view name, double value) {
  key(name);
  char number[40];
  std::snprintf(number, sizeof number, "%.6g", std::isfinite(value) ? value : 0.0);
  text_.append(number);
  return *this;
}

JsonWriter& JsonWriter::add(std::string_view name, std::string_view value) {
  key(name);
  quote(value);
  return *this;
}

JsonWriter& JsonWriter::add(std::string_view name, bool value) {
  key(name);
  text_.append(value ? "true" : "false");
  return *this;
}

bool JsonWriter::write_to(const std::string& path) const {
  std::ofstream out(path);
  out << text_ << "\n";
  out.flush();
  return out.good();
}

}  // namespace hawser
