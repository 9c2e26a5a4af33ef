#pragma once

#include <filesystem>

namespace hawser::churn {

/// Makes a secret in this new file, and gives it to this process and all that it starts (HAWSER_SECRET_FILE). Throws
/// std::runtime_error.
void give_secret(const std::filesystem::path& file);

}  // namespace hawser::churn
