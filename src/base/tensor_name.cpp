#include "base/tensor_name.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

namespace hawser {
namespace {

struct CodeRange {
  std::uint32_t first;
  std::uint32_t last;
};
// C0 and DEL with C1, line and paragraph separators, surrogates.
constexpr CodeRange kUnprintable[] = {{0, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x2029}, {0xd800, 0xdfff}};
/// The largest code point that fits in so many bytes of UTF-8; a longer form of it is not valid.
constexpr std::uint32_t kLargestIn[] = {0, 0x7f, 0x7ff, 0xffff, 0x10ffff};

/// Bytes of the printable character that text starts with; 0 if there is none.
std::size_t printable_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc0 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf8 ? 4
                                           : 0;
  if (length == 0 || text.size() < length) return 0;
  std::uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
  for (const char following : text.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(following);
    if ((byte & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte & 0x3fU);
  }
  if (code > kLargestIn[length] || (length > 1 && code <= kLargestIn[length - 1])) return 0;
  const auto holds_code = [&](const CodeRange& range) { return code >= range.first && code <= range.last; };
  return std::any_of(std::begin(kUnprintable), std::end(kUnprintable), holds_code) ? 0 : length;
}

}  // namespace

Result<void> check_tensor_name(std::string_view name) {
  if (name.empty()) return Error{Status::invalid_argument, "the name of a tensor is empty"};
  if (name.size() > limits::kTensorNameBytesMax)
    return Error{Status::invalid_argument, "the name of a tensor has " + std::to_string(name.size()) +
                                               " bytes; at most " +
                                               std::to_string(limits::kTensorNameBytesMax) + " are allowed"};
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t length = printable_character(name.substr(at));
    if (length == 0)
      return Error{Status::invalid_argument, "the name of a tensor is not printable UTF-8: byte " +
                                                 std::to_string(at) + " of " + std::to_string(name.size()) +
                                                 " after \"" + std::string(name.substr(0, at)) + "\""};
    at += length;
  }
  return {};
}

}  // namespace hawser
