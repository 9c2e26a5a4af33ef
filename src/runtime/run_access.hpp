#pragma once

#include <string>

#include "base/result.hpp"
#include "transport/stream.hpp"

namespace hawser {

/// What a process is told of the run's keys.
struct AccessChoice {
  /// Of a run's secret, or of an issued key. Empty: what HAWSER_SECRET_FILE names, if anything.
  std::string secret_file;
  /// Connections to other machines may go in plain, to whoever comes. Also if HAWSER_INSECURE is 1.
  bool insecure = false;
};

/// How it connects to others.
struct RunAccess {
  transport::TlsPtr tls;  ///< Null: in plain, and if not `insecure` on this machine only.
  bool insecure = false;
  bool beyond_this_machine() const { return tls != nullptr || insecure; }
};

/// Reads the file, if there is one. Blocks for that. Errors: invalid_argument, with a sentence about the file; system.
Result<RunAccess> open_access(const AccessChoice& choice);

}  // namespace hawser
