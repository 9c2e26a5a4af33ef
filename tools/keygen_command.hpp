#pragma once

#include <CLI/CLI.hpp>

/// `hawser keygen FILE`: makes the secret of a run, or the key of one who takes part in it. Sets `status` to the
/// process's exit status when it ran.
void add_keygen_command(CLI::App& app, int& status);
