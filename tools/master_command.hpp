#pragma once

#include <CLI/CLI.hpp>

/// `hawser master`: serves until SIGTERM or SIGINT. Sets `status` to the process's exit status when it ran.
void add_master_command(CLI::App& app, int& status);
