#pragma once

#include <cstdint>

#include "runtime/run_access.hpp"

namespace hawser::capi {

/// As the structs of the C API have it.
inline AccessChoice access_of(const char* secret_file, std::uint32_t insecure) {
  return {.secret_file = secret_file != nullptr ? secret_file : "", .insecure = insecure != 0};
}

}  // namespace hawser::capi
