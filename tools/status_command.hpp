#pragma once

#include <CLI/CLI.hpp>

/// `hawser status`: how a run stands, asked of its master. Sets `status` to the process's exit status when it ran.
void add_status_command(CLI::App& app, int& status);
