#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hawser {

/// Where text is not fit for a log line: the offset of its first byte that is no valid UTF-8 or belongs to a
/// control character; none where the text is fit.
std::optional<std::size_t> first_unloggable(std::string_view text);

/// The text with '?' for every unfit byte, cut between two characters to at most `bytes_max` bytes.
std::string make_loggable(std::string_view text, std::size_t bytes_max);

}  // namespace hawser
