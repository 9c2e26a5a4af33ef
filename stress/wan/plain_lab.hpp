#pragma once

#include <cstdlib>

namespace hawser {

/// Before anything else in a program whose networks nobody else reaches: without keys, its processes connect in plain
/// there. HAWSER_SECRET_FILE gives them keys.
inline void allow_plain_in_lab() {
  if (std::getenv("HAWSER_SECRET_FILE") == nullptr) ::setenv("HAWSER_INSECURE", "1", 0);
}

}  // namespace hawser
