#include "given_secret.hpp"

#include <cstdlib>
#include <stdexcept>

#include "trust/private_file.hpp"
#include "trust/run_secret.hpp"

namespace hawser::churn {

void give_secret(const std::filesystem::path& file) {
  const auto secret = trust::RunSecret::draw();
  if (!secret.ok()) throw std::runtime_error(secret.error().sentence);
  std::filesystem::create_directories(file.parent_path());
  if (const auto written = trust::write_private_file(file, secret->text()); !written.ok())
    throw std::runtime_error(written.error().sentence);
  ::setenv("HAWSER_SECRET_FILE", file.c_str(), 1);
}

}  // namespace hawser::churn
