#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hawser {

/// Reads JSON (RFC 8259) of a known structure from front to back: objects, arrays, strings and whole numbers
/// from 0; anything else is only skipped. The caller says what must come next, so the depth is that of the caller's code, and
/// no number in the text decides how much memory is taken. Once something has failed the first failure stays.
class JsonScanner {
 public:
  /// The text must outlive it.
  explicit JsonScanner(std::string_view text) : text_(text) {}

  /// `on_member(key)` reads the value; false from it ends the reading, and fail() should have said why.
  template <class OnMember>
  bool object(OnMember on_member) {
    return sequence('{', '}', [&] {
      const auto key = string();
      return key && expect(':') && on_member(*key);
    });
  }
  /// `on_element()` likewise.
  template <class OnElement>
  bool array(OnElement on_element) {
    return sequence('[', ']', on_element);
  }
  /// The text it stands for; none on failure. Any escapes are good, and bytes of the text are taken as they
  /// are, so the result need not be valid UTF-8.
  std::optional<std::string> string();
  /// Below 2^64, without sign, fraction or exponent.
  std::optional<std::uint64_t> number();
  /// Passes over a value of any kind, not nested deeper than so.
  bool skip(int depth_max = 16);

  /// Always false.
  bool fail(std::string why);
  /// For behind "the text ..": what the first failure was.
  const std::string& failure() const { return failure_; }
  /// Of the first byte that was not read.
  std::size_t offset() const { return offset_; }

 private:
  template <class OnItem>
  bool sequence(char open, char close, OnItem on_item) {
    if (!expect(open)) return false;
    if (next_is(close)) return expect(close);
    while (on_item()) {
      if (next_is(close)) return expect(close);
      if (!expect(',')) return false;
    }
    return fail("is no such JSON");
  }
  bool next_is(char character);
  bool expect(char character);
  void skip_white_space();
  bool escape(std::string& out);
  std::optional<std::uint32_t> four_hex_digits();

  std::string_view text_;
  std::size_t offset_ = 0;
  std::string failure_;
};

}  // namespace hawser
