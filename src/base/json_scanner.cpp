#include "base/json_scanner.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace hawser {
namespace {

bool is_digit(char character) { return character >= '0' && character <= '9'; }

/// `code`: at most U+10FFFF.
void append_utf8(std::string& out, std::uint32_t code) {
  const auto append = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return append(code);
  if (code < 0x800) {
    append(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    append(0xe0 | code >> 12);
    append(0x80 | (code >> 6 & 0x3f));
  } else {
    append(0xf0 | code >> 18);
    append(0x80 | (code >> 12 & 0x3f));
    append(0x80 | (code >> 6 & 0x3f));
  }
  append(0x80 | (code & 0x3f));
}

}  // namespace

std::optional<std::string> JsonScanner::string() {
  if (!expect('"')) return std::nullopt;
  std::string out;
  while (offset_ < text_.size()) {
    const char character = text_[offset_++];
    if (character == '"') return out;
    if (static_cast<unsigned char>(character) < 0x20) {
      --offset_;
      fail("has a control character at byte " + std::to_string(offset_));
      return std::nullopt;
    }
    if (character != '\\') {
      out += character;
    } else if (!escape(out)) {
      return std::nullopt;
    }
  }
  fail("ends in a string");
  return std::nullopt;
}

std::optional<std::uint64_t> JsonScanner::number() {
  skip_white_space();
  std::uint64_t value = 0;
  const char* const begin = text_.data() + offset_;
  const char* const end = text_.data() + text_.size();
  const bool starts = begin != end && is_digit(*begin);
  const bool zero_before = end - begin > 1 && *begin == '0' && is_digit(begin[1]);
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (!starts || zero_before || error != std::errc{}) {
    fail("has no whole number below 2^64 at byte " + std::to_string(offset_));
    return std::nullopt;
  }
  offset_ += static_cast<std::size_t>(stop - begin);
  return value;
}

bool JsonScanner::skip(int depth_max) {
  if (depth_max == 0) return fail("is nested too deep");
  const auto skip_one = [&] { return skip(depth_max - 1); };
  if (next_is('{')) return object([&](const std::string&) { return skip_one(); });
  if (next_is('[')) return array(skip_one);
  if (next_is('"')) return string().has_value();
  static constexpr std::string_view kOfNumbersAndNames = "+-.0123456789Eaeflnrstu";
  const std::size_t end = std::min(text_.find_first_not_of(kOfNumbersAndNames, offset_), text_.size());
  if (end == offset_) return fail("has no value at byte " + std::to_string(offset_));
  offset_ = end;
  return true;
}

bool JsonScanner::fail(std::string why) {
  if (failure_.empty()) failure_ = std::move(why);
  return false;
}

bool JsonScanner::next_is(char character) {
  skip_white_space();
  return offset_ < text_.size() && text_[offset_] == character;
}

bool JsonScanner::expect(char character) {
  if (!next_is(character))
    return fail(std::string("has no '") + character + "' at byte " + std::to_string(offset_));
  ++offset_;
  return true;
}

void JsonScanner::skip_white_space() {
  while (offset_ < text_.size() && std::string_view(" \t\n\r").find(text_[offset_]) != std::string_view::npos)
    ++offset_;
}

bool JsonScanner::escape(std::string& out) {
  static constexpr std::string_view kLetters = "\"\\/bfnrt";
  static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const std::string where = " at byte " + std::to_string(offset_);
  if (offset_ == text_.size()) return fail("ends in a string");
  const char letter = text_[offset_++];
  if (const std::size_t known = kLetters.find(letter); known != std::string_view::npos) {
    out += kMeanings[known];
    return true;
  }
  const auto is_high = [](std::uint32_t code) { return code >= 0xd800 && code < 0xdc00; };
  const auto is_low = [](std::uint32_t code) { return code >= 0xdc00 && code < 0xe000; };
  const auto first = letter == 'u' ? four_hex_digits() : std::nullopt;
  if (!first || is_low(*first)) return fail("has an unknown escape" + where);
  if (!is_high(*first)) {
    append_utf8(out, *first);
    return true;
  }
  if (text_.substr(offset_, 2) != "\\u") return fail("has half a surrogate pair" + where);
  offset_ += 2;
  const auto second = four_hex_digits();
  if (!second || !is_low(*second)) return fail("has half a surrogate pair" + where);
  append_utf8(out, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
  return true;
}

std::optional<std::uint32_t> JsonScanner::four_hex_digits() {
  const std::string_view digits = text_.substr(offset_, 4);
  std::uint32_t code = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || error != std::errc{} || stop != digits.data() + 4) return std::nullopt;
  offset_ += 4;
  return code;
}

}  // namespace hawser
