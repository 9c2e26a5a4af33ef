#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace hawser {

/// How often a field occurs in an encoded protobuf message, without decoding it. `path` is the field's number
/// and those of the messages around it, outermost first. None where the bytes are no protobuf message (or use
/// groups, which Hawser does not). A decoded empty sub-message takes many times its two bytes on the wire, so
/// lists are counted before they are decoded.
std::optional<std::size_t> count_occurrences(std::string_view message, std::span<const int> path);

}  // namespace hawser
