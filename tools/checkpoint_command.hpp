#pragma once

#include <CLI/CLI.hpp>

/// `hawser checkpoint FILE`: what is in it, and whether all of it is right. Sets `status` to the process's
/// exit status when it ran.
void add_checkpoint_command(CLI::App& app, int& status);
