#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::churn {

/// Characters that the model knows: newline and the 95 printable ones of ASCII. Others count as a space.
inline constexpr std::uint32_t kAlphabetSize = 96;

/// Reads text as symbols 0..95. `files` empty: every text in /usr/share/common-licenses, else the project's
/// docs/ and README.md below the working directory. Throws std::runtime_error naming what it looked for if
/// there is no file or fewer than 1000 characters.
std::vector<std::uint8_t> read_corpus(const std::vector<std::string>& files);

}  // namespace hawser::churn
