#pragma once

#include <CLI/CLI.hpp>

/// hawser relay: adds for members whose uplinks are thin.
void add_relay_command(CLI::App& app, int& status);
