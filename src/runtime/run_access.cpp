#include "runtime/run_access.hpp"

#include <cstdlib>
#include <string_view>
#include <utility>

#include "membership/messages.hpp"
#include "trust/identity.hpp"
#include "trust/tls_context.hpp"

namespace hawser {
namespace {

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Result<RunAccess> open_access(const AccessChoice& choice) {
  const std::string file = choice.secret_file.empty() ? from_environment("HAWSER_SECRET_FILE") : choice.secret_file;
  if (file.empty())
    return RunAccess{.tls = {}, .insecure = choice.insecure || from_environment("HAWSER_INSECURE") == "1"};
  auto identity = trust::Identity::load(file, trust::unix_time_now());
  if (!identity.ok()) return identity.error();
  auto tls = trust::TlsContext::make(std::move(*identity), {.protocol = kProtocolVersion});
  if (!tls.ok()) return tls.error();
  return RunAccess{.tls = std::move(*tls)};
}

}  // namespace hawser
