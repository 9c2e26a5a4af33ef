#include "report_line.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace hawser::churn {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ReportLine::ReportLine(std::string_view line) : whole_(line) {
  while (!line.empty()) {
    constexpr std::string_view kText = "text=";
    if (line.starts_with(kText)) {
      pairs_.emplace_back("text", line.substr(kText.size()));
      return;
    }
    const std::size_t space = line.find(' ');
    const std::string_view field = line.substr(0, space);
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
    const std::size_t equals = field.find('=');
    if (equals != std::string_view::npos) {
      pairs_.emplace_back(field.substr(0, equals), field.substr(equals + 1));
    } else if (word_.empty()) {
      word_ = field;
    }
  }
}

std::string_view ReportLine::get(std::string_view key) const {
  for (const auto& [name, value] : pairs_) {
    if (name == key) return value;
  }
  return {};
}

std::optional<std::uint64_t> ReportLine::number(std::string_view key) const { return parse_number(get(key)); }

std::optional<double> ReportLine::real(std::string_view key) const {
  const std::string text(get(key));
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') return std::nullopt;
  return value;
}

std::vector<std::uint64_t> ReportLine::list(std::string_view key) const {
  std::vector<std::uint64_t> values;
  std::string_view rest = get(key);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (const auto value = parse_number(rest.substr(0, comma))) values.push_back(*value);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return values;
}

LineBuilder& LineBuilder::add(std::string_view key, std::string_view value) {
  line_.append(" ").append(key).append("=");
  for (const char c : value) line_.push_back(c == ' ' || c == '\n' ? '_' : c);
  return *this;
}

LineBuilder& LineBuilder::add(std::string_view key, std::uint64_t value) {
  return add(key, std::to_string(value));
}

LineBuilder& LineBuilder::add(std::string_view key, double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return add(key, std::string_view(buffer));
}

LineBuilder& LineBuilder::list(std::string_view key, const std::vector<std::uint64_t>& values) {
  std::string joined;
  for (const std::uint64_t value : values) {
    if (!joined.empty()) joined.push_back(',');
    joined.append(std::to_string(value));
  }
  return add(key, joined);
}

LineBuilder& LineBuilder::text(std::string_view text) {
  line_.append(" text=");
  for (const char c : text) line_.push_back(c == '\n' || c == '\r' ? ' ' : c);
  return *this;
}

}  // namespace hawser::churn
