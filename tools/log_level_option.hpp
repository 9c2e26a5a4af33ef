#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "hawser.h"

/// `--log-level` of a command that runs until a signal ends it.
inline void add_log_level(CLI::App& command, hawserLogLevel_t& level) {
  const std::map<std::string, hawserLogLevel_t> levels{{"off", hawserLogOff},       {"error", hawserLogError},
                                                       {"warning", hawserLogWarning}, {"notice", hawserLogNotice},
                                                       {"info", hawserLogInfo},     {"debug", hawserLogDebug}};
  command.add_option("--log-level", level, "off, error, warning, notice, info or debug (default notice)")
      ->transform(CLI::CheckedTransformer(levels, CLI::ignore_case));
}
