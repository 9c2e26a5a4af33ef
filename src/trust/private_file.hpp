#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"

/// Files that hold secrets. Both calls block for the file system.
namespace hawser::trust {

/// The whole file. Errors: invalid_argument, where others than its owner may use it, it is no ordinary file, or it has
/// more bytes than `bytes_max`; system.
Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max);

/// Makes a new file that only its owner may read and write. Errors: invalid_argument, where there is one of that name,
/// which is left as it is; system.
Result<void> write_private_file(const std::string& path, const std::string& content);

}  // namespace hawser::trust
