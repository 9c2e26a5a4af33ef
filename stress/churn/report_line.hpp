#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::churn {

/// One line that a worker or master tells the orchestrator: a word, then `key=value` pairs without spaces;
/// the key `text`, if there, comes last and takes the rest of the line.
class ReportLine {
 public:
  /// Views into `line`, which must outlive this. A line of any content parses: what has no `=` is skipped.
  explicit ReportLine(std::string_view line);

  std::string_view whole() const { return whole_; }
  std::string_view word() const { return word_; }
  const std::vector<std::pair<std::string_view, std::string_view>>& pairs() const { return pairs_; }
  /// The value of a key, or "" if it isn't there.
  std::string_view get(std::string_view key) const;
  /// The value as a number, or nothing if it isn't there or isn't one.
  std::optional<std::uint64_t> number(std::string_view key) const;
  std::optional<double> real(std::string_view key) const;
  /// A value like `3,7,9`.
  std::vector<std::uint64_t> list(std::string_view key) const;

 private:
  std::string_view whole_;
  std::string_view word_;
  std::vector<std::pair<std::string_view, std::string_view>> pairs_;
};

/// Builds such a line.
class LineBuilder {
 public:
  explicit LineBuilder(std::string_view word) : line_(word) {}
  LineBuilder& add(std::string_view key, std::string_view value);
  LineBuilder& add(std::string_view key, std::uint64_t value);
  LineBuilder& add(std::string_view key, double value);
  LineBuilder& list(std::string_view key, const std::vector<std::uint64_t>& values);
  /// Ends the line; newlines in `text` become spaces.
  LineBuilder& text(std::string_view text);
  const std::string& line() const { return line_; }

 private:
  std::string line_;
};

}  // namespace hawser::churn
